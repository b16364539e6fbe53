"""How something is said, by loudness, pitch and pace alone. It hears no emotion, see docs/engines.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.stt.hearing import SAMPLE_RATE, Samples

Floats = NDArray[np.float64]

LOUD_DB, QUIET_DB = -12.0, -32.0
"""Recordings and synthesised voices here are at -15 to -26 dB."""
PACE, PACE_STEP = 168.0, 36.0
SPREAD, SPREAD_STEP = 6.3, 4.6
"""Mean and two standard deviations of reading aloud: five recordings, twelve sentences by voices of Kokoro."""
CLEAR_DB = 25.0
"""Less between the loudest and the quietest frames: noise fills the pauses, and pace and pitch mean nothing."""
SHORTEST_S = 1.0
"""Less speech says nothing of its tone."""

_HOP = SAMPLE_RATE // 100
_WINDOW = 800
"""Samples of a frame, 50 ms: two periods of the lowest voice, and a bit."""
_LAGS = SAMPLE_RATE // 400, SAMPLE_RATE // 70
"""Periods that are looked for, samples: voices of 70 to 400 Hz."""
_APERIODIC = 0.15
"""Above this, by YIN's measure, a frame has no pitch; de Cheveigné and Kawahara (2002) take 0.1 to 0.15."""
_SOUNDING_DB = 25.0
"""What is further below the loudest frames is silence between words."""
_FLOOR_DB = -70.0
_VOICED = 20
"""Frames: with fewer there is no voice in it."""
_PAUSE = 20
"""Frames: of a longer rest so much counts as speech."""
_BANDS = ((8, 20), (20, 40), (40, 75), (75, 110))
"""Bins of 40 Hz: 0.3 to 0.8, 1.6, 3 and 4.4 kHz."""
_BAND_DB = 30.0


@dataclass(frozen=True, slots=True)
class Prosody:
    """What was measured in one piece."""

    level_db: float
    """RMS of the louder half of the speech; full scale is 0."""
    pitch_hz: float
    """Median."""
    spread: float
    """How far pitch goes up and down: semitones from its 10th to its 90th percentile."""
    pace: float
    """How quickly the spectrum changes, dB per second, mean of four bands."""
    range_db: float
    """From the quietest frames, with the noise of the room, to the loudest."""
    seconds: float
    """Of speech, without its pauses."""


class ProsodyEar:
    """workers.stt.tone.ToneEar: loud, quiet, lively, calm, or nothing where it is none of them."""

    def load(self) -> None:
        """Nothing to load."""

    def hear(self, samples: Samples) -> tuple[str, float] | None:
        """As ToneEar. Scores begin with 0.5 where a label does, and grow with the distance from there."""
        found = measure(samples)
        if found is None or found.seconds < SHORTEST_S:
            return None
        beyond_db = max(found.level_db - LOUD_DB, QUIET_DB - found.level_db)
        if beyond_db >= 0:
            return "loud" if found.level_db >= LOUD_DB else "quiet", min(1.0, 0.5 + beyond_db / 24)
        lively = (found.pace - PACE) / PACE_STEP + (found.spread - SPREAD) / SPREAD_STEP
        if abs(lively) < 1 or found.range_db < CLEAR_DB:
            return None
        return "lively" if lively > 0 else "calm", min(1.0, abs(lively) / 2)


def measure(samples: Samples) -> Prosody | None:
    """None where there is no voice in it."""
    if samples.size < 2 * _WINDOW:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), _WINDOW)[::_HOP]
    power = np.mean(np.square(frames), axis=1)
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    loudest = float(np.percentile(levels, 99))
    sounding = levels > max(loudest - _SOUNDING_DB, _FLOOR_DB)
    pitch = _pitch(frames)
    voiced = pitch[sounding & (pitch > 0)]
    if voiced.size < _VOICED:
        return None
    median = float(np.median(voiced))
    low, high = np.percentile(12 * np.log2(voiced / median), (10, 90))
    rests = np.diff(np.flatnonzero(sounding))
    louder = power[power >= np.median(power[sounding])]
    return Prosody(
        level_db=10 * float(np.log10(louder.mean())), pitch_hz=median, spread=float(high - low), pace=_pace(frames),
        range_db=loudest - float(np.percentile(levels, 5)),
        seconds=float(np.minimum(rests, _PAUSE).sum()) * _HOP / SAMPLE_RATE,
    )  # fmt: skip


def _pitch(frames: Floats) -> Floats:
    """Hz of each frame, 0 where it has none: YIN without interpolation, its steps are a quarter semitone at 200 Hz."""
    shortest, longest = _LAGS
    size = _WINDOW - longest
    length = 1 << (_WINDOW + size).bit_length()
    spectrum = np.fft.rfft(frames, length) * np.conj(np.fft.rfft(frames[:, :size], length))
    product = np.fft.irfft(spectrum, length)[:, : longest + 1]
    squares = np.pad(np.cumsum(np.square(frames), axis=1), ((0, 0), (1, 0)))
    lags = np.arange(longest + 1)
    difference = squares[:, size, np.newaxis] + squares[:, lags + size] - squares[:, lags] - 2 * product
    mean = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
    aperiodic = difference[:, shortest:] / np.maximum(mean[:, shortest - 1 :], 1e-12)
    low = np.maximum.accumulate(aperiodic < _APERIODIC, axis=1)
    # the first valley that is deep enough: later ones are periods of two, three, …
    valley = low[:, :-1] & (aperiodic[:, :-1] <= aperiodic[:, 1:])
    return np.where(valley.any(axis=1), SAMPLE_RATE / (shortest + np.argmax(valley, axis=1)), 0.0)


def _pace(frames: Floats) -> float:
    """Of frames every 10 ms. Pauses count, too: somebody who makes many of them is slow.

    Counts of syllables by peaks of loudness, and of voiced onsets, did not follow the speed of the same speech.
    """
    middle = slice(_WINDOW // 4, 3 * _WINDOW // 4)
    spectra = np.abs(np.fft.rfft(frames[::2, middle] * np.hanning(_WINDOW // 2), axis=1)) ** 2
    power = np.stack([spectra[:, first:last].sum(axis=1) for first, last in _BANDS], axis=1)
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    heard = np.maximum(levels, np.percentile(levels, 99, axis=0) - _BAND_DB)
    return float(np.abs(np.diff(heard, axis=0)).mean()) * SAMPLE_RATE / (2 * _HOP)
