"""HLS: a playlist per cast, immutable segments, for players that know nothing of castline."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Response

from contracts.codec import decode_chunk
from contracts.errors import UnknownLog
from contracts.ports import LogStatus
from producer_api.audio import fragments, hls
from producer_api.audio.sounds import Sounds
from producer_api.follow.reading import MAX_OFFSET
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, Problem
from producer_api.routes.casts import CastId

router = APIRouter(prefix="/v1/casts", tags=["audio"], responses=RESPONSES)

HOLD_S = 15.0
"""hls.js takes a playlist without a segment for broken, and waits 20 s for an answer."""
FOREVER = "public, max-age=31536000, immutable"
MAX_SAMPLE = 10**12

_EXAMPLE = (
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n#EXT-X-PLAYLIST-TYPE:EVENT\n"
    '#EXT-X-MAP:URI="hls/init.mp4"\n#EXTINF:1.600000,\nhls/49a4f359-1-0-0.m4s\n'
)
_SEGMENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Fragmented MP4 with FLAC", "content": {fragments.SEGMENT_TYPE: {}}}
}


@router.get(
    "/{job}/live.m3u8",
    summary="Listen by HLS",
    response_class=Response,
    responses={
        200: {"description": "EVENT playlist", "content": {hls.PLAYLIST_TYPE: {"example": _EXAMPLE}}},
        503: {"model": Problem, "description": "Nothing can be heard yet; ask again", "content": {MEDIA_TYPE: {}}},
    },
)
async def get_playlist(job: CastId, front: FrontDep) -> Response:
    """Grows while the cast is made, and has `EXT-X-ENDLIST` once it has ended. Before the first sound it waits for it,
    up to 15 s; then it is a 503 with `Retry-After`, as no player likes a playlist without a segment.
    """
    status = await front.casts.status(job)
    if status.state == "live":
        front.glances.asked(status)
    sounds = await _begun(front, status)
    if not (sounds.heard or sounds.closed):
        raise HTTPException(503, "Nothing of this cast can be heard yet; ask again.", {"Retry-After": "2"})
    age_s = 60 if sounds.closed else 1
    headers = {"Cache-Control": f"public, max-age={age_s}"}
    return Response(hls.playlist(sounds), 200, headers, hls.PLAYLIST_TYPE)


async def _begun(front: Front, status: LogStatus) -> Sounds:
    """What can be heard, after waiting for the first of it. Raises UnknownLog."""
    sounds = await front.sounds.of(status.job)
    if sounds.heard or sounds.closed:
        return sounds
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HOLD_S):
            async with contextlib.aclosing(front.hub.follow(status.job, 1, heard=False)) as runs:  # type: ignore[type-var]
                async for run in runs:
                    if any(record.type == "audio" for record in run):
                        break
    return await front.sounds.of(status.job)


@router.get(
    "/{job}/hls/init.mp4", summary="HLS: what comes before a segment", response_class=Response, responses=_SEGMENT
)
async def get_init(job: CastId, front: FrontDep) -> Response:
    """The same for every cast."""
    await front.casts.status(job)
    return Response(
        await asyncio.to_thread(fragments.init_segment), 200, {"Cache-Control": FOREVER}, fragments.INIT_TYPE
    )


@router.get(
    "/{job}/hls/{epoch}-{seq:int}-{part:int}-{start:int}.m4s",
    summary="HLS: a segment", response_class=Response, responses=_SEGMENT,
)  # fmt: skip
async def get_segment(
    job: CastId,
    epoch: Annotated[str, Path(pattern=r"^[0-9a-f]{1,16}$", examples=["49a4f359"])],
    seq: Annotated[int, Path(ge=0, le=MAX_OFFSET, description="Record.", examples=[1])],
    part: Annotated[int, Path(ge=0, le=MAX_OFFSET, description="Which of its parts.", examples=[0])],
    start: Annotated[int, Path(ge=0, le=MAX_SAMPLE, description="First sample, from the cast's.", examples=[0])],
    front: FrontDep,
) -> Response:
    """One sentence, or a part of a long one, as the playlist names it. Its address says all it takes, so no record but
    its own is read, and it never changes.
    """
    await front.casts.status(job)
    page = await front.store.log_reader.read(job, seq, max_records=1)
    record = page.records[0] if page and page.epoch == epoch and page.records else None
    parts = fragments.cut(int(record.headers["n"])) if record and record.type == "audio" else []
    if record is None or part >= len(parts):
        raise UnknownLog(f"{job}/hls/{epoch}-{seq}-{part}")
    body, (begin, end) = record.body, parts[part]

    def make() -> bytes:
        return fragments.media_segment(decode_chunk(body)[begin:end], start, fragments.number(seq, part))

    data = await front.segments.get((job, epoch, seq, part, start), make)
    return Response(data, 200, {"Cache-Control": FOREVER}, fragments.SEGMENT_TYPE)
