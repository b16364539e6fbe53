"""Text that clients send while it is spoken: open a cast, write to it body by body, close it."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator

from contracts.adapters import Store
from contracts.errors import AnotherWriter, BadInput, CastNotOpen, TextTooLong, UnknownLog
from contracts.ids import client_id
from contracts.ports import LogSource
from contracts.text import IncrementalSplitter
from contracts.topology import LLM_LANE
from producer_api.cast_models import CastRequest, CastView
from producer_api.casts import Casts
from producer_api.dispatch import Dispatch
from producer_api.open_casts.narrators import Narrators
from producer_api.open_casts.writer import CastWriter

THREAD_CHARS = 4_096
"""Longer pieces of text are split off the event loop."""


class OpenCasts:
    """Open casts of one front process."""

    def __init__(
        self, casts: Casts, narrators: Narrators, store: Store, dispatch: Dispatch, secret: bytes, *,
        max_text_chars: int,
    ) -> None:  # fmt: skip
        self._casts, self._narrators = casts, narrators
        self._store, self._dispatch = store, dispatch
        self._secret = secret
        self._max_chars = max_text_chars

    async def post(self, request: CastRequest, *, address: str, tenant: str = "") -> CastView:
        """Open a cast with the text there is, or none. Raises BadInput, UnknownLog, Unavailable."""
        if request.source is not None:
            completion = await self._store.log_reader.status(request.source.completion)
            if completion is None or completion.lane != LLM_LANE:
                raise UnknownLog(request.source.completion)
        _, view = await self._casts.post(request, address=address, tenant=tenant)
        if request.source is not None:
            self._narrators.follow(await self._source(view.id))
        return view

    async def write(self, job: str, body: AsyncIterator[bytes], *, address: str, close: bool) -> int:
        """Speak UTF-8 text while it comes; its end ends a sentence. How many units the cast has then.

        Raises UnknownLog, CastNotOpen, AnotherWriter, TextTooLong, BadInput, Unavailable, and what reading the body
        raises. What has come by then is spoken in any case, unless it can not be added.
        """
        source = await self._source(job)
        if source.status.closed or source.status.state != "live":
            raise CastNotOpen("it is not open")
        if source.recipe.get("completion"):
            raise CastNotOpen("it speaks a completion")
        client = client_id(self._secret, source.owner, address)
        writer = CastWriter(self._store, self._dispatch, source, client, exact=True)
        idle = source.status.watermark == source.status.total  # who listens waits for what comes now
        splitter = IncrementalSplitter(writer.recipe.language, opening=idle)
        taken = sum(map(len, source.texts.values()))
        try:
            async for text in _bounded(_decoded(body), taken, self._max_chars):
                await writer.add(await _fed(splitter, text))
        except (CastNotOpen, AnotherWriter):
            raise
        except BaseException:
            await asyncio.shield(writer.add(splitter.close()))
            raise
        await writer.add(splitter.close(), close=close)
        return writer.units

    async def close(self, job: str) -> None:
        """No more text comes. Raises UnknownLog, CastNotOpen (it was cancelled), Unavailable."""
        status = (await self._source(job)).status
        grown = await self._store.log_writer.grow(job, status.epoch, status.total, [], close=True)
        if grown.verdict != "OK":
            raise CastNotOpen("it was cancelled")

    async def _source(self, job: str) -> LogSource:
        """Raises UnknownLog."""
        source = await self._store.log_writer.source(job)
        if source is None or source.recipe["kind"] != "tts":
            raise UnknownLog(job)
        return source


async def _fed(splitter: IncrementalSplitter, text: str) -> list[str]:
    if len(text) > THREAD_CHARS:
        return await asyncio.to_thread(splitter.feed, text)
    return splitter.feed(text)


async def _bounded(texts: AsyncIterator[str], taken: int, limit: int) -> AsyncIterator[str]:
    """Raises TextTooLong behind what is within the limit."""
    async for text in texts:
        yield text[: max(0, limit - taken)]
        taken += len(text)
        if taken > limit:
            raise TextTooLong(taken, limit)


async def _decoded(body: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Raises BadInput behind what is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        async for piece in body:
            yield decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as exc:
        yield exc.object[: exc.start].decode()
        raise BadInput("The text is not UTF-8.") from exc
