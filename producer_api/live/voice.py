"""Is this frame speech? WebRTC's voice detector, no model, which takes a thousandth of the audio's time; and loudness.

The detector alone goes on hearing speech in hiss that comes after a voice. Loudness alone hears speech in every door.
Together they still take some noises for speech: the worker looks again before it listens.
"""

from __future__ import annotations

import numpy as np
import webrtcvad  # type: ignore[import-untyped]

from producer_api.live.microphone import RATE

STRICTNESS = 2
"""Of WebRTC's detector, 0 to 3: at 3 it misses quiet words."""
LOUDER = 2.5
"""Speech is so much louder than the noise: 8 dB."""
GUARDED = 5.0
"""14 dB: what a browser's echo cancellation leaves of us is softer than who speaks into the microphone."""
FLOOR, LEAST = 0.003, 0.0001
"""The noise is taken for this to begin with (-50 dBFS), and never for less than -80 dBFS."""
RISE = 1.02
"""Per frame of 20 ms, 8.6 dB a second: a voice has dips between its syllables, noise has not."""


class Voice:
    """Of one speaker: it gets used to his noise."""

    def __init__(self) -> None:
        self._detector = webrtcvad.Vad(STRICTNESS)
        self._floor = FLOOR
        self.guarded = False
        """He hears us: what is not much louder than the noise is our echo."""

    def __call__(self, frame: bytes) -> bool:
        """Of 20 ms as Microphone.pcm gives it."""
        samples = np.frombuffer(frame, "<i2").astype(np.float32)
        loudness = float(np.sqrt(np.mean(np.square(samples)))) / 32_768
        self._floor = max(LEAST, min(self._floor * RISE, loudness))
        return (
            bool(self._detector.is_speech(frame, RATE))
            and loudness > (GUARDED if self.guarded else LOUDER) * self._floor
        )
