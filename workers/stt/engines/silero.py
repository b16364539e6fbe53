"""Silero VAD, the voice detector that comes with faster-whisper, going through a file piece by piece."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from contracts.errors import ModelMissing
from workers.stt.hearing import Samples

_ASSET = Path("assets") / "silero_vad_v6.onnx"
_CONTEXT = 64
"""Samples of the frame before that the model sees again."""
_STATE = (1, 1, 128)


def load_session() -> onnxruntime.InferenceSession:
    """One thread, no arena: a frame is small work. May be shared. Raises ModelMissing."""
    spec = importlib.util.find_spec("faster_whisper")
    path = Path(spec.submodule_search_locations[0]) / _ASSET if spec and spec.submodule_search_locations else None
    if path is None or not path.is_file():
        raise ModelMissing(f'{_ASSET.name} is not here; it comes with pip install "castline[stt]"')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Silero:
    """workers.stt.hearing.Activity: the state goes from call to call, so one is for one file."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._h = np.zeros(_STATE, np.float32)
        self._c = np.zeros(_STATE, np.float32)
        self._tail = np.zeros((1, _CONTEXT), np.float32)

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """As Activity."""
        tails = np.concatenate([self._tail, frames[:, -_CONTEXT:]])
        self._tail = tails[-1:]
        inputs = {"input": np.concatenate([tails[:-1], frames], axis=1), "h": self._h, "c": self._c}
        found, self._h, self._c = self._session.run(None, inputs)
        probabilities: NDArray[np.float32] = np.asarray(found, np.float32).reshape(-1)
        return probabilities
