"""Completions as logs: where one stands, cancel it; records and follow are as of a cast."""

from __future__ import annotations

from fastapi import APIRouter

from producer_api.completion_models import CompletionView
from producer_api.front import FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.casts import CastId

router = APIRouter(prefix="/v1/completions", tags=["completions"], responses=RESPONSES)


@router.get("/{job}", summary="Where a completion stands")
async def get_completion(job: CastId, front: FrontDep) -> CompletionView:
    """State, its text by now, and once it is done what the upstream has counted. `X-Castline-Completion` of
    `POST /v1/chat/completions` names it.
    """
    return await front.completions.view(job)


@router.delete("/{job}", summary="Cancel a completion")
async def cancel_completion(job: CastId, front: FrontDep) -> CompletionView:
    """Ends a completion that is being written: the request to the upstream is aborted; what was written stays readable.
    A finished one stays as it is.
    """
    await front.completions.cancel(job)
    return await front.completions.view(job)
