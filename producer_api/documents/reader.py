"""Documents read in processes of their own: one that hangs, or eats memory, is killed, and nobody waits behind it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import IO, Any

from contracts.errors import PROBLEM_PREFIX, BadInput, Unavailable
from producer_api.documents.document import Document, UnreadableDocument
from producer_api.documents.kinds import Kind

MEMORY_BYTES = 2 << 30
"""Of address space, for one document."""
_PARALLEL = 2
_NAME_CHARS = 200
"""Of a name its end says most; a command line has not room for every URL."""
_RETRY_AFTER_S = 5


class Refused(BadInput):
    """What the reading process has refused, in its own words."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(members["detail"], field=members.get("field", ""))
        self.slug = str(members["type"]).removeprefix(PROBLEM_PREFIX)
        self.status = members["status"]


class Reader:
    """limit_s: for one document, seconds; as long again it may wait for its turn. max_chars: of its text."""

    def __init__(self, *, limit_s: float, max_chars: int) -> None:
        self._limit_s = limit_s
        self._max_chars = max_chars
        self._turns = asyncio.Semaphore(_PARALLEL)

    async def read(self, file: IO[bytes], kind: Kind | None, charset: str | None, name: str) -> Document:
        """file: from its beginning; it has a descriptor. Raises as documents.read does, and Unavailable."""
        try:
            async with asyncio.timeout(self._limit_s):
                await self._turns.acquire()
        except TimeoutError as exc:
            raise Unavailable("A free reader of documents", retry_after_s=_RETRY_AFTER_S) from exc
        try:
            answer = await self._run(file, self._order(kind, charset, name))
        finally:
            self._turns.release()
        if (problem := answer.get("problem")) is not None:
            raise Refused(problem)
        return Document(answer["title"], answer["text"], answer["language"])

    def _order(self, kind: Kind | None, charset: str | None, name: str) -> dict[str, Any]:
        return {
            "kind": kind, "charset": charset, "name": name[-_NAME_CHARS:], "max_chars": self._max_chars,
            "cpu_s": math.ceil(self._limit_s) + 1, "memory_bytes": MEMORY_BYTES,
        }  # fmt: skip

    async def _run(self, file: IO[bytes], order: Mapping[str, Any]) -> dict[str, Any]:
        """Raises UnreadableDocument if there is no answer."""
        file.seek(0)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "producer_api.documents.child", json.dumps(order),
            stdin=file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=_without_settings(),
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._limit_s):
                answered, _ = await process.communicate()
        except TimeoutError as exc:
            raise UnreadableDocument(f"Reading it takes longer than {self._limit_s:g} s.") from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise UnreadableDocument("It can not be read: its reader failed over it.")
        answer: dict[str, Any] = json.loads(answered)
        return answer


def _without_settings() -> dict[str, str]:
    """The environment of a process that others' documents are read in: our secrets are none of its business."""
    given = os.environ  # noqa: TID251  what Python and its libraries look at
    return {name: value for name, value in given.items() if not name.startswith("CASTLINE_")}
