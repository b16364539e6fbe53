"""A classifier of speech, like one of emotions, in an ONNX file of somebody's choice.

One input, float32 [1, n]: n samples at 16,000 Hz from -1 to 1. One output, [1, labels]: logits. Labels: a line each, in
a text file beside it, `ears.onnx` and `ears.txt`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from contracts.errors import Misconfigured, ModelMissing
from workers.stt.hearing import SAMPLE_RATE, Samples


class OnnxEar:
    """workers.stt.tone.ToneEar. One thread for each call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels: list[str] = []
        self._session: onnxruntime.InferenceSession | None = None

    def load(self) -> None:
        """As ToneEar; it is tried on a second of silence."""
        labels = self._path.with_suffix(".txt")
        for file in (self._path, labels):
            if not file.is_file():
                raise ModelMissing(
                    f'CASTLINE_STT_TONE is "", prosody, or an ONNX file with its labels beside it: there is no {file}'
                )
        self._labels = [line.strip() for line in labels.read_text().splitlines() if line.strip()]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
            found = self._logits(np.zeros(SAMPLE_RATE, np.float32)).shape
        # its exceptions have no common class of their own
        except Exception as exc:
            raise Misconfigured(f"{self._path} takes no samples [1, n]: {str(exc).splitlines()[0]}") from exc
        if found != (1, len(self._labels)):
            raise Misconfigured(f"{self._path} gives {list(found)} numbers, {labels} has {len(self._labels)} labels")

    def hear(self, samples: Samples) -> tuple[str, float]:
        """The likeliest label and its probability."""
        logits = self._logits(samples)[0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = int(np.argmax(odds))
        return self._labels[best], float(odds[best] / odds.sum())

    def _logits(self, samples: Samples) -> np.ndarray:
        assert self._session is not None  # noqa: S101  (set by load)
        [given] = self._session.get_inputs()
        [found] = self._session.run(None, {given.name: samples[np.newaxis]})
        return np.asarray(found)
