"""What can be asked of /v1/audio/speech: voices and models, in the shapes that Open WebUI and others read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from contracts import voices
from producer_api.cast_models import VoiceView
from producer_api.front import FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, OpenAIProblem

_PROBLEM = {"model": OpenAIProblem, "description": "Any other problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(prefix="/v1/audio", tags=["openai"], responses={503: RESPONSES[503], "default": _PROBLEM})


class Voices(BaseModel):
    """Voices, as Kokoro-FastAPI lists them: since 0.4 with members, before that names alone."""

    voices: list[VoiceView] | list[str]


class SpeechModelView(BaseModel):
    """A speech model."""

    id: str = Field(examples=["kokoro"])
    name: str = Field(examples=["kokoro"])
    description: str
    available: bool = Field(description="A running worker has it.")


class SpeechModels(BaseModel):
    """Speech models, as Open WebUI reads them."""

    models: list[SpeechModelView]


@router.get("/voices", summary="Voices, as speech servers list them")
async def get_voices(
    front: FrontDep,
    legacy: Annotated[bool, Query(description="Names alone.")] = False,  # noqa: FBT002  a query parameter
) -> Voices:
    """Every voice of the catalogue. `available`: a running worker has its data. OpenAI's names are not among them, and
    can be asked for all the same.
    """
    listed = await front.casts.voices()
    return Voices(voices=[voice.id for voice in listed] if legacy else listed)


@router.get("/models", summary="Speech models, as Open WebUI reads them")
async def get_models(front: FrontDep) -> SpeechModels:
    """Every speech model. OpenAI's names are not among them, and can be asked for all the same."""
    running = await front.casts.models()
    known = voices.MODELS.values()
    return SpeechModels(
        models=[
            SpeechModelView(id=m.id, name=m.id, description=m.description, available=m.id in running) for m in known
        ]
    )
