"""Whether models answer: a completion of one token, on the very path that clients' completions take."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping

from pydantic import BaseModel, Field

from contracts.errors import CastlineError, CompletionFailed
from contracts.records import Record
from producer_api.chat import request
from producer_api.chat.chunks import failure_of
from producer_api.completions import Completions

TTL_MS = 60_000
"""Nobody reads the log of a canary later."""


class Finding(BaseModel):
    """How one model was, when it was last asked."""

    ok: bool
    ttft_ms: int | None = Field(examples=[42])
    """From the request to the upstream to its first token."""
    upstream: str | None = Field(examples=["http://127.0.0.1:8000/v1"])
    error: str | None
    checked: int
    """Milliseconds since 1970."""


class Canary:
    """Of one front process."""

    def __init__(self, completions: Completions, *, fresh_s: float, timeout_s: float) -> None:
        self._completions = completions
        self._fresh_s, self._timeout_s = fresh_s, timeout_s
        self._one = asyncio.Lock()
        self._until = 0.0
        self._found: dict[str, Finding] = {}

    async def look(self) -> Mapping[str, Finding]:
        """By alias, of every model that a running worker has; not older than fresh_s. One at a time is asked, whoever
        wants to know. Raises StoreUnavailable.
        """
        async with self._one:
            if time.monotonic() >= self._until:
                self._found = {model: await self._ask(model) for model in await self._completions.models()}
                self._until = time.monotonic() + self._fresh_s if self._found else 0.0
            return self._found

    async def _ask(self, model: str) -> Finding:
        body = {"model": model, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1, "temperature": 0}
        checked = round(time.time() * 1000)
        upstream: str | None = None
        try:
            _, job = await self._completions.post(
                request.parse(json.dumps(body).encode()), address="canary", ttl_ms=TTL_MS
            )
            start, end = await self._answer(job)
            upstream = None if start is None else start.headers["upstream"]
            if end.type != "eos":
                raise CompletionFailed(failure_of(end))
        except CastlineError as exc:
            return Finding(ok=False, ttft_ms=None, upstream=upstream, error=str(exc), checked=checked)
        except TimeoutError:
            error = f"No answer within {self._timeout_s:g} s."
            return Finding(ok=False, ttft_ms=None, upstream=upstream, error=error, checked=checked)
        return Finding(ok=True, ttft_ms=end.headers["ttft_ms"], upstream=upstream, error=None, checked=checked)

    async def _answer(self, job: str) -> tuple[Record | None, Record]:
        """(the `start` of the last attempt, how it ended). Raises TimeoutError; the completion is cancelled then."""
        start: Record | None = None
        async with asyncio.timeout(self._timeout_s):
            async with contextlib.aclosing(self._completions.follow(job, new=True, ephemeral=True)) as runs:
                async for run in runs:
                    for record in run:
                        start = record if record.type == "start" else start
                        if record.type in ("eos", "error", "cancelled", "skip"):
                            return start, record
        raise TimeoutError
