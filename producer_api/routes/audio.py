"""A cast as one audio file or stream, and its captions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from email.utils import formatdate
from typing import Annotated, Literal

from fastapi import APIRouter, Header, HTTPException, Request, Response
from starlette.responses import FileResponse, PlainTextResponse

from contracts.ports import LogStatus
from contracts.records import Record
from producer_api.audio import captions
from producer_api.audio.encoders import CONTENT_TYPES, stream_bytes
from producer_api.audio.stream import encoded
from producer_api.follow.live import LiveResponse, begun
from producer_api.follow.now import records_now
from producer_api.front import Front, FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.casts import CastId

router = APIRouter(prefix="/v1/casts", tags=["audio"], responses=RESPONSES)

_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)(,(\d+-\d*|-\d+))*")
FileFormat = Literal["opus", "mp3", "aac", "wav", "flac"]


@router.get(
    "/{job}/audio.{fmt}",
    summary="Listen",
    response_class=Response,
    responses={
        200: {"description": "The whole stream; of a cast that is being made, what there is and what comes",
              "content": {t: {} for t in ("audio/ogg", "audio/mpeg", "audio/aac", "audio/wav", "audio/flac")}},
        206: {"description": "A part, of a finished cast"},
        410: {"description": "The cast was cancelled before its first sound"},
    },
)  # fmt: skip
async def get_audio(
    http: Request, job: CastId, fmt: FileFormat, front: FrontDep,
    byte_range: Annotated[str | None, Header(alias="Range")] = None,
) -> Response:  # fmt: skip
    """One continuous encoder for the whole response: no gap and no click at a seam. While the cast is made the stream
    follows its live edge; when it is finished, Range works. A stream that ends without its closing chunk was cut.
    """
    status = await front.casts.status(job)
    if status.state == "done" and (starts := _starts(byte_range or "")) is not None:
        return await _file(front, status, fmt, starts)
    total = (await front.sounds.of(job)).samples if status.state == "done" else None
    pieces = await begun(http, encoded(front.hub, job, fmt, total))
    return LiveResponse(
        pieces, media_type=CONTENT_TYPES[fmt], headers=_headers(status, fmt),
        send_timeout_s=front.settings.send_timeout_s,
    )  # fmt: skip


@router.head("/{job}/audio.{fmt}", summary="What listening would give", response_class=Response)
async def head_audio(job: CastId, fmt: FileFormat, front: FrontDep) -> Response:
    """Type, whether Range works, and of a finished mp3 or wav its length: players of podcasts ask."""
    status = await front.casts.status(job)
    response = Response(None, 200, _headers(status, fmt), CONTENT_TYPES[fmt])
    size = stream_bytes(fmt, (await front.sounds.of(job)).samples) if status.state == "done" else None
    if size is None:
        del response.headers["content-length"]
    else:
        response.headers["content-length"] = str(size)
    return response


def _headers(status: LogStatus, fmt: FileFormat) -> dict[str, str]:
    validators = {
        "ETag": f'"{status.epoch}-{fmt}"',
        "Last-Modified": formatdate(status.created_ms / 1000, usegmt=True),
    }
    return {
        **(validators if status.state == "done" else {}),
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        "Accept-Ranges": "bytes" if status.state == "done" else "none",
        "Content-Disposition": f'inline; filename="{status.job}.{fmt}"',
    }


def _starts(byte_range: str) -> Sequence[int] | None:
    """Where the parts of a Range header begin, but for those that are counted from the end.

    None: it asks for everything, or it is none that we know: those are to be ignored.
    """
    given = byte_range.replace(" ", "")
    parts = [] if not _RANGE.fullmatch(given) else [part.split("-") for part in given.removeprefix("bytes=").split(",")]
    if not parts or parts == [["0", ""]] or any(first and last and int(first) > int(last) for first, last in parts):
        return None
    return [int(first) if first else 0 for first, _ in parts]


async def _file(front: Front, status: LogStatus, fmt: FileFormat, starts: Sequence[int]) -> Response:
    name = f"{status.job}-{status.epoch}.{fmt}"
    total = (await front.sounds.of(status.job)).samples
    path = await front.audio_cache.file(name, encoded(front.hub, status.job, fmt, total))
    size = (await asyncio.to_thread(path.stat)).st_size
    if min(starts) >= size:
        raise HTTPException(416, f"It has {size:,} bytes.", {"Content-Range": f"bytes */{size}"})
    return FileResponse(path, media_type=CONTENT_TYPES[fmt], headers=_headers(status, fmt))


@router.get("/{job}/captions.vtt", summary="Captions", response_class=PlainTextResponse)
async def get_captions(job: CastId, front: FrontDep) -> Response:
    """WebVTT: a cue per sentence that can be heard by now."""
    status = await front.casts.status(job)
    records = [Record(r.seq, r.type, r.headers) async for r in records_now(front.store.log_reader, job)]
    closed = status.state != "live"
    headers = {"Cache-Control": "public, max-age=3600" if closed else "no-cache"}
    body = await asyncio.to_thread(lambda: "".join(captions.webvtt(records)))  # of a book: seconds
    return Response(body, 200, headers, captions.CONTENT_TYPE)
