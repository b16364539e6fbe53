"""Logs as Durable Streams, to read: catch-up pages that caches may keep, long-poll, server-sent events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from contracts.errors import UnknownLog
from contracts.ports import LogStatus, Page
from producer_api.follow import durable, framing
from producer_api.follow.live import LiveResponse, started
from producer_api.follow.reading import etag, resolve, unchanged, until_more
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, Problem
from producer_api.routes.casts import CastId
from producer_api.routes.records import FindDep

router = APIRouter(tags=["streams"], responses=RESPONSES)

SHARED = "public, max-age=60, stale-while-revalidate=300"
"""A part of a log never changes: a reader of an old answer goes on where that one ends."""
EDGE = "public, max-age=1"
"""What a reader gets who has it all by now: one request in a second reaches the front, however many ask a cache."""


class Where(BaseModel):
    """Query of a read."""

    offset: str | None = Field(
        default=None, pattern=r"^(-1|now|[0-9]{1,10})$",
        description="Where to begin: a `Stream-Next-Offset`, -1 (the beginning) or `now`. Live reads must say it.",
        examples=["-1", "0000000003", "now"],
    )  # fmt: skip
    live: Literal["long-poll", "sse"] | None = Field(default=None, description="How to wait for more.")
    cursor: str | None = Field(
        default=None, max_length=64, description="The last `Stream-Cursor`, so that caches do not answer for ever."
    )


_HEADERS: dict[str, Any] = {
    "Stream-Next-Offset": {"description": "Where to go on", "schema": {"type": "string"}, "example": "0000000003"},
    "Stream-Up-To-Date": {"description": "`true`: this is all by now", "schema": {"type": "string"}},
    "Stream-Closed": {"description": "`true`: this is all, for good", "schema": {"type": "string"}},
    "Stream-Cursor": {"description": "To be sent with the next live read", "schema": {"type": "string"}},
}
_EXAMPLE = [{"seq": 1, "e": "audio", "i": 0, "d": 1240, "t": "Hello there.", "n": 29760, "body": "T2dnUw…"}]
_EVENTS = 'event: data\ndata:[{"seq":1,"e":"audio"}]\n\nevent: control\ndata:{"streamNextOffset":"0000000002"}\n\n'
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON array of records, or with live=sse `data` and `control` events",
        "headers": _HEADERS,
        "content": {"application/json": {"example": _EXAMPLE}, "text/event-stream": {"example": _EVENTS}},
    },
    204: {"description": "Long-poll: nothing has come, or nothing more will", "headers": _HEADERS},
    304: {"description": "Nothing has changed since the ETag"},
    400: {"model": Problem, "description": "No such offset or mode", "content": {MEDIA_TYPE: {}}},
    410: {
        "model": Problem,
        "description": "The offset is behind the end: of an earlier, longer log under this id",
        "content": {MEDIA_TYPE: {}},
    },
}


@router.get("/{job}/stream", summary="Read as a Durable Stream", response_class=Response, responses=_ANSWERS)
async def get_stream(
    job: CastId, request: Request, front: FrontDep, find: FindDep, where: Annotated[Where, Query()],
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:  # fmt: skip
    """The read side of the Durable Streams protocol in JSON mode: any client of it follows a log, and resumes. The
    messages are the records, as under `/records`. An answer without `live` may come from a cache: where it ends, a
    reader goes on.
    """
    if len(request.query_params.getlist("offset")) > 1:
        raise HTTPException(400, "More than one offset.")
    if where.offset is None and where.live is not None:
        raise HTTPException(400, "A live read needs an offset.")
    status = await find(job)
    start = resolve(status, where.offset or "-1")
    if status.state != "live" and start > status.next_seq:
        raise HTTPException(410, "The log has ended before this offset: it has been made anew since.")
    if where.live == "sse":
        return await _events(front, status, start, where.cursor)
    if where.live == "long-poll":
        return await _long_poll(front, status, start, where.cursor)
    if where.offset == "now":
        return _tail(status, b"[]")
    page = await _read(front, status, start)
    headers = _headers(status, page, start)
    if unchanged(headers["ETag"], if_none_match):
        return Response(None, 304, headers)
    return _page(page, headers)


@router.head(
    "/{job}/stream", summary="Where a Durable Stream ends", response_class=Response,
    responses={200: {"description": "Its end by now", "headers": _HEADERS}},
)  # fmt: skip
async def head_stream(job: CastId, find: FindDep) -> Response:
    """Its end by now, and whether there will be more."""
    response = _tail(await find(job), None)
    del response.headers["content-length"]  # of no body; a GET has one
    return response


async def _events(front: Front, status: LogStatus, start: int, cursor: str | None) -> Response:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return LiveResponse(
        await started(durable.events(front.hub, status, start, cursor)), media_type="text/event-stream",
        headers=headers, send_timeout_s=front.settings.send_timeout_s, ping=framing.SSE_PING,
    )  # fmt: skip


async def _long_poll(front: Front, status: LogStatus, start: int, cursor: str | None) -> Response:
    await until_more(front.hub, status.job, start)
    page = await _read(front, status, start)
    headers = _headers(status, page, start) | {"Stream-Cursor": durable.cursor_after(cursor)}
    if page.records:
        return _page(page, headers | {"Cache-Control": SHARED})
    headers["Cache-Control"] = "no-store"
    return Response(None, 204, headers)


def _tail(status: LogStatus, body: bytes | None) -> Response:
    """What is said of the end alone: never from a cache."""
    headers = {"Stream-Next-Offset": durable.offset_of(status.next_seq), "Cache-Control": "no-store"}
    headers["Stream-Up-To-Date"] = "true"
    if status.state != "live":
        headers["Stream-Closed"] = "true"
    return Response(body, 200, headers, "application/json")


async def _read(front: Front, status: LogStatus, start: int) -> Page:
    page = await front.store.log_reader.read(status.job, start)
    if page is None:
        raise UnknownLog(status.job)
    return page


def _headers(status: LogStatus, page: Page, start: int) -> dict[str, str]:
    # The page was read after the status: what holds all there was then is up to date, and all of it always is.
    edge = page.next_seq >= status.next_seq
    headers = {
        "ETag": etag(page, start),
        "Stream-Next-Offset": durable.offset_of(page.next_seq),
        "Cache-Control": EDGE if edge and not page.closed else SHARED,
    }
    if edge:
        headers["Stream-Up-To-Date"] = "true"
    if page.closed:
        headers["Stream-Closed"] = "true"
    return headers


def _page(page: Page, headers: dict[str, str]) -> Response:
    return Response(framing.messages(page.records), 200, headers, "application/json")
