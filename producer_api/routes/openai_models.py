"""OpenAI's /v1/models: what can be asked for by name."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contracts.errors import UnknownModel
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, OpenAIProblem

router = APIRouter(prefix="/v1/models", tags=["openai"], responses={503: RESPONSES[503]})


class Model(BaseModel):
    """A model, as OpenAI lists it."""

    id: str = Field(examples=["small"])
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="Not known: 0.")
    owned_by: str = "castline"


class ModelList(BaseModel):
    """Models, as OpenAI lists them."""

    object: Literal["list"] = "list"
    data: list[Model]


async def _known(front: Front) -> list[Model]:
    """Models of every kind that running workers have."""
    kinds = await asyncio.gather(front.completions.models(), front.casts.models(), front.transcripts.models())
    return [Model(id=name) for names in kinds for name in names]


@router.get("", summary="Models that can be asked for")
async def get_models(front: FrontDep) -> ModelList:
    """Language models, speech models and hearing models that a running worker has, in this order."""
    return ModelList(data=await _known(front))


@router.get(
    "/{model:path}",
    summary="One model",
    responses={404: {"model": OpenAIProblem, "description": "No running worker has it", "content": {MEDIA_TYPE: {}}}},
)
async def get_model(model: str, front: FrontDep) -> Model:
    """One of them."""
    for known in await _known(front):
        if known.id == model:
            return known
    raise UnknownModel(model)
