"""Casts: post a text, get a link; see where it stands; cancel it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from contracts import voices
from contracts.topology import speech_lane
from producer_api.cast_models import CastRequest, CastView
from producer_api.front import FrontDep
from producer_api.problems import RESPONSES

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
    """
    new, cast = await front.casts.post(request, address=http.client.host if http.client else "")
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/casts/{cast.id}"
    return cast


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
async def get_voices(front: FrontDep) -> dict[str, object]:
    """Every voice of the catalogue. `available`: a running worker has its data."""
    loaded: set[str] = set()
    for model in voices.MODELS:
        for worker in await front.store.scheduler.workers(speech_lane(model)):
            loaded.update(worker.voices)
    listed = [
        {"id": v.id, "model": v.model, "language": v.language, "gender": v.gender, "available": v.id in loaded}
        for v in voices.VOICES.values()
    ]
    return {"voices": listed, "default": voices.MODELS["kokoro"].default_voice}
