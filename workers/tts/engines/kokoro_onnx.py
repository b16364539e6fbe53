"""Engine `kokoro-onnx`: Kokoro-82M (int8 export) on ONNX Runtime.

One session with one thread per run is shared by all callers: on a CPU that has 1.5 times the throughput of a session
with a thread per core, and the weights are in memory once. A unit that is alone goes to a second session that does have
a thread per core: two cores speak 4 words in 0.24 s instead of 0.36 s, for 110 MB and its share of working memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # type: ignore[import-untyped]

from contracts.errors import EngineError, EngineStopped, Misconfigured, ModelMissing, UnitFailed
from workers.tts.engines.kokoro_lean import AUDIO, DURATIONS, FEATURES, LOUDNESS, PITCH, halves, plan, second_inputs
from workers.tts.engines.kokoro_voices import HOW_TO_GET_IT, VOICES_FOLDER, Edges, VoiceFolder, speak_parts
from workers.tts.g2p import spell
from workers.tts.speech import Samples, Speech

logger = logging.getLogger(__name__)

MODEL_FILE = "kokoro-v1.0.int8.onnx"
VOCABULARY_FILE = "vocab.json"
DEVICES = ("cpu", "cuda", "auto")

_STOP_POLL_S = 0.02
_ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    error for error in vars(ort_errors).values() if isinstance(error, type) and issubclass(error, Exception)
)
"""They have no common base of their own."""


class _Network:
    """The model in sessions of one kind: whole, or its two halves (see kokoro_lean). Called from many threads."""

    def __init__(self, sessions: Sequence[ort.InferenceSession]) -> None:
        self._sessions = sessions

    def run(self, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions) -> tuple[Samples, Edges]:
        """Samples of `tokens`, `style` and `speed`, and where in them the tokens are."""
        edges: Edges = None
        if len(self._sessions) == 1:
            (audio,) = self._sessions[0].run([AUDIO], inputs, options)
        else:
            first, second = self._sessions
            wanted = [FEATURES, PITCH, LOUDNESS, DURATIONS]
            features, pitch, loudness, durations = first.run(wanted, inputs, options)
            chosen = plan(loudness[0])
            edges = chosen.samples(durations[0])[1:-1]  # without the padding
            halfway = second_inputs(features, pitch, loudness, chosen)
            (audio,) = second.run([AUDIO], {**halfway, "style": inputs["style"]}, options)
        samples: Samples = np.asarray(audio, np.float32).ravel()
        return samples, edges


class KokoroOnnx:
    """Loads `<dir>/kokoro-v1.0.int8.onnx`, `<dir>/vocab.json` and what is in `<dir>/voices`.

    device: cpu, cuda (where onnxruntime-gpu is installed), or auto. lean: do not synthesise silence (see kokoro_lean).
    quick_session: hold a second session with a thread per core for units that are alone.
    """

    name = "kokoro-onnx"
    model = "kokoro"
    remote = False

    def __init__(self, model_dir: Path, *, device: str = "cpu", lean: bool = True, quick_session: bool = True) -> None:
        if device not in DEVICES:
            raise Misconfigured(f"engine kokoro-onnx has no device {device!r}; known: {', '.join(DEVICES)}")
        self._dir = model_dir
        self._device = device
        self._lean = lean
        self._want_quick = quick_session
        self._vocabulary: dict[str, int] = {}
        self._voices: VoiceFolder | None = None
        self._shared: _Network | None = None
        self._quick: _Network | None = None

    def load(self) -> None:
        """Read everything, make the sessions. Raises ModelMissing, or EngineError for a file that is no such model."""
        self._vocabulary = _read_vocabulary(self._dir / VOCABULARY_FILE)
        self._voices = VoiceFolder(self._dir / VOICES_FOLDER)
        if self._device == "cuda" and not self._on_gpu:
            logger.warning("device is not there, running on the cpu", extra={"asked": self._device})
        models = self._read_model()
        self._shared = _Network([self._session(data, threads=1) for data in models])
        cores = os.cpu_count() or 1
        if self._want_quick and cores > 1 and not self._on_gpu:
            self._quick = _Network([self._session(data, threads=cores) for data in models])

    def devices(self) -> tuple[str, str]:
        """(asked, active): ONNX Runtime falls back to the CPU without an error."""
        return self._device, "cuda" if self._on_gpu else "cpu"

    @property
    def quickens(self) -> bool:
        """On several cores of a CPU."""
        return self._quick is not None

    def voices(self) -> tuple[str, ...]:
        """Voices whose file is here and whole."""
        return self._voices.names if self._voices else ()

    def speak(
        self, text: str, *, voice: str, language: str, speed: float, quick: bool, stop: threading.Event
    ) -> Speech:
        """Speak; a text of more than 510 phonemes is spoken in parts. Raises UnitFailed, EngineStopped."""
        if self._voices is None:
            raise UnitFailed("the engine is not loaded")
        infer = partial(self._infer, style=self._voices.style(voice), speed=speed, quick=quick, stop=stop)
        return speak_parts(spell(text, language), self._vocabulary, speed, infer)

    @property
    def _on_gpu(self) -> bool:
        return self._device != "cpu" and "CUDAExecutionProvider" in ort.get_available_providers()

    def _infer(
        self, spelled: str, style: NDArray[np.float32], speed: float, *, quick: bool, stop: threading.Event
    ) -> tuple[Samples, Edges]:
        network = self._quick if quick and self._quick else self._shared
        if network is None:
            raise UnitFailed("the engine is not loaded")
        tokens = [0, *(self._vocabulary[c] for c in spelled), 0]
        inputs = {
            "tokens": np.array([tokens], np.int64),
            "style": style[len(spelled) - 1][np.newaxis, :],
            "speed": np.array([speed], np.float32),
        }
        options = ort.RunOptions()
        try:
            with _terminated_by(stop, options):
                return network.run(inputs, options)
        except _ORT_ERRORS as exc:
            if stop.is_set():
                raise EngineStopped("stopped") from exc
            raise UnitFailed(f"ONNX Runtime: {exc}") from exc

    def _read_model(self) -> tuple[bytes, ...]:
        path = self._dir / MODEL_FILE
        if not path.is_file():
            raise ModelMissing(f"{path} is not here: {HOW_TO_GET_IT}")
        data = path.read_bytes()
        if not self._lean:
            return (data,)
        try:
            parts = halves(data)
        except ValueError as exc:
            raise EngineError(f"{path} is damaged: {exc}") from exc
        if parts is None:
            logger.warning("unknown kokoro graph, silence will be synthesised like speech", extra={"path": str(path)})
        return parts or (data,)

    def _session(self, data: bytes, threads: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        if self._on_gpu:
            providers.insert(0, "CUDAExecutionProvider")
        try:
            return ort.InferenceSession(data, options, providers=providers)
        except _ORT_ERRORS as exc:
            raise EngineError(f"ONNX Runtime does not load {self._dir / MODEL_FILE}: {exc}") from exc


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
