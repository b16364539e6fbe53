"""A cast as one audio file or stream, and its captions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from starlette.responses import FileResponse, PlainTextResponse

from contracts.ports import LogStatus
from contracts.records import Record
from producer_api.audio import captions
from producer_api.audio.encoders import CONTENT_TYPES, stream_bytes
from producer_api.audio.stream import encoded
from producer_api.follow.live import LiveResponse, started
from producer_api.follow.now import records_now
from producer_api.front import Front, FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.casts import CastId

router = APIRouter(prefix="/v1/casts", tags=["audio"], responses=RESPONSES)

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
    job: CastId, fmt: FileFormat, front: FrontDep, byte_range: Annotated[str | None, Header(alias="Range")] = None
) -> Response:
    """One continuous encoder for the whole response: no gap and no click at a seam. While the cast is made the stream
    follows its live edge; when it is finished, Range works. A stream that ends without its closing chunk was cut.
    """
    status = await front.casts.status(job)
    whole = byte_range is None or byte_range.replace(" ", "") == "bytes=0-"
    if status.state == "done" and not whole:
        return await _file(front, status, fmt)
    total = (await front.sounds.of(job)).samples if status.state == "done" else None
    pieces = await started(encoded(front.hub, job, fmt, total))
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
    return {
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        "Accept-Ranges": "bytes" if status.state == "done" else "none",
        "Content-Disposition": f'inline; filename="{status.job}.{fmt}"',
    }


async def _file(front: Front, status: LogStatus, fmt: FileFormat) -> Response:
    name = f"{status.job}-{status.epoch}.{fmt}"
    total = (await front.sounds.of(status.job)).samples
    path = await front.audio_cache.file(name, encoded(front.hub, status.job, fmt, total))
    return FileResponse(path, media_type=CONTENT_TYPES[fmt], headers={"Cache-Control": "no-cache"})


@router.get("/{job}/captions.vtt", summary="Captions", response_class=PlainTextResponse)
async def get_captions(job: CastId, front: FrontDep) -> Response:
    """WebVTT: a cue per sentence that can be heard by now."""
    status = await front.casts.status(job)
    records = [Record(r.seq, r.type, r.headers) async for r in records_now(front.store.log_reader, job)]
    closed = status.state != "live"
    headers = {"Cache-Control": "public, max-age=3600" if closed else "no-cache"}
    return Response("".join(captions.webvtt(records)), 200, headers, captions.CONTENT_TYPE)
