"""Silence around a spoken unit: cut what the model made of it, put back the pause that the text asks for.

Kokoro begins with 0.3 s and ends with 0.5 s of silence; a listener hears the first as delay and the second as gaps.
Levels: its silence is 67 dB or more below the loudest 10 ms, its softest onsets (f, th, h) are within 45 dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.tts.speech import SAMPLE_RATE, Samples, Speech

PARAGRAPH_PAUSE_S = 0.6
SENTENCE_PAUSE_S = 0.28
CLAUSE_PAUSE_S = 0.12
WORD_PAUSE_S = 0.06
"""After a unit that was cut where there is no punctuation."""
LEAD_IN_S = 0.03
"""Kept before the first sound, so that soft onsets live."""
DECAY_S = 0.05
"""Kept after the last sound, so that its decay lives; it is a part of the pause."""

_FRAME = SAMPLE_RATE // 200
_BELOW_LOUDEST = 10 ** (-50 / 20)
_FLOOR = 10 ** (-80 / 20)
_FADE_IN = SAMPLE_RATE // 250
_FADE_OUT = SAMPLE_RATE // 100
_SENTENCE_ENDS = frozenset(".!?…。！？।")
_CLAUSE_ENDS = frozenset(",;:—–-")
_CLOSERS = "\"'”’»)]}*_"


def pause_after(text: str) -> float:
    """Seconds of pause at speed 1 after a unit, by its last characters, trailing white space included."""
    words = text.rstrip()
    if text[len(words) :].count("\n") >= 2:
        return PARAGRAPH_PAUSE_S
    last = words.rstrip(_CLOSERS)[-1:]
    if "\n" in text[len(words) :] or last in _SENTENCE_ENDS:
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if last in _CLAUSE_ENDS else WORD_PAUSE_S


def trim(speech: Speech, pause_s: float) -> Speech:
    """Cut the silence at both ends and end with pause_s seconds of it; no clicks, and words stay where they are heard.

    Samples without any sound come back as pause_s of silence; none stay none.
    """
    samples = speech.samples
    if samples.size == 0:
        return speech
    pause = round(pause_s * SAMPLE_RATE)
    sounding = np.flatnonzero(_levels(samples) > _threshold(samples))
    if sounding.size == 0:
        return Speech(np.zeros(max(pause, 1), np.float32))
    start = max(0, int(sounding[0]) * _FRAME - round(LEAD_IN_S * SAMPLE_RATE))
    last_sound = min(samples.size, (int(sounding[-1]) + 1) * _FRAME)
    stop = min(samples.size, last_sound + min(pause, round(DECAY_S * SAMPLE_RATE)))
    rest = max(0, pause - (stop - last_sound))
    kept = speech.part(start, stop)
    return Speech(np.concatenate([_faded(kept.samples), np.zeros(rest, np.float32)]), kept.words)


def _levels(samples: Samples) -> NDArray[np.float64]:
    """Root mean square of every 5 ms; the last frame may be shorter."""
    padded = np.pad(samples.astype(np.float64), (0, -samples.size % _FRAME))
    levels: NDArray[np.float64] = np.sqrt(np.mean(padded.reshape(-1, _FRAME) ** 2, axis=1))
    return levels


def _threshold(samples: Samples) -> float:
    return max(_FLOOR, float(_levels(samples).max()) * _BELOW_LOUDEST)


def _faded(samples: Samples) -> Samples:
    faded = samples.astype(np.float32)  # a copy: the caller's samples stay as they are
    for ramp, side in ((_FADE_IN, slice(None)), (_FADE_OUT, slice(None, None, -1))):
        size = min(ramp, faded.size)
        faded[side][:size] *= np.linspace(0, 1, size, endpoint=False, dtype=np.float32)
    return faded
