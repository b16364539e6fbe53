"""Engine `kokoro-onnx`: Kokoro-82M (int8 export) on ONNX Runtime.

One session with one thread per run is shared by all callers: on a CPU two callers get 1.4 times the throughput of one
session with two threads, and the weights are in memory once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # type: ignore[import-untyped]

from contracts.errors import EngineError, EngineStopped, ModelMissing, UnitFailed
from workers.tts.engines.kokoro_voices import HOW_TO_GET_IT, VOICES_FOLDER, VoiceFolder, split_phonemes
from workers.tts.engines.onnx_graph import LIMIT_INPUT, limit_durations
from workers.tts.g2p import phonemes
from workers.tts.speech import Samples
from workers.tts.trim import CLAUSE_PAUSE_S, trim

logger = logging.getLogger(__name__)

MODEL_FILE = "kokoro-v1.0.int8.onnx"
VOCABULARY_FILE = "vocab.json"

_STOP_POLL_S = 0.02
_ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    error for error in vars(ort_errors).values() if isinstance(error, type) and issubclass(error, Exception)
)
"""They have no common base of their own."""

# Upper bounds in frames of 25 ms on tokens that are silence; see docs/engines.md for what they save and cost.
_LEAD_FRAMES = 3
_LAST_MARK_FRAMES = 2
_END_FRAMES = 1
_ANY_FRAMES = 1_000
_SILENT_MARKS = frozenset(';:,.!?—…"”)')


class KokoroOnnx:
    """Loads `<dir>/kokoro-v1.0.int8.onnx`, `<dir>/vocab.json` and what is in `<dir>/voices`.

    device: cpu, or cuda where onnxruntime-gpu is installed. lean: do not synthesise silence (see onnx_graph).
    """

    name = "kokoro-onnx"
    model = "kokoro"

    def __init__(self, model_dir: Path, *, device: str = "cpu", lean: bool = False, quick_session: bool = True) -> None:
        self._dir = model_dir
        self._device = device
        self._lean = lean
        self._want_quick = quick_session
        self._vocabulary: dict[str, int] = {}
        self._voices: VoiceFolder | None = None
        self._sessions: tuple[ort.InferenceSession, ort.InferenceSession] | None = None

    def load(self) -> None:
        """Read everything, make the session. Raises ModelMissing, or EngineError for a file that is no such model."""
        self._vocabulary = _read_vocabulary(self._dir / VOCABULARY_FILE)
        self._voices = VoiceFolder(self._dir / VOICES_FOLDER)
        data = self._read_model()
        session = self._session(data, threads=1)
        cores = os.cpu_count() or 1
        quick = self._session(data, threads=cores) if self._want_quick and cores > 1 and not self._on_gpu else session
        self._sessions = (session, quick)
        self._limits_silence = any(i.name == LIMIT_INPUT for i in session.get_inputs())

    def devices(self) -> tuple[str, str]:
        """(asked, active): ONNX Runtime falls back to the CPU without an error."""
        return self._device, "cuda" if self._on_gpu else "cpu"

    def voices(self) -> tuple[str, ...]:
        """Voices whose file is here and whole."""
        return self._voices.names if self._voices else ()

    def speak(
        self, text: str, *, voice: str, language: str, speed: float, quick: bool, stop: threading.Event
    ) -> Samples:
        """Speak; a text of more than 510 phonemes is spoken in parts. Raises UnitFailed, EngineStopped."""
        if self._voices is None:
            raise UnitFailed("the engine is not loaded")
        style = self._voices.style(voice)
        spelled = "".join(c for c in phonemes(text, language) if c in self._vocabulary)
        parts = [self._infer(part, style, speed, quick=quick, stop=stop) for part in split_phonemes(spelled)]
        if len(parts) < 2:
            return parts[0] if parts else np.empty(0, np.float32)
        inner = [trim(part, CLAUSE_PAUSE_S / speed) for part in parts[:-1]]
        return np.concatenate([*inner, parts[-1]])

    @property
    def _on_gpu(self) -> bool:
        return self._device == "cuda" and "CUDAExecutionProvider" in ort.get_available_providers()

    def _infer(
        self, spelled: str, style: NDArray[np.float32], speed: float, *, quick: bool, stop: threading.Event
    ) -> Samples:
        if self._sessions is None:
            raise UnitFailed("the engine is not loaded")
        tokens = [0, *(self._vocabulary[c] for c in spelled), 0]
        inputs = {
            "tokens": np.array([tokens], np.int64),
            "style": style[len(spelled) - 1][np.newaxis, :],
            "speed": np.array([speed], np.float32),
        }
        if self._limits_silence:
            inputs[LIMIT_INPUT] = silence_limits(spelled)
        session = self._sessions[1 if quick else 0]
        options = ort.RunOptions()
        try:
            with _terminated_by(stop, options):
                (audio,) = session.run(None, inputs, options)
        except _ORT_ERRORS as exc:
            if stop.is_set():
                raise EngineStopped("stopped") from exc
            raise UnitFailed(f"ONNX Runtime: {exc}") from exc
        samples: Samples = np.asarray(audio, np.float32).ravel()
        return samples

    def _read_model(self) -> bytes:
        path = self._dir / MODEL_FILE
        if not path.is_file():
            raise ModelMissing(f"{path} is not here: {HOW_TO_GET_IT}")
        data = path.read_bytes()
        if not self._lean:
            return data
        try:
            edited = limit_durations(data)
        except ValueError as exc:
            raise EngineError(f"{path} is damaged: {exc}") from exc
        if edited is None:
            logger.warning("unknown kokoro graph, silence will be synthesised like speech", extra={"path": str(path)})
        return edited or data

    def _session(self, data: bytes, threads: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        if self._on_gpu:
            providers.insert(0, "CUDAExecutionProvider")
        elif self._device != "cpu":
            logger.warning("device is not there, running on the cpu", extra={"asked": self._device})
        try:
            return ort.InferenceSession(data, options, providers=providers)
        except _ORT_ERRORS as exc:
            raise EngineError(f"ONNX Runtime does not load {self._dir / MODEL_FILE}: {exc}") from exc


def silence_limits(spelled: str) -> NDArray[np.float32]:
    """How many frames each token may last, shape (1, len(spelled) + 2): tight at both ends, free in between."""
    limits = np.full((1, len(spelled) + 2), _ANY_FRAMES, np.float32)
    limits[0, 0] = _LEAD_FRAMES
    limits[0, -1] = _END_FRAMES
    at = len(spelled)
    while at > 1 and spelled[at - 1] in _SILENT_MARKS:
        limits[0, at] = _LAST_MARK_FRAMES
        at -= 1
    return limits


@contextlib.contextmanager
def _terminated_by(stop: threading.Event, options: ort.RunOptions) -> Iterator[None]:
    """While the block runs, `stop` ends the run that was given these options."""
    if stop.is_set():
        raise EngineStopped("stopped")
    finished = threading.Event()

    def watch() -> None:
        while not finished.is_set():
            if stop.wait(_STOP_POLL_S):
                options.terminate = True
                return

    threading.Thread(target=watch, name="stop-kokoro", daemon=True).start()
    try:
        yield
    finally:
        finished.set()


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as exc:
        raise ModelMissing(f"{path} is not here: {HOW_TO_GET_IT}") from exc
    except ValueError as exc:
        raise EngineError(f"{path} is not JSON: {exc}") from exc
    return {str(symbol): int(token) for symbol, token in document["vocab"].items()}
