"""What clients say and are told of transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from contracts.errors import BadInput
from contracts.jobs import JobClass
from contracts.topology import DEFAULT_HEARING_MODEL
from producer_api.live.microphone import AudioFormat

PROMPT_CHARS = 4_000
TITLE_CHARS = 200


class HearingRequest(BaseModel):
    """How to hear."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    model: str = Field(
        default=DEFAULT_HEARING_MODEL, description="Hearing model.", pattern=r"^[a-z0-9_-]{1,32}$", examples=["whisper"]
    )
    language: str | None = Field(
        default=None,
        description="Language that is spoken (ISO 639-1); detected once if absent.",
        pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        examples=["en"],
    )
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="`translate`: into English.")
    prompt: str = Field(default="", max_length=PROMPT_CHARS, description="Names and style to expect.")
    hotwords: str = Field(default="", max_length=PROMPT_CHARS, description="Words that are likely to come.")
    temperature: float = Field(default=0.0, ge=0, le=1)
    words: bool = Field(default=False, description="With times of words.")
    title: str = Field(default="", max_length=TITLE_CHARS, description="Shown in lists; the file's name if absent.")


class TranscriptRequest(HearingRequest):
    """How to hear a recording; the recording itself comes beside it."""

    job_class: JobClass = Field(default="live", alias="class", description="`bulk`: within the day.")


class LiveRequest(HearingRequest):
    """How to hear what is being said."""

    audio_format: AudioFormat = Field(
        default="pcm16", alias="format", description="`pcm16`: little-endian, mono; `opus`: a packet per message."
    )
    sample_rate: Literal[8_000, 16_000, 24_000, 32_000, 44_100, 48_000] = Field(
        default=16_000, description="Of `pcm16`, Hz."
    )
    pause_ms: int = Field(default=600, ge=200, le=5_000, description="Silence that ends an utterance.")
    interim: bool = Field(default=True, description="With `partial` texts of what is being said.")

    @field_validator("sample_rate", mode="before")
    @classmethod
    def _number(cls, value: str | int) -> str | int:
        return int(value) if isinstance(value, str) and value.isdecimal() else value


Asked = TypeVar("Asked", bound=HearingRequest)


def asked(kind: type[Asked], fields: Mapping[str, Any]) -> Asked:
    """A request out of the fields of a form or a query. Raises BadInput."""
    try:
        return kind.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{field}: {first['msg']}.", field=field) from exc


class TranscriptLinks(BaseModel):
    """Paths of a transcript, relative to this server."""

    self: str
    records: str
    stream: str
    follow: str
    text: dict[str, str]


class TranscriptView(BaseModel):
    """Where a transcript stands."""

    id: str = Field(examples=["Zk3vT0x9yQm1LwPa"])
    state: Literal["waiting", "live", "done", "cancelled", "failed"]
    """waiting: nothing of it has been heard yet; failed: see its `error` record."""
    model: str
    language: str | None
    """As asked for; null: detected, see its segments."""
    task: str
    title: str
    job_class: JobClass = Field(serialization_alias="class")
    cut: bool
    """Whether the whole recording has been cut into units."""
    units: int
    """Pieces known so far."""
    watermark: int
    """How many of them can be read, from the first on."""
    skipped: int
    audio_ms: int
    """Speech that was heard."""
    gen_ms: int
    """Engine time, ms."""
    xrt: float | None
    """audio_ms / gen_ms."""
    position: int | None
    """Waiting jobs that are started before it; null once it is in work."""
    workers: int
    """Workers that can hear it now."""
    created: int
    """Milliseconds since 1970."""
    expires: int
    links: TranscriptLinks


def links(job: str) -> TranscriptLinks:
    """Paths of a transcript."""
    base = f"/v1/transcripts/{job}"
    formats = ("txt", "srt", "vtt", "json")
    return TranscriptLinks(
        self=base, records=f"{base}/records", stream=f"{base}/stream", follow=f"{base}/follow",
        text={fmt: f"{base}/transcript.{fmt}" for fmt in formats},
    )  # fmt: skip
