"""One attempt at a completion in its log: chunks are appended as they come, what comes meanwhile in one record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from contracts.errors import EngineStopped, StoreUnavailable
from contracts.ports import LogWriter, Part
from contracts.records import DeltaHeaders
from contracts.units import Unit
from workers.llm_proxy.chunks import Chunk, storable

logger = logging.getLogger(__name__)

RETRY_S = (0.05, 2.0)
"""First and longest pause while the store does not answer."""
MOST_BYTES = 1 << 20
"""So much waits for the store; then the upstream waits."""


class Writing:
    """`start` and the first token go at once, and later chunks gather for gather_s; one append is on its way at a time.

    writer: a name no other attempt has. Chunks before the first token wait for it: an attempt that fails before leaves
    no trace.
    """

    def __init__(self, log: LogWriter, unit: Unit, writer: str, start: Part, gather_s: float) -> None:
        self._log, self._unit, self._writer, self._start = log, unit, writer, start
        self._gather_s = gather_s
        self._at = 0
        self._pending: list[Chunk] = []
        self._size = 0
        self._since = 0.0
        self._due, self._ended, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.begun = False
        """A token has come: readers see this attempt, or will."""

    async def __aenter__(self) -> Self:
        """Ready to write."""
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What end() has not written is dropped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def add(self, chunk: Chunk) -> None:
        """Write it soon. Waits while too much is waiting. Raises EngineStopped, see end."""
        if self._task.done():
            await self._task
        if not self._pending:
            self._since = asyncio.get_running_loop().time()
        self._pending.append(chunk)
        self._size += len(chunk.data)
        self.begun = self.begun or chunk.token
        if self.begun:
            self._due.set()
        if self._size > MOST_BYTES:
            self._room.clear()
            await self._room.wait()

    async def end(self) -> None:
        """Everything is written. Raises EngineStopped: the log is another attempt's now, or it has ended."""
        self._ended.set()
        self._due.set()
        await self._task

    async def _write(self) -> None:
        try:
            while await self._something():
                await self._append(self._take())
                self._room.set()
        finally:
            self._room.set()

    async def _something(self) -> bool:
        """Wait until an append is due; False: that was all."""
        await self._due.wait()
        if self._at and self._gather_s and not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._since + self._gather_s):
                    await self._ended.wait()
        return bool(self._pending) or self._at == 0

    def _take(self) -> Sequence[Part]:
        parts = [] if self._at else [self._start]
        if self._pending:
            text = storable("".join(chunk.text for chunk in self._pending))
            body = b"".join(chunk.data + b"\n" for chunk in self._pending)
            parts.append(Part("delta", DeltaHeaders(i=self._unit.index, t=text).model_dump(), body))
        self._pending, self._size = [], 0
        if not self._ended.is_set():
            self._due.clear()
        return parts

    async def _append(self, parts: Sequence[Part]) -> None:
        pause_s, longest_s = RETRY_S
        while True:
            try:
                verdict = await self._log.append(self._unit, self._writer, self._at, parts)
                break
            except StoreUnavailable as exc:  # the same `at`: what was appended is not appended twice
                logger.warning("store does not answer", extra={"error": str(exc)})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, longest_s)
        if verdict != "OK":
            raise EngineStopped(f"the log does not take this attempt any more: {verdict}")
        self._at += len(parts)
