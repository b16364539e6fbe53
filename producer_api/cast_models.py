"""What clients say and are told of casts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.jobs import JobClass

TITLE_CHARS = 200


class TextSource(BaseModel):
    """Where a cast gets its text from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    completion: str = Field(pattern=r"^[A-Za-z0-9_-]{16}$", description="Id of a completion, of this server.")


class CastRequest(BaseModel):
    """What to speak, and how."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, frozen=True,
        json_schema_extra={"examples": [{"text": "Hello there. This is castline.", "voice": "af_heart"}]},
    )  # fmt: skip

    text: str = Field(
        default="",
        min_length=0,  # with a bound on its length a text is looked at: lone surrogates are refused
        description="The text to speak; any length up to the server's bound. May be empty if more comes.",
    )
    open: bool = Field(
        default=False, description="More text comes, by `POST /v1/casts/{id}/text`: each such cast is a new one."
    )
    source: TextSource | None = Field(
        default=None, description="Speak this while it is written; the cast is open until it ends."
    )
    voice: str | None = Field(
        default=None,
        description="A voice of GET /v1/voices, or a mix of them with weights.",
        examples=["af_heart", "af_bella(2)+af_sky(1)"],
    )
    model: str | None = Field(
        default=None, description="Speech model; decided by the voice if absent.", examples=["kokoro"]
    )
    language: str | None = Field(default=None, description="BCP 47 tag; the voice's own if absent.", examples=["en-US"])
    speed: float = Field(default=1.0, ge=0.25, le=4.0, description="1 is the voice's own pace.")
    title: str = Field(default="", max_length=TITLE_CHARS, description="Shown on the cast's page.")
    job_class: JobClass = Field(
        default="live",
        alias="class",
        description="`live`: somebody waits; `bulk`: within the day, behind everything live.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.source is not None and self.text:
            raise ValueError("a text or a source, not both")
        if not (self.text or self.open or self.source):
            raise ValueError("a text, a source, or `open`")
        return self


class Units(BaseModel):
    """How many units a cast has now."""

    units: int


class VoiceView(BaseModel):
    """A voice of the catalogue."""

    id: str = Field(examples=["af_heart"])
    name: str = Field(examples=["af_heart"])
    model: str = Field(examples=["kokoro"])
    language: str = Field(description="BCP 47 tag it speaks by default.", examples=["en-US"])
    gender: str = Field(description="female, male or neutral.", examples=["female"])
    mixes: bool = Field(description="It can be part of a mix.")
    available: bool = Field(description="A running worker has its data.")


class VoiceList(BaseModel):
    """The catalogue of voices."""

    voices: list[VoiceView]
    default: str = Field(examples=["af_heart"])


class Links(BaseModel):
    """Paths of a cast, relative to this server."""

    page: str
    self: str
    records: str
    stream: str
    follow: str
    captions: str
    hls: str
    audio: dict[str, str]


class CastView(BaseModel):
    """Where a cast stands."""

    id: str = Field(examples=["Zk3vT0x9yQm1LwPa"])
    state: Literal["waiting", "live", "done", "cancelled", "failed"]
    """waiting: nothing of it is in work yet; live: it is being made."""
    model: str
    voice: str
    language: str
    speed: float
    title: str
    job_class: JobClass = Field(serialization_alias="class")
    units: int
    """Sentences and clauses it was cut into."""
    watermark: int
    """How many of them can be heard, from the first on."""
    skipped: int
    open: bool
    """More units may come: `units` is not the end."""
    audio_ms: int
    gen_ms: int
    """Engine time, ms."""
    xrt: float | None
    """audio_ms / gen_ms."""
    lead_ms: int | None
    """Audio made minus time since playback could start; null before that and after the end."""
    position: int | None
    """Waiting casts that are started before it; null once it is in work."""
    eta_ms: int | None
    """How long until its first unit may be heard, estimated from the workers' measured speed; null if unknown."""
    workers: int
    """Workers that can make it now."""
    created: int
    """Milliseconds since 1970."""
    expires: int
    links: Links


def links(job: str) -> Links:
    """Paths of a cast."""
    base = f"/v1/casts/{job}"
    return Links(
        page=f"/c/{job}", self=base, records=f"{base}/records", stream=f"{base}/stream", follow=f"{base}/follow",
        captions=f"{base}/captions.vtt", hls=f"{base}/live.m3u8",
        audio={fmt: f"{base}/audio.{fmt}" for fmt in ("opus", "mp3", "aac", "wav", "flac")},
    )  # fmt: skip
