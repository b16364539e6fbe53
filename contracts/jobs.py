"""What front and workers say to each other: recipes, tickets, receipts, worker registrations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.units import Lane, Unit

JobClass = Literal["live", "bulk"]
"""live: somebody listens, deadlines count from now; bulk: due a day later."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SpeechRecipe(_Message):
    """Everything that decides how a text sounds; with the text it names the cast.

    The output format is not part of it: one canonical codec is stored and every response is encoded from it.
    """

    kind: Literal["tts"] = "tts"
    model: str
    model_version: str
    voice: str
    """Canonical mix, see voices.canonical_voice."""
    language: str
    """BCP 47 tag."""
    speed: float = Field(ge=0.25, le=4.0)
    normaliser: int
    """Version of the text normaliser and splitter: a change of either makes another cast."""
    completion: str = ""
    """Log whose text an open cast speaks while it is written; no part of any id, as open casts have random ones."""


class TranscriptRecipe(_Message):
    """Everything that decides what is heard in a recording; with the recording it names the transcript."""

    kind: Literal["stt"] = "stt"
    model: str
    language: str | None
    """ISO 639-1; None: detected once, from the beginning of the speech."""
    task: Literal["transcribe", "translate"]
    """translate: into English."""
    prompt: str
    hotwords: str
    temperature: float = Field(ge=0, le=1)
    words: bool
    """With times of words."""


class CompletionRecipe(_Message):
    """Who writes a completion. The text of its one unit is the request as it came, JSON of /v1/chat/completions."""

    kind: Literal["llm"] = "llm"
    model: str
    """Alias, see workers.llm_proxy."""


class CutOrder(_Message):
    """Text of the one unit of a transcript's `-cut` log: cut this recording into units of the transcript."""

    job: str
    epoch: str
    job_class: JobClass
    client: str
    blob: str
    """The recording, see ports.Blobs."""
    parts: int
    ttl_ms: int
    """Retention of the transcript, and of what is cut for it."""


class Spoken(_Message):
    """Where the audio of a piece is that somebody has just said: PCM, 16 bits, little-endian, 16,000 Hz, mono."""

    blob: str
    parts: list[int]
    """One after the other; what is longer than the piece is not of it."""
    interim: bool = False
    """A text for the moment, of a sentence that is not over."""
    turn: bool = False
    """Say how likely it is that the speaker has finished."""


class PieceOrder(_Message):
    """Text of a unit of a transcript: hear this piece of the recording."""

    start: int
    """ms in the recording."""
    end: int
    language: str
    """Empty: the engine finds out."""
    spoken: Spoken | None = None
    """None: the piece is part `index` of blob `job.epoch`, as the recording's cut has left it there."""


class HeardPiece(_Message):
    """Text of a unit of a transcript that is made again, in place of a PieceOrder: this was heard the last time."""

    heard: dict[str, Any]
    """Headers of its `segment` record."""


class Ticket(_Message):
    """Body of one persistent message on a job queue. It permits one unit of its lane, not necessarily this one."""

    v: Literal[1] = 1
    job: str
    epoch: str
    index: int = Field(ge=0)

    @property
    def unit(self) -> Unit:
        """The unit this ticket was issued for."""
        return Unit(self.job, self.epoch, self.index)


class Receipt(_Message):
    """Sent to the front's reply queue when a job is finished, correlation id = job id; the log holds the same."""

    v: Literal[1] = 1
    job: str
    state: Literal["done", "cancelled", "failed"]
    units: int
    skipped: int
    audio_ms: int
    gen_ms: int
    xrt: float
    voice: str


class WorkerInfo(_Message):
    """What a worker says of itself at start and with every heartbeat."""

    id: str
    pool: str
    lane: Lane
    engine: str
    model: str
    device_asked: str
    device_active: str
    voices: tuple[str, ...]
    """What it can be asked for: voices, or aliases of language models."""
    slots: int
    """Units it renders at once."""
    xrt: float
    """Seconds of audio made per second with all slots busy, measured."""
    rss_mb: int
    seen_ms: int
    """Milliseconds since 1970 of this heartbeat, by the clock of the store."""
