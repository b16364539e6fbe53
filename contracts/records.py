"""Records: the entries of a log. Frozen, dense, first write wins; a terminal record is the last one.

A tts log is `meta` (seq 0), one `audio` or `skip` per unit (seq = index + 1) and one terminal record; an stt log has
`segment` in place of `audio`, and grows while its recording is cut; an llm log has one unit: `start` per attempt, and
`delta` records while it is written.
LOG_VERSION stands in `meta` as `v`; readers ignore header fields they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

LOG_VERSION = 1

RecordType = Literal[
    "meta", "start", "audio", "skip", "partial", "segment", "cut", "delta", "eos", "error", "cancelled"
]  # fmt: skip
RECORD_TYPES: frozenset[str] = frozenset(get_args(RecordType))
TERMINAL: frozenset[str] = frozenset({"eos", "error", "cancelled"})


class _Headers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CastMeta(_Headers):
    """Headers of a cast's `meta` record: the public recipe. Never the owner, never a secret."""

    v: int = LOG_VERSION
    """Version of the log format."""
    kind: Literal["tts"] = "tts"
    model: str
    model_version: str
    voice: str
    language: str
    speed: float
    title: str
    created: int
    """Milliseconds since 1970, server time."""


class AudioHeaders(_Headers):
    """Headers of an `audio` record; its body is one unit in the canonical codec (Ogg-Opus, mono)."""

    i: int
    """Index of the unit."""
    d: int
    """Duration, ms."""
    t: str
    """The text that is spoken, trailing white space removed."""
    n: int
    """Samples at 24,000 Hz; the body decodes to exactly this many."""
    g: int
    """Engine time that made it, ms."""
    a: int
    """Attempt that made it, from 1."""
    w: str
    """Worker that made it."""
    engine: str
    """Engine that made it: a fallback is labelled."""
    words: list[dict[str, Any]] = []
    """w (as it stands in t), s and e (ms from the beginning of the unit), where the engine knows them."""


class TranscriptMeta(_Headers):
    """Headers of a transcript's `meta` record."""

    v: int = LOG_VERSION
    kind: Literal["stt"] = "stt"
    model: str
    language: str | None
    """As asked for; None: detected, see `segment`."""
    task: str
    title: str
    created: int


class ToneOfVoice(_Headers):
    """How a piece was said."""

    label: str
    """As the worker's ear for it calls it: `calm`, `lively`, `loud`, `quiet`, or labels of a model."""
    score: float
    """0 to 1."""


class SegmentHeaders(_Headers):
    """Headers of a `segment` record: what was heard in one piece of the recording. All times are ms from its start."""

    i: int
    start: int
    end: int
    t: str
    language: str
    segments: list[dict[str, Any]]
    """Sentences or so: start, end, text, and avg_logprob, no_speech_prob, compression_ratio, temperature of Whisper."""
    words: list[dict[str, Any]] = []
    """start, end, word, probability; empty unless asked for."""
    turn: float | None = None
    """How likely it is that the speaker has finished, 0 to 1; where it was asked for and the worker can tell."""
    tone: ToneOfVoice | None = None
    """Where the worker listens for it and is sure."""
    g: int
    a: int
    w: str
    engine: str


class CompletionMeta(_Headers):
    """Headers of a completion's `meta` record."""

    v: int = LOG_VERSION
    kind: Literal["llm"] = "llm"
    model: str
    """Alias, as asked for."""
    title: str
    request: str = ""
    """Keyed hash of the request: what comes again with its Idempotency-Key must be the same."""
    created: int


class StartHeaders(_Headers):
    """Headers of a `start` record: an attempt begins to write, and readers drop what they had before it."""

    i: int
    a: int
    """Attempt, from 1."""
    w: str
    upstream: str
    model: str
    """As the upstream calls it."""


class DeltaHeaders(_Headers):
    """Headers of a `delta` record: what came within 25 ms.

    Its body is the upstream's chunks (chat.completion.chunk) as they came, each on a line.
    """

    i: int
    t: str
    """Text of the first choice in them."""


class CompletionEnd(_Headers):
    """Headers of a completion's `eos` record."""

    i: int
    finish_reason: str | None
    """Of the first choice."""
    usage: dict[str, Any] | None
    """As the upstream counts."""
    upstream: str
    model: str
    ttft_ms: int
    """From the request to the upstream to its first token."""
    g: int
    """From the request to the upstream to its last, ms."""
    a: int
    w: str


class SkipHeaders(_Headers):
    """Headers of a `skip` record: the unit failed for good; a player shows the text and goes on."""

    i: int
    t: str
    reason: str


class CastTotals(_Headers):
    """Headers of a cast's `eos` record, and the figures of its receipt."""

    units: int
    skipped: int
    audio_ms: int
    gen_ms: int
    """Engine time summed over units, ms."""
    xrt: float
    """audio_ms / gen_ms: how many times faster than real time one engine slot was."""


@dataclass(frozen=True)
class Record:
    """One entry of a log. seq: dense from 0; type: see RecordType; headers: a small JSON object; body: bytes."""

    seq: int
    type: str
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    @property
    def terminal(self) -> bool:
        """True for the last record of a log."""
        return self.type in TERMINAL

    @cached_property
    def head(self) -> bytes:
        """JSON of {seq, e, …headers}, UTF-8, without the body: what every framing starts from."""
        return to_json({"seq": self.seq, "e": self.type, **self.headers})


def to_json(value: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON: the form in which headers are stored and sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
