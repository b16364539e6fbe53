"""What clients say and are told of casts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobClass

TITLE_CHARS = 200


class CastRequest(BaseModel):
    """What to speak, and how."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, frozen=True,
        json_schema_extra={"examples": [{"text": "Hello there. This is castline.", "voice": "af_heart"}]},
    )  # fmt: skip

    text: str = Field(description="The text to speak; any length up to the server's bound.", min_length=1)
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


class Links(BaseModel):
    """Paths of a cast, relative to this server."""

    page: str
    self: str
    records: str
    follow: str
    captions: str
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
        page=f"/c/{job}", self=base, records=f"{base}/records", follow=f"{base}/follow",
        captions=f"{base}/captions.vtt",
        audio={fmt: f"{base}/audio.{fmt}" for fmt in ("opus", "mp3", "wav", "flac")},
    )  # fmt: skip
