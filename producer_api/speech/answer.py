"""A cast as the answer to the request that has asked for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from contracts.errors import CastEnded, Unavailable, problem
from contracts.topology import speech_lane
from contracts.units import Lane
from producer_api.audio.encoders import AudioFormat
from producer_api.audio.stream import Piece, pieces
from producer_api.cast_models import CastView
from producer_api.dispatch import NO_WORKER_RETRY_S
from producer_api.front import Front

LOOK_S = 2.0
"""How often is looked whether there are still workers, until the first sound."""


async def spoken(front: Front, cast: CastView, fmt: AudioFormat, *, ephemeral: bool) -> AsyncGenerator[Piece, None]:
    """Its stream from the beginning. ephemeral: whoever leaves before the end cancels it.

    Raises UnknownLog; CastEnded, also where a sentence is missing: a client of this surface could not know; and
    Unavailable, if the workers go before the first sound.
    """
    job, ended = cast.id, False
    try:
        total = (await front.sounds.of(job)).samples if cast.state == "done" else None
        async with contextlib.aclosing(pieces(front.hub, job, fmt, total)) as made:
            piece: Piece | None = await _first(made, front, speech_lane(cast.model))
            while piece is not None:
                if piece.record.type == "skip":
                    raise CastEnded(_missing(piece, job))
                ended = piece.record.terminal
                yield piece
                piece = await anext(made, None)
    finally:
        if ephemeral and not ended:
            await asyncio.shield(front.casts.cancel(job))


async def _first(made: AsyncGenerator[Piece, None], front: Front, lane: Lane) -> Piece | None:
    """Its first piece; waiting ends when nobody is left who could make it. Raises Unavailable."""
    first = asyncio.create_task(_next(made))
    try:
        while not (await asyncio.wait((first,), timeout=LOOK_S))[0]:
            if not await front.dispatch.workers(lane, fresh=True):
                raise Unavailable("A worker for this speech model", retry_after_s=NO_WORKER_RETRY_S)
        return await first
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def _next(made: AsyncGenerator[Piece, None]) -> Piece | None:
    return await anext(made, None)


def _missing(piece: Piece, job: str) -> dict[str, str | int]:
    """RFC 9457 members."""
    text, reason = piece.record.headers["t"], piece.record.headers["reason"]
    detail = f"A sentence could not be spoken ({reason}): {text[:80]!r}. /v1/casts/{job} has the others."
    return problem("given-up", 502, detail)


async def audio(stream: AsyncGenerator[Piece, None]) -> AsyncGenerator[bytes, None]:
    """The bytes of it."""
    async with contextlib.aclosing(stream):
        async for piece in stream:
            if piece.data:
                yield piece.data
