"""Engine `espeak`: eSpeak NG's formant voice. Robotic, instant, tiny: for tests, and as a fallback that is labelled."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import av
import numpy as np
from numpy.typing import NDArray

from contracts.errors import EngineStopped, UnitFailed
from contracts.text.markup import shown
from contracts.voices import VOICES
from workers.tts.espeak_library import ESPEAK_RATE, espeak
from workers.tts.speech import SAMPLE_RATE, Samples, Speech, Word
from workers.tts.words import shown_words


def to_canonical_rate(samples: NDArray[np.int16], rate: int) -> Samples:
    """Resampled to 24,000 Hz by libav's band-limited filter; round(n * 24,000 / rate) samples, full scale 1.0."""
    if samples.size == 0:
        return np.empty(0, np.float32)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
    frame.sample_rate = rate
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    wanted = round(samples.size * SAMPLE_RATE / rate)
    joined = np.concatenate([*parts, np.zeros(wanted, np.float32)])  # the filter may keep its last samples
    return joined[:wanted].astype(np.float32)


class Espeak:
    """One utterance at a time in the whole process: the library is not thread-safe. It runs 500 times real time."""

    name = "espeak"
    model = "espeak"
    remote = False
    quickens = False

    def load(self) -> None:
        """Load the library. Raises ModelMissing."""
        espeak()

    def devices(self) -> tuple[str, str]:
        """Always the CPU."""
        return "cpu", "cpu"

    def voices(self) -> tuple[str, ...]:
        """All of them: their data is in the library's package."""
        return tuple(v.id for v in VOICES.values() if v.model == self.model)

    def speak(
        self,
        text: str,
        *,
        voice: str,
        language: str,  # noqa: ARG002
        speed: float,
        quick: bool,  # noqa: ARG002
        stop: threading.Event,
    ) -> Speech:
        """Speak in the voice's own language, by spelling alone. Raises UnitFailed, EngineStopped."""
        known = VOICES.get(voice)
        if known is None or known.model != self.model:
            raise UnitFailed(f"voice {voice!r} is none of eSpeak's")
        text = shown(text)
        heard, begun = espeak().speak(text, known.language, speed, stop)
        if stop.is_set():
            raise EngineStopped("stopped")
        if not heard.any():  # its answer to a text of punctuation alone
            return Speech(np.empty(0, np.float32))
        samples = to_canonical_rate(heard, ESPEAK_RATE)
        return Speech(samples, tuple(_words(text, begun, samples.size)))


def _words(text: str, begun: Sequence[tuple[int, int, int]], size: int) -> Iterator[Word]:
    """A word lasts until the next one."""
    starts = [ms * SAMPLE_RATE // 1000 for _, _, ms in begun]
    for (first, last, _), start, end in zip(begun, starts, [*starts[1:], size], strict=False):
        for word in shown_words(text[first:last])[:1]:
            yield Word(word, min(start, size), min(max(start, end), size))
