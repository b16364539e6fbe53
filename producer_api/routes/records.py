"""The read path: records of a log from any offset, as JSON, long-poll, SSE, WebSocket frames, or one by one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import HTTPConnection

from contracts.errors import BadInput, CastlineError, UnknownLog
from contracts.ids import JOB_ID
from contracts.ports import LogStatus
from contracts.records import Record
from producer_api.follow import framing
from producer_api.follow.attention import Ear
from producer_api.follow.live import LiveResponse, started
from producer_api.follow.reading import MAX_OFFSET, etag, resolve, unchanged, until_more
from producer_api.front import Front, FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.casts import CastId

logger = logging.getLogger(__name__)

router = APIRouter(tags=["records"], responses=RESPONSES)

NO_LOG = 4404
"""WebSocket close code: there is no such log."""
BAD_OFFSET = 4422

Offset = Annotated[
    str,
    Query(description="Seq to read from: 0, 1, …; -1 is the beginning, `now` the live edge.", examples=["0", "now"]),
]


Find = Callable[[str], Awaitable[LogStatus]]
"""Where a log stands. Raises UnknownLog; a log of another kind than the path's is none."""


async def of_casts(connection: HTTPConnection, front: FrontDep) -> None:
    """Under this prefix are casts."""
    connection.state.find = front.casts.status


async def of_transcripts(connection: HTTPConnection, front: FrontDep) -> None:
    """Under this prefix are transcripts."""
    connection.state.find = front.transcripts.status


async def of_completions(connection: HTTPConnection, front: FrontDep) -> None:
    """Under this prefix are completions."""
    connection.state.find = front.completions.status


async def _find(connection: HTTPConnection) -> Find:
    find: Find = connection.state.find
    return find


FindDep = Annotated[Find, Depends(_find)]


@router.get(
    "/{job}/records",
    summary="Records from an offset",
    response_class=Response,
    responses={
        200: {
            "description": "JSON page, or with live=sse a stream of events (id = seq, event = type)",
            "content": {
                "application/json": {
                    "example": {
                        "records": [
                            {"seq": 1, "e": "audio", "i": 0, "d": 1240, "t": "Hello there.", "body": "T2dnUw…"}
                        ],
                        "next": 2,
                        "closed": False,
                    }
                },
                "text/event-stream": {"example": 'id: 1\nevent: audio\ndata: {"seq":1,"e":"audio","i":0,"d":1240}\n\n'},
            },
        },
        304: {"description": "Nothing has changed since the ETag"},
    },
)
async def get_records(
    job: CastId,
    front: FrontDep,
    find: FindDep,
    offset: Offset = "0",
    live: Annotated[Literal["long-poll", "sse"] | None, Query(description="How to wait for records to come.")] = None,
    last_event_id: Annotated[str | None, Header(description="SSE: go on after this seq.")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """One read path for replay and live follow. A reader that resumes anywhere sees byte for byte what a reader from 0
    saw. `next` is where to go on, `closed` that there is no more.
    """
    status = await find(job)
    start = resolve(status, offset)
    if live == "sse":
        if last_event_id is not None:
            start = resolve(status, last_event_id) + 1
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return LiveResponse(
            await started(_events(front, job, start)), media_type="text/event-stream", headers=headers,
            send_timeout_s=front.settings.send_timeout_s, ping=framing.SSE_PING,
        )  # fmt: skip
    if live == "long-poll":
        await until_more(front.hub, job, start)
    page = await front.store.log_reader.read(job, start)
    if page is None:
        raise UnknownLog(job)
    headers = {"ETag": etag(page, start), "Cache-Control": "no-cache"}
    if live is None and unchanged(headers["ETag"], if_none_match):
        return Response(None, 304, headers)
    body = framing.page(page.records, page.next_seq, closed=page.closed)
    return Response(body, 200, headers, "application/json")


async def _events(front: Front, job: str, start: int) -> AsyncGenerator[bytes, None]:
    yield framing.SSE_PREAMBLE
    async with contextlib.aclosing(front.hub.follow(job, start)) as runs:  # type: ignore[type-var]
        async for records in runs:
            for record in records:
                yield framing.sse(record)


@router.get(
    "/{job}/records/{seq}",
    summary="One record",
    response_class=Response,
    responses={200: {"description": "The body (audio/ogg for an audio record), else the headers as JSON",
                     "content": {"audio/ogg": {}, "application/json": {}}}},
)  # fmt: skip
async def get_record(
    job: CastId, seq: Annotated[int, Path(ge=0, le=MAX_OFFSET)], front: FrontDep, find: FindDep
) -> Response:
    """Never changes once it is there: caches may keep it for good."""
    await find(job)
    page = await front.store.log_reader.read(job, seq, max_records=1)
    if page is None or not page.records:
        raise UnknownLog(f"{job}/records/{seq}")
    [record] = page.records
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": f'"{page.epoch}-{seq}"'}
    if record.type == "audio":
        return Response(record.body, 200, headers, "audio/ogg")
    return Response(record.head, 200, headers, "application/json")


@router.websocket("/{job}/follow")
async def follow(socket: WebSocket, job: str, front: FrontDep, find: FindDep, offset: str = "0") -> None:
    """Records as binary frames: length of the head (4 bytes, big-endian), head (JSON), body. Closes with 1000 after the
    terminal record, 4404 if there is no such log, 4422 on a bad offset.

    A player may say where it is, as text: `{"position_ms": 12500}` when it plays on from there, `{"position_ms": null}`
    when it pauses. What is heard soonest is made first.
    """
    await socket.accept()
    ear = Ear()
    receiving = asyncio.create_task(_until_left(socket, front, ear))
    sending = asyncio.create_task(_send_frames(socket, front, find, job, offset, ear))
    try:
        await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await socket.close(*sending.result())
    except (WebSocketDisconnect, RuntimeError) as exc:
        logger.info("follower left", extra={"error": str(exc)})
    finally:
        receiving.cancel()
        sending.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


class Playhead(BaseModel):
    """Where a player is; null: it has paused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    position_ms: int | None = Field(ge=0, le=MAX_OFFSET)


async def _until_left(socket: WebSocket, front: Front, ear: Ear) -> None:
    """Heeds what the player says. A disconnect shows on receive alone, so somebody must receive."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        try:
            playhead = Playhead.model_validate_json(message.get("text") or "")
        except ValidationError:
            logger.info("a follower has said what is no playhead")
        else:
            front.attention.plays_at(ear, playhead.position_ms)


async def _send_frames(socket: WebSocket, front: Front, find: Find, job: str, offset: str, ear: Ear) -> tuple[int, str]:
    """Send until the terminal record; the close code and reason."""
    try:
        start = resolve(await find(_public(job)), offset)
        async with contextlib.aclosing(front.hub.follow(job, start, ear)) as runs:  # type: ignore[type-var]
            async for records in runs:
                await _send_run(socket, records, front.settings.send_timeout_s)
    except UnknownLog as exc:
        return NO_LOG, str(exc)
    except BadInput as exc:
        return BAD_OFFSET, exc.detail
    except TimeoutError:
        return 1013, "this reader does not read; resume later"
    except CastlineError as exc:
        return 1013, str(exc)[:120]
    return 1000, ""


def _public(job: str) -> str:
    """Raises UnknownLog for what no link has: the logs behind a transcript have other names."""
    if not JOB_ID.fullmatch(job):
        raise UnknownLog(job)
    return job


async def _send_run(socket: WebSocket, records: Sequence[Record], timeout_s: float) -> None:
    for record in records:
        async with asyncio.timeout(timeout_s):
            await socket.send_bytes(framing.frame(record))
