"""Smart Turn v3.2: from the sound of the last seconds, whether somebody has finished or only pauses to think.

Pipecat's model (BSD-2): the encoder of Whisper tiny on 8 s, and one output. It listens to melody and rhythm as well as
to words, and knows 23 languages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from contracts.errors import Misconfigured
from workers.stt.hearing import SAMPLE_RATE, Samples

WINDOW = 8 * SAMPLE_RATE
"""Samples it is given: the last ones; before a shorter piece there is silence."""

_FFT = 400
_HOP = 160
_BANDS = 80
_LINEAR_MELS = 15.0
"""Slaney's scale: 3 mels per 200 Hz up to 1 kHz, from there on 27 mels to every 6.4 times the frequency."""
_LOG_STEP = 27.0 / np.log(6.4)


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """What Whisper's encoder is given for a window, shape (80, 800): loudness in decades, 8 of them, scaled to 2.

    samples: any number; the level does not matter, as the whole window is brought to mean 0 and variance 1.
    """
    window = np.zeros(WINDOW, np.float64)
    last = samples[-WINDOW:]
    window[WINDOW - last.size :] = last
    window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(window, _FFT // 2, mode="reflect"), _FFT)[:-1:_HOP]
    power = np.abs(np.fft.rfft(frames * _HANN)) ** 2
    decades = np.log10(np.maximum(_FILTERS @ power.T, 1e-10))
    features: NDArray[np.float32] = ((np.maximum(decades, decades.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return features


def _filters() -> NDArray[np.float64]:
    """Triangles of equal area, equally wide in mels, shape (80, 201)."""
    top = _LINEAR_MELS + _LOG_STEP * np.log(SAMPLE_RATE / 2 / 1_000)
    mels = np.linspace(0.0, top, _BANDS + 2)
    edges = np.where(mels < _LINEAR_MELS, mels * 200 / 3, 1_000 * np.exp((mels - _LINEAR_MELS) / _LOG_STEP))
    bins = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    triangles = [np.interp(bins, edges[n : n + 3], (0.0, 1.0, 0.0)) for n in range(_BANDS)]
    return np.array(triangles) * (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]


_FILTERS = _filters()
_HANN = np.hanning(_FFT + 1)[:-1]


class SmartTurn:
    """The loaded model; may be called from several threads, each call takes one core for about 40 ms.

    Raises Misconfigured for a file that is no such model.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # two are slower: 57 ms
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self(np.zeros(0, np.float32))
        # its exceptions have no common class of their own
        except Exception as exc:
            raise Misconfigured(f"{path} is not Smart Turn v3: {str(exc).splitlines()[0]}") from exc

    def __call__(self, samples: Samples) -> float:
        """Probability, 0 to 1, that who speaks has finished. Silence at the end: 0.1 to 0.2 s, see docs/engines.md."""
        found = self._session.run(None, {"input_features": log_mel(samples)[np.newaxis]})
        return float(np.asarray(found[0]).reshape(-1)[0])
