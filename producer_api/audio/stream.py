"""A cast's records as one continuous audio stream, while it is made or afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from contracts.codec import decode_chunk
from contracts.errors import CastEnded, problem
from contracts.records import Record
from producer_api.audio.encoders import AudioFormat, Encoder, make_encoder
from producer_api.follow.hub import Hub


@dataclass(frozen=True, slots=True)
class Piece:
    """What a record adds to the stream."""

    record: Record
    """`audio`, `skip` or `eos`."""
    data: bytes
    """May be empty: of a `skip`, and of audio that is shorter than a frame."""


async def pieces(hub: Hub, job: str, fmt: AudioFormat, total_samples: int | None = None) -> AsyncGenerator[Piece, None]:
    """The stream, one piece per record; `eos` has what the encoder still held. Raises UnknownLog, CastEnded."""
    encoder = make_encoder(fmt, total_samples)
    head = encoder.start()
    async with contextlib.aclosing(hub.follow(job, 1)) as runs:  # type: ignore[type-var]
        async for records in runs:
            for record in records:
                data = await _piece(encoder, record)
                if data or record.terminal:  # no header ahead of the first sound
                    head, data = b"", head + data
                yield Piece(record, data)


async def _piece(encoder: Encoder, record: Record) -> bytes:
    match record.type:
        case "audio":
            return await asyncio.to_thread(_feed, encoder, record)
        case "eos":
            return await asyncio.to_thread(encoder.finish)
        case "cancelled":
            # gone, and not a conflict: clients would ask again by themselves
            raise CastEnded(problem("cancelled", 410, "The cast was cancelled."))
        case "error":
            raise CastEnded(problem("cast-failed", 502, "The cast has failed."))
    return b""


def _feed(encoder: Encoder, record: Record) -> bytes:
    return encoder.feed(decode_chunk(record.body))


async def encoded(
    hub: Hub, job: str, fmt: AudioFormat, total_samples: int | None = None
) -> AsyncGenerator[bytes, None]:
    """The bytes of the stream, as they come. Raises UnknownLog, CastEnded."""
    async with contextlib.aclosing(pieces(hub, job, fmt, total_samples)) as made:
        async for piece in made:
            if piece.data:
                yield piece.data
