"""A cast's records as one continuous audio stream, while it is made or afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from contracts.codec import decode_chunk
from contracts.errors import CastlineError
from contracts.records import Record
from producer_api.audio.encoders import AudioFormat, Encoder, make_encoder
from producer_api.follow.hub import Hub


class CastEnded(CastlineError):
    """The cast was cancelled or failed: the stream must not look whole."""


async def encoded(
    hub: Hub, job: str, fmt: AudioFormat, total_samples: int | None = None
) -> AsyncGenerator[bytes, None]:
    """Pieces of the stream, one per run of records. Raises UnknownLog, CastEnded."""
    encoder = make_encoder(fmt, total_samples)
    head = encoder.start()
    async with contextlib.aclosing(hub.follow(job, 1)) as runs:  # type: ignore[type-var]
        async for records in runs:
            for record in records:
                if record.type in ("cancelled", "error"):
                    raise CastEnded(f"the cast ended with {record.type!r}")
                if record.type == "audio":
                    piece = await asyncio.to_thread(_feed, encoder, record)
                    if head or piece:
                        yield head + piece
                    head = b""
    tail = await asyncio.to_thread(encoder.finish)
    if head or tail:
        yield head + tail


def _feed(encoder: Encoder, record: Record) -> bytes:
    return encoder.feed(decode_chunk(record.body))
