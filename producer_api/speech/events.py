"""The server-sent events of `stream_format: sse`, and the one place where they are made.

Clients read `speech.audio.delta` and `speech.audio.done` and pass over every other type.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from contracts.errors import CastlineError
from producer_api.audio.libav import RATE
from producer_api.audio.stream import Piece
from producer_api.follow.framing import typed_event
from producer_api.problems import members_of, openai_error

DELTA_BYTES = 24 * 1024
"""Audio in one event: 32 KiB as base64, since clients have bounds on the length of a line."""
OUTPUT_TOKEN_SAMPLES = RATE // 20
"""What counts as a token of output: 50 ms."""


async def events(pieces: AsyncGenerator[Piece, None], text: str) -> AsyncGenerator[bytes, None]:
    """A cast's stream as events, as it comes. text: what is spoken."""
    samples = 0
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            framed = [typed_event(content) for content in (*_words(piece, samples), *_deltas(piece))]
            samples += piece.record.headers.get("n", 0)
            if piece.record.terminal:
                framed.append(typed_event({"type": "speech.audio.done", "usage": usage(text, samples)}))
            if framed:
                yield b"".join(framed)


def _words(piece: Piece, before: int) -> Iterator[dict[str, Any]]:
    """When the words of a unit are spoken, in seconds of the stream, ahead of its sound. before: samples."""
    if found := piece.record.headers.get("words"):
        start = before / RATE
        times = [
            {"word": w["w"], "start": round(start + w["s"] / 1000, 3), "end": round(start + w["e"] / 1000, 3)}
            for w in found
        ]
        yield {"type": "speech.audio.words", "words": times}


def _deltas(piece: Piece) -> Iterator[dict[str, Any]]:
    for at in range(0, len(piece.data), DELTA_BYTES):
        audio = base64.b64encode(piece.data[at : at + DELTA_BYTES]).decode()
        yield {"type": "speech.audio.delta", "audio": audio}


def usage(text: str, samples: int) -> dict[str, int]:
    """input_tokens: characters of the text; output_tokens: audio, in begun steps of 50 ms."""
    output = -(-samples // OUTPUT_TOKEN_SAMPLES)
    return {"input_tokens": len(text), "output_tokens": output, "total_tokens": len(text) + output}


def error_event(exc: CastlineError) -> bytes:
    """What has gone wrong after the first byte."""
    members, _ = members_of(exc)
    return typed_event({"type": "speech.audio.error", "error": openai_error(members)})
