"""What a hearing engine is: samples in, text out. And the words for both."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, 16,000 Hz, -1 to 1, shape (n,)."""

SAMPLE_RATE = 16_000
PER_MS = SAMPLE_RATE // 1_000
FRAME = 512
"""Samples a voice detector looks at in one step: 32 ms."""

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True)
class HearOptions:
    """How to hear one piece.

    language: ISO 639-1; task: translate gives English; prompt: text that comes before, for spelling and style;
    hotwords: words that are likely; temperature: 0 starts there and rises when the text looks wrong, more is taken as
    it is; words: times of words, too; fast: soon rather than well, for a text that is replaced in a moment.
    """

    language: str
    task: Task = "transcribe"
    prompt: str = ""
    hotwords: str = ""
    temperature: float = 0.0
    words: bool = False
    fast: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One word, with the space before it where there is one. Times: ms from the start of the piece."""

    start_ms: int
    end_ms: int
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or so. Times: ms from the start of the piece; the rest as Whisper gives it."""

    start_ms: int
    end_ms: int
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one piece. words: empty unless they were wanted."""

    text: str
    language: str
    segments: tuple[Segment, ...]
    words: tuple[Word, ...] = ()


class Activity(Protocol):
    """A voice detector that goes through one file; it remembers what came before."""

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """Probability of speech in each frame, shape (n,). frames: the next ones, shape (n, FRAME)."""
        ...


class HearingEngine(Protocol):
    """One file per implementation in workers.stt.engines; the only place that imports its model library."""

    name: str
    """As it stands in records and metrics: faster-whisper, echo."""
    model: str
    """Name of the model: whisper-base, whisper-tiny.en, echo."""

    def load(self) -> None:
        """Load everything. Raises ModelMissing with a line that says what to do, or Misconfigured."""
        ...

    def devices(self) -> tuple[str, str]:
        """(asked, active): cpu, cuda."""
        ...

    def probe(self) -> float:
        """Warm up; seconds of audio heard per second by one slot."""
        ...

    def check(self, language: str | None, task: Task) -> None:
        """Raises BadInput for a language or a task the model does not know. None: to be detected."""
        ...

    def activity(self) -> Activity:
        """A voice detector for one file."""
        ...

    def turn(self, samples: Samples) -> float | None:
        """Probability that who speaks has finished with the last sample, 0 to 1; None: it has no model for that."""
        ...

    def detect_language(self, samples: Samples) -> tuple[str, float]:
        """(ISO 639-1, probability) of at most 30 s of speech."""
        ...

    def transcribe(self, samples: Samples, options: HearOptions, stop: threading.Event) -> Heard:
        """Hear one piece of at most 30 s. Raises BadInput as check does, EngineStopped."""
        ...
