"""Engine `kokoro`: Kokoro-82M in PyTorch, by the package `kokoro`, for machines with a GPU.

Of that package only the model is used. Phonemes come from our g2p and voices from our files, so every Kokoro worker
says a text in the same way, and nothing is downloaded behind anybody's back.
"""

from __future__ import annotations

import importlib
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np

from contracts.errors import EngineError, EngineStopped, Misconfigured, ModelMissing, UnitFailed
from workers.tts.engines.kokoro_lean import FRAME
from workers.tts.engines.kokoro_voices import HOW_TO_GET_IT, VOICES_FOLDER, Edges, VoiceFolder, speak_parts
from workers.tts.g2p import spell
from workers.tts.speech import Samples, Speech

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "kokoro-v1_0.pth"
CONFIG_FILE = "config.json"
DEVICES = ("auto", "cpu", "cuda", "mps")


class KokoroTorch:
    """Loads `<dir>/kokoro-v1_0.pth`, `<dir>/config.json` and `<dir>/voices`.

    device: one of DEVICES; auto: cuda where there is one. A forward pass can not be interrupted: `stop` is obeyed
    between the parts of a long unit.
    """

    name = "kokoro"
    model = "kokoro"
    remote = False
    quickens = False

    def __init__(self, model_dir: Path, *, device: str = "auto") -> None:
        if device not in DEVICES:
            raise Misconfigured(f"engine kokoro has no device {device!r}; known: {', '.join(DEVICES)}")
        self._dir = model_dir
        self._asked = device
        self._active = ""
        self._torch: Any = None
        self._model: Any = None
        self._voices: VoiceFolder | None = None

    def load(self) -> None:
        """Import torch, read the weights. Raises ModelMissing or EngineError."""
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            if not (self._dir / name).is_file():
                raise ModelMissing(f"{self._dir / name} is not here: {HOW_TO_GET_IT}")
        self._voices = VoiceFolder(self._dir / VOICES_FOLDER)
        try:
            self._torch = importlib.import_module("torch")
            package = importlib.import_module("kokoro")
        except ImportError as exc:
            raise ModelMissing('engine kokoro needs pip install "castline[kokoro]"') from exc
        self._active = self._choose_device()
        try:
            # Both paths given, so that the package does not look for them on a hub.
            model = package.KModel(config=str(self._dir / CONFIG_FILE), model=str(self._dir / WEIGHTS_FILE))
            self._model = model.to(self._active).eval()
        except (OSError, RuntimeError, ValueError, KeyError) as exc:
            raise EngineError(f"the kokoro package does not load {self._dir}: {exc}") from exc

    def devices(self) -> tuple[str, str]:
        """(asked, active); they differ when the asked one is not there."""
        return self._asked, self._active

    def voices(self) -> tuple[str, ...]:
        """Voices whose file is here and whole."""
        return self._voices.names if self._voices else ()

    def speak(
        self,
        text: str,
        *,
        voice: str,
        language: str,
        speed: float,
        quick: bool,  # noqa: ARG002
        stop: threading.Event,
    ) -> Speech:
        """Speak; a text of more than 510 phonemes is spoken in parts. Raises UnitFailed, EngineStopped."""
        if self._voices is None:
            raise UnitFailed("the engine is not loaded")
        style = self._torch.from_numpy(self._voices.style(voice)).to(self._active)

        def infer(part: str) -> tuple[Samples, Edges]:
            if stop.is_set():
                raise EngineStopped("stopped")
            return self._infer(part, style[len(part) - 1 : len(part)], speed)

        return speak_parts(spell(text, language), self._model.vocab, speed, infer)

    def _infer(self, spelled: str, style: Any, speed: float) -> tuple[Samples, Edges]:  # noqa: ANN401  a tensor
        try:
            with self._torch.inference_mode():
                made = self._model(spelled, style, speed=speed, return_output=True)
        except RuntimeError as exc:  # torch's own kind: out of memory, lost device
            raise UnitFailed(f"torch: {exc}") from exc
        samples: Samples = np.asarray(made.audio.detach().cpu().numpy(), np.float32).ravel()
        frames = np.asarray(made.pred_dur.detach().cpu().numpy(), np.int64).ravel()
        return samples, FRAME * np.cumsum(frames)[: len(spelled) + 1]

    def _choose_device(self) -> str:
        cuda = bool(self._torch.cuda.is_available())
        if self._asked == "auto":
            return "cuda" if cuda else "cpu"
        there = {"cpu": True, "cuda": cuda, "mps": self._asked == "mps" and self._torch.backends.mps.is_available()}
        if not there[self._asked]:
            logger.warning("device is not there, running on the cpu", extra={"asked": self._asked})
            return "cpu"
        return self._asked
