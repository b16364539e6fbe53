"""Engine `tone`: a sine as long as the text would take. For tests, load tests and simulations; it says nothing."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time

import numpy as np

from contracts.errors import EngineStopped
from contracts.text.markup import shown
from workers.tts.speech import SAMPLE_RATE, Samples, Speech, Word
from workers.tts.words import shown_words

SECONDS_PER_CHARACTER = 0.06
AMPLITUDE = 0.25
_LOWEST_HZ = 200.0
_HZ_SPAN = 1_800.0


def tone_frequency(text: str) -> float:
    """Hz, from 200 to 2,000, by a hash of the text: a listener can check which text it hears."""
    digest = hashlib.sha256(text.encode()).digest()
    return _LOWEST_HZ + _HZ_SPAN * int.from_bytes(digest[:4], "big") / 2**32


class Tone:
    """The same text, white space at its ends apart, and speed give the same samples.

    xrt: how many seconds of audio it makes per second, kept by waiting; infinite: as fast as numpy. poison: for tests,
    a word that ends the engine process as a crash in a model's library would; "" is none.
    """

    name = "tone"
    model = "tone"
    remote = False
    quickens = False

    def __init__(self, xrt: float = math.inf, poison: str = "") -> None:
        self._xrt = xrt
        self._poison = poison

    def load(self) -> None:
        """Nothing to load."""

    def devices(self) -> tuple[str, str]:
        """Always the CPU."""
        return "cpu", "cpu"

    def voices(self) -> tuple[str, ...]:
        """The one voice."""
        return ("tone",)

    def speak(
        self,
        text: str,
        *,
        voice: str,  # noqa: ARG002
        language: str,  # noqa: ARG002
        speed: float,
        quick: bool,  # noqa: ARG002
        stop: threading.Event,
    ) -> Speech:
        """60 ms per character at speed 1. Raises EngineStopped."""
        if self._poison and self._poison in text:
            os.abort()
        started = time.monotonic()
        spoken = shown(text).strip()
        count = round(len(spoken) * SECONDS_PER_CHARACTER / speed * SAMPLE_RATE)
        phase = np.arange(count, dtype=np.float64) * (2 * math.pi * tone_frequency(spoken) / SAMPLE_RATE)
        samples: Samples = (AMPLITUDE * np.sin(phase)).astype(np.float32)
        due = count / SAMPLE_RATE / self._xrt
        if stop.wait(max(0.0, due - (time.monotonic() - started))):
            raise EngineStopped("stopped")
        words, at = [], 0
        for word in shown_words(spoken):
            at = spoken.index(word, at)
            edges = (round(n * SECONDS_PER_CHARACTER / speed * SAMPLE_RATE) for n in (at, at + len(word)))
            words.append(Word(word, *edges))
            at += len(word)
        return Speech(samples, tuple(words))
