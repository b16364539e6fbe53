"""What a speech engine is: text in, samples out."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, 24,000 Hz, -1 to 1, shape (n,)."""

SAMPLE_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text, as it stands there, and when it is spoken: samples from the beginning."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Speech:
    """What an engine says. words: in order; none where it does not know."""

    samples: Samples
    words: tuple[Word, ...] = ()

    def part(self, start: int, stop: int) -> Speech:
        """Its samples start to stop; words keep to it."""
        size = stop - start
        moved = (Word(w.text, *(min(max(at - start, 0), size) for at in (w.start, w.end))) for w in self.words)
        return Speech(self.samples[start:stop], tuple(moved))


def join(parts: Iterable[Speech]) -> Speech:
    """One after the other."""
    samples: list[Samples] = []
    words: list[Word] = []
    at = 0
    for part in parts:
        words += (Word(w.text, w.start + at, w.end + at) for w in part.words)
        samples.append(part.samples)
        at += part.samples.size
    return Speech(np.concatenate(samples) if samples else np.empty(0, np.float32), tuple(words))


def silence(seconds: float) -> Speech:
    """Nothing, for so long."""
    return Speech(np.zeros(round(seconds * SAMPLE_RATE), np.float32))


class SpeechEngine(Protocol):
    """One file per implementation in workers.tts.engines; the only place that imports its model library."""

    name: str
    """As it stands in records and metrics: kokoro-onnx, kokoro, elevenlabs, espeak, tone."""
    model: str
    """Model of contracts.voices it serves."""
    remote: bool
    """Somebody else's machine speaks, for money: nothing is spoken to try it."""

    @property
    def quickens(self) -> bool:
        """A quick unit takes every core, and is ready the sooner for it: others wait meanwhile."""
        ...

    def load(self) -> None:
        """Load everything. Raises ModelMissing with a line that says what to do."""
        ...

    def devices(self) -> tuple[str, str]:
        """(asked, active): cpu, cuda, …; an engine that fell back says so here."""
        ...

    def voices(self) -> tuple[str, ...]:
        """Ids of contracts.voices whose data is here."""
        ...

    def speak(
        self, text: str, *, voice: str, language: str, speed: float, quick: bool, stop: threading.Event
    ) -> Speech:
        """Speak a part of a unit, untrimmed. Raises UnitFailed, EngineStopped.

        quick: use every core for it, if the engine quickens. The text may say how words sound, see
        contracts.text.markup; pauses are none of the engine's business.
        No samples mean that the text holds nothing this engine can speak.
        """
        ...
