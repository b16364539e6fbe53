"""What a speech engine is: text in, samples out."""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, 24,000 Hz, -1 to 1, shape (n,)."""

SAMPLE_RATE = 24_000


class SpeechEngine(Protocol):
    """One file per implementation in workers.tts.engines; the only place that imports its model library."""

    name: str
    """As it stands in records and metrics: kokoro-onnx, kokoro, espeak, tone."""
    model: str
    """Model of contracts.voices it serves."""

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
    ) -> Samples:
        """Speak one unit, untrimmed. quick: use every core for it. Raises UnitFailed, EngineStopped.

        An empty array means that the text holds nothing this engine can speak.
        """
        ...
