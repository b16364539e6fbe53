"""Casts that speak completions: each is followed by one front, and by another when that one dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from contracts.adapters import Store
from contracts.errors import CastNotOpen, Unavailable, UnknownLog
from contracts.ids import client_id
from contracts.ports import LogSource
from producer_api.dispatch import Dispatch
from producer_api.follow.hub import Hub
from producer_api.live.session import TOUCH_MS
from producer_api.open_casts.narration import Narration
from producer_api.open_casts.writer import CastWriter

logger = logging.getLogger(__name__)

RETRY_S = 1.0


class Narrators:
    """Those that this front process follows."""

    def __init__(self, store: Store, dispatch: Dispatch, hub: Hub, secret: bytes, *, max_text_chars: int) -> None:
        self._store, self._dispatch, self._hub = store, dispatch, hub
        self._secret = secret
        self._max_chars = max_text_chars
        self._following: dict[str, asyncio.Task[None]] = {}

    def follow(self, source: LogSource) -> None:
        """Speak the completion that this open cast names, from its beginning; what is spoken already stays."""
        job = source.status.job
        if job in self._following:
            return
        task = self._following[job] = asyncio.create_task(self._follow(source))
        task.add_done_callback(lambda done: self._left(job, done))

    def _left(self, job: str, task: asyncio.Task[None]) -> None:
        del self._following[job]
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("a completion is not followed any more; a janitor will", extra={"job": job}, exc_info=exc)

    async def close(self) -> None:
        """Follow none any more: another front will."""
        tasks = list(self._following.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, source: LogSource) -> None:
        job = source.status.job
        known: LogSource | None = source
        while known is not None:
            try:
                await self._speak(known)
            except CastNotOpen as exc:
                logger.info("a completion is not spoken to its end", extra={"job": job, "error": exc.detail})
            except Unavailable as exc:
                logger.info("a completion waits to be spoken", extra={"job": job, "error": str(exc)})
                known = await self._again(job)
                continue
            return

    async def _again(self, job: str) -> LogSource | None:
        """The cast as it stands once the store answers; None: it has expired."""
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                return await self._store.log_writer.source(job)
            except Unavailable as exc:
                logger.info("a completion waits to be spoken", extra={"job": job, "error": str(exc)})

    async def _speak(self, source: LogSource) -> None:
        """To the end of the completion, and the cast's. Raises CastNotOpen, Unavailable."""
        client = client_id(self._secret, source.owner, "")
        writer = CastWriter(self._store, self._dispatch, source, client, exact=False)
        narration = Narration(writer.recipe.language)
        await writer.supply()
        touching = asyncio.create_task(_touch(writer))
        try:
            try:
                await self._read(narration, writer)
            except UnknownLog as exc:
                logger.warning("a completion has gone; its cast ends here", extra={"error": str(exc)})
            await writer.add(narration.close(), close=True)
        finally:
            touching.cancel()
            await asyncio.gather(touching, return_exceptions=True)

    async def _read(self, narration: Narration, writer: CastWriter) -> None:
        """Until its terminal record. Raises UnknownLog, CastNotOpen, Unavailable."""
        completion = writer.recipe.completion
        async with contextlib.aclosing(self._hub.follow(completion, 0, heard=False)) as runs:  # type: ignore[type-var]
            async for records in runs:
                for record in records:
                    await writer.add(narration.read(record))
                if narration.chars > self._max_chars:
                    logger.warning("a completion is too long to be spoken to its end", extra={"job": completion})
                    return


async def _touch(writer: CastWriter) -> None:
    """Say that it is followed, for as long as it is; see Janitor."""
    while True:
        await asyncio.sleep(TOUCH_MS / 1000)
        try:
            await writer.touch()
        except Unavailable as exc:
            logger.info("a follower waits for the store", extra={"error": str(exc)})
        except CastNotOpen:
            return
