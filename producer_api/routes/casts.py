"""Casts: post a text, get a link; see where it stands; cancel it."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from contracts import voices
from producer_api.cast_models import CastRequest, CastView, Units, VoiceList
from producer_api.front import FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, Problem

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1", tags=["casts"], responses=RESPONSES)

CastId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{16}$", examples=["Zk3vT0x9yQm1LwPa"])]


@router.post(
    "/casts",
    status_code=201,
    summary="Speak a text",
    responses={200: {"model": CastView, "description": "The same recipe has been posted before: the same cast"}},
)
async def post_cast(request: CastRequest, http: Request, response: Response, front: FrontDep) -> CastView:
    """Answers at once with a link; the audio is made behind it. The same text, voice and speed give the same cast, so a
    POST may be repeated freely: what a crash left undone is submitted again. `Location` is the cast.

    With `open` or `source` it is a new cast each time, and its text comes while it is spoken.
    """
    address = http.client.host if http.client else ""
    if request.open or request.source is not None:
        new, cast = True, await front.open_casts.post(request, address=address)
    else:
        new, cast = await front.casts.post(request, address=address)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/casts/{cast.id}"
    return cast


_TEXT: dict[str, Any] = {
    "required": True, "content": {"text/plain": {"schema": {"type": "string"}, "example": "It was a dark night. "}},
}  # fmt: skip
_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "Not open, or somebody else writes to it", "content": {MEDIA_TYPE: {}}}
}


@router.post(
    "/casts/{job}/text",
    summary="Write to an open cast",
    responses={
        **_CONFLICT,
        413: {"model": Problem, "description": "Too much text in all", "content": {MEDIA_TYPE: {}}},
    },
    openapi_extra={"requestBody": _TEXT},
)
async def write_text(
    job: CastId, http: Request, front: FrontDep,
    close: Annotated[bool, Query(description="Close the cast behind it.")] = False,  # noqa: FBT002  a query parameter
) -> Units:  # fmt: skip
    """The body is UTF-8 text, and may come as slowly as it is written: a sentence is spoken once it is complete, while
    the body is still coming; the end of the body ends its last sentence. One writer at a time. What came before an
    error, or before the client left, is spoken.
    """
    address = http.client.host if http.client else ""
    try:
        return Units(units=await front.open_casts.write(job, http.stream(), address=address, close=close))
    except ClientDisconnect:
        logger.info("a writer has left", extra={"job": job})
        return Units(units=(await front.casts.status(job)).total)


@router.post("/casts/{job}/close", summary="Close an open cast", responses=_CONFLICT)
async def close_cast(job: CastId, front: FrontDep) -> CastView:
    """No more text comes: the cast ends with its last unit. One that is closed stays as it is."""
    await front.open_casts.close(job)
    return await front.casts.view(job)


@router.get("/casts/{job}", summary="Where a cast stands")
async def get_cast(job: CastId, front: FrontDep) -> CastView:
    """State, progress, and while it waits its position and the time until it may start."""
    return await front.casts.view(job)


@router.delete("/casts/{job}", summary="Cancel a cast")
async def cancel_cast(job: CastId, front: FrontDep) -> CastView:
    """Ends a cast that is being made, down to the engine; what has been made stays readable. A finished cast stays as
    it is. Leaving (closing the page, dropping a stream) never cancels.
    """
    await front.casts.status(job)  # a transcript is none
    await front.casts.cancel(job)
    return await front.casts.view(job)


@router.get("/voices", summary="Voices", tags=["voices"])
async def get_voices(front: FrontDep) -> VoiceList:
    """Every voice of the catalogue. `available`: a running worker has its data; `mixes`: it can be part of a mix."""
    return VoiceList(voices=await front.casts.voices(), default=voices.MODELS["kokoro"].default_voice)
