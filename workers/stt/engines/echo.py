"""Engine `echo`: says how long a piece is and a hash of its samples. For tests, load tests and simulations."""

from __future__ import annotations

import hashlib
import math
import os
import threading

import numpy as np
from numpy.typing import NDArray

from contracts.errors import EngineStopped
from workers.stt.hearing import PER_MS, SAMPLE_RATE, Activity, Heard, HearOptions, Samples, Segment, Task, Word

_LOUD = 0.01
"""-40 dB: what is louder on average is taken for speech."""


def echo_text(samples: Samples) -> str:
    """`8000 ms 1f3a5c7e`: the same samples, within 16 bits, give the same text."""
    pcm = np.round(samples * 32_767).astype("<i2").tobytes()
    return f"{samples.size // PER_MS} ms {hashlib.sha256(pcm).hexdigest()[:8]}"


class Loudness:
    """workers.stt.hearing.Activity: loud is speech."""

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """1 or 0."""
        loud: NDArray[np.float32] = (np.sqrt(np.mean(np.square(frames), axis=1)) > _LOUD).astype(np.float32)
        return loud


class Echo:
    """Every piece is one segment, and its words share the time.

    xrt: how many seconds of audio it hears per second, kept by waiting; infinite: at once. poison: for tests, a word
    of a prompt or of a text that ends the engine process as a crash in a model's library would; "" is none.
    """

    name = "echo"
    model = "echo"

    def __init__(self, xrt: float = math.inf, poison: str = "") -> None:
        self._xrt = xrt
        self._poison = poison

    def load(self) -> None:
        """Nothing to load."""

    def devices(self) -> tuple[str, str]:
        """Always the CPU."""
        return "cpu", "cpu"

    def probe(self) -> float:
        """What it pretends; 10,000 where it does not wait."""
        return min(self._xrt, 10_000.0)

    def check(self, language: str | None, task: Task) -> None:
        """It takes everything."""

    def activity(self) -> Activity:
        """No model either."""
        return Loudness()

    def turn(self, samples: Samples) -> float:
        """0.1 for a sound whose last third is twice as loud as its first, without silence; else 0.9."""
        step = SAMPLE_RATE // 100
        levels = np.sqrt(np.mean(np.square(samples[: samples.size // step * step].reshape(-1, step)), axis=1))
        sounding = levels[levels > _LOUD]
        first, _, last = np.array_split(sounding, 3)
        return 0.1 if last.size and last.mean() >= 2 * first.mean() else 0.9

    def detect_language(self, samples: Samples) -> tuple[str, float]:  # noqa: ARG002
        """Always English."""
        return "en", 1.0

    def transcribe(self, samples: Samples, options: HearOptions, stop: threading.Event) -> Heard:
        """Raises EngineStopped."""
        text = echo_text(samples)
        if self._poison and self._poison in f"{options.prompt} {text}".split():
            os.abort()
        duration_ms = samples.size // PER_MS
        if stop.wait(duration_ms / 1_000 / self._xrt):
            raise EngineStopped("stopped")
        words = text.split()
        times = [duration_ms * i // len(words) for i in range(len(words) + 1)]
        heard = tuple(
            Word(start, end, f" {word}", 1.0) for start, end, word in zip(times, times[1:], words, strict=False)
        )
        segment = Segment(0, duration_ms, text, 0.0, 0.0, 1.0, options.temperature)
        return Heard(text, options.language, (segment,), heard if options.words else ())
