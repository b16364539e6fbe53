"""A request of /v1/audio/speech, and the cast it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from contracts import voices
from contracts.errors import BadInput
from producer_api.audio.encoders import AudioFormat
from producer_api.audio.libav import RATE
from producer_api.cast_models import CastRequest

OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
"""Names that clients have in their settings: the voice's model, or the default one."""

OPENAI_VOICES: dict[str, str] = {
    "alloy": "af_alloy", "ash": "am_adam", "ballad": "bm_george", "cedar": "am_fenrir", "coral": "af_bella",
    "echo": "am_echo", "fable": "bm_fable", "marin": "af_heart", "nova": "af_nova", "onyx": "am_onyx",
    "sage": "af_sarah", "shimmer": "af_sky", "verse": "am_puck",
}  # fmt: skip
"""Voices of ours under OpenAI's names: namesakes where there are any."""

FIELD_NAMES = {"text": "input"}
"""Ours -> OpenAI's, where they differ."""

_WORD = re.compile(r"[A-Za-z0-9_-]+")


class Inaudible(BaseModel):
    """Fields that clients of other speech servers send and that change nothing that is heard, at least as bounded here.

    Every other unknown field is refused: a client must not believe that it was heeded.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    stream: bool = Field(default=True, description="Kokoro-FastAPI, vLLM-Omni: the answer always comes as it is made.")
    return_download_link: bool = Field(default=False, description="Kokoro-FastAPI: `Link` always says where it stays.")
    return_timing: bool = Field(default=False, description="Kokoro-FastAPI: the cast's captions have the times.")
    download_format: AudioFormat | None = Field(
        default=None, description="Kokoro-FastAPI: the cast can be had in any format."
    )
    volume_multiplier: float = Field(default=1.0, ge=1, le=1, description="Kokoro-FastAPI: 1 only.")
    normalization_options: dict[str, Any] = Field(
        default_factory=dict, max_length=0, description="Kokoro-FastAPI: empty only."
    )
    sample_rate: int = Field(default=RATE, ge=RATE, le=RATE, description="speaches: Hz; this one only.")


def named(given: object) -> object:
    """`{"id": "af_heart"}` is `af_heart`."""
    if isinstance(given, Mapping):
        if list(given) != ["id"]:
            raise PydanticCustomError("voice", "a name, or an object with `id` alone")
        return given["id"]
    return given


_VOICE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}, "additionalProperties": False},
    ],
}  # fmt: skip
_ASKED: dict[str, Any] = {"model": "tts-1", "input": "Hello there. This is castline.", "voice": "alloy"}


class SpeechRequest(Inaudible):
    """What to speak, and how, in OpenAI's words. A field that is null counts as absent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _ASKED,
                {**_ASKED, "model": "kokoro", "voice": "af_bella(2)+af_sky(1)", "response_format": "opus"},
                {**_ASKED, "model": "gpt-4o-mini-tts", "stream_format": "sse", "response_format": "pcm"},
            ]
        }
    )

    input: str = Field(min_length=1, description="The text to speak; any length up to the server's bound.")
    model: str = Field(
        default=OPENAI_MODELS[0],
        description=f"{', '.join(voices.MODELS)}; {', '.join(OPENAI_MODELS)} mean the voice's model.",
    )
    voice: Annotated[str, BeforeValidator(named), WithJsonSchema(_VOICE_SCHEMA)] | None = Field(
        default=None,
        description="A voice of GET /v1/audio/voices, a mix of them with weights, or one of OpenAI's names; the "
        "model's default if absent.",
    )
    instructions: str | None = Field(
        default=None, description="Accepted; an engine that can not follow instructions ignores them, as all do so far."
    )
    response_format: AudioFormat = Field(
        default="mp3", description="pcm: 24 kHz, 16 bits, little-endian, mono, without a header."
    )
    speed: float = Field(default=1.0, ge=0.25, le=4.0, description="1 is the voice's own pace.")
    stream_format: Literal["audio", "sse"] = Field(default="audio", description="sse: events with base64 in them.")
    language: str | None = Field(default=None, description="BCP 47 tag; the voice's own if absent.", examples=["en-US"])
    lang_code: str | None = Field(
        default=None, description="Kokoro-FastAPI's name of `language`; a letter of Kokoro's will do.", examples=["a"]
    )
    ephemeral: bool = Field(
        default=False, description="Cancel the cast when the client leaves, if this request was its first."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Refused(BadInput):
    """What is wrong with the cast that is asked for, by the names of this surface; the status is OpenAI's."""

    status = 400

    def __init__(self, cause: BadInput, field: str) -> None:
        super().__init__(cause.detail, field=field)
        self.slug = cause.slug


def refusal(cause: BadInput, request: SpeechRequest) -> Refused:
    """The same, for a client of this surface."""
    if cause.field == "language" and request.lang_code is not None:
        return Refused(cause, "lang_code")
    return Refused(cause, FIELD_NAMES.get(cause.field, cause.field))


def cast_request(request: SpeechRequest) -> CastRequest:
    """The cast that is asked for. Raises BadInput."""
    known = (*voices.MODELS, *OPENAI_MODELS)
    if request.model not in known:
        raise BadInput(f"There is no speech model {request.model[:120]!r}; known: {', '.join(known)}.", field="model")
    language = _language(request)
    voice = None if request.voice is None else voice_of(request.voice)
    return CastRequest(
        text=request.input, voice=voice, model=None if request.model in OPENAI_MODELS else request.model,
        language=language, speed=request.speed,
    )  # fmt: skip


def voice_of(name: str) -> str:
    """A voice or a mix of ours, OpenAI's names in it replaced."""
    return _WORD.sub(lambda word: OPENAI_VOICES.get(word[0], word[0]), name)


def _language(request: SpeechRequest) -> str | None:
    """Raises BadInput if the two names of it differ."""
    code = request.lang_code
    if code is None:
        return request.language
    tag = voices.KOKORO_LANGUAGES.get(code.lower(), code)
    if request.language not in (None, tag):
        raise BadInput(f"lang_code: {code[:40]!r} is not the same as `language`.", field="lang_code")
    return tag
