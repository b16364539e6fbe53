"""The read side of the Durable Streams protocol (version 1.0, JSON mode): offsets, cursors, events.

A message is one record as JSON. Offsets are seqs, padded so that they sort as strings do. The protocol's text is
PROTOCOL.md of github.com/durable-streams/durable-streams; section numbers here are its.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from contracts.ports import LogStatus
from producer_api.follow import framing
from producer_api.follow.hub import Hub

SSE_S = 60.0
"""An event stream ends after so long: readers that come back can share one answer of a cache (8.2)."""
CURSOR_S = 20
_CURSOR_ZERO = datetime(2024, 10, 9, tzinfo=UTC).timestamp()
_CURSOR_DIGITS = 18
_JITTER_S = 3600


def offset_of(seq: int) -> str:
    """The opaque string that names the place before record `seq`."""
    return f"{seq:010d}"


def cursor_after(given: str | None) -> str:
    """What a live answer's address will differ by the next time, always ahead of what the reader gave (8.1).

    Without it a cache could answer the same "nothing yet" for ever.
    """
    now = int((time.time() - _CURSOR_ZERO) // CURSOR_S)
    if given is None or not (given.isascii() and given.isdigit() and len(given) <= _CURSOR_DIGITS):
        return str(now)
    if int(given) < now:
        return str(now)
    return str(int(given) + -(-random.randint(1, _JITTER_S) // CURSOR_S))  # noqa: S311  it spreads readers, no more


async def events(hub: Hub, status: LogStatus, start: int, cursor: str | None) -> AsyncGenerator[bytes, None]:
    """`data` events, each with its `control` event behind it, until the log ends or SSE_S are over (5.7).

    Raises UnknownLog.
    """
    at, ended = start, status.state != "live" and start >= status.next_seq
    if start >= status.next_seq:
        yield _control(at, cursor, closed=ended, up_to_date=True)
    until = time.monotonic() + SSE_S
    async with contextlib.aclosing(hub.follow(status.job, start)) as runs:  # type: ignore[type-var]
        while not ended:
            try:
                run = await asyncio.wait_for(anext(runs), until - time.monotonic())
            except (TimeoutError, StopAsyncIteration):
                return
            at, ended = run[-1].seq + 1, run[-1].terminal
            yield (
                b"event: data\ndata:" + framing.messages(run) + b"\n\n"
                + _control(at, cursor, closed=ended, up_to_date=at >= max(status.next_seq, hub.next_seq(status.job)))
            )  # fmt: skip


def _control(at: int, cursor: str | None, *, closed: bool, up_to_date: bool) -> bytes:
    said: dict[str, str | bool] = {"streamNextOffset": offset_of(at)}
    if closed:
        said["streamClosed"] = True
    else:
        said["streamCursor"] = cursor_after(cursor)
        if up_to_date:
            said["upToDate"] = True
    return b"event: control\ndata:" + json.dumps(said, separators=(",", ":")).encode() + b"\n\n"
