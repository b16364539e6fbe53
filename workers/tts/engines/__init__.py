"""Speech engines, one file each; a file is imported when its engine is asked for, and its model library with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import Misconfigured
from workers.tts.settings import ElevenLabsSettings
from workers.tts.speech import SpeechEngine


def _kokoro_onnx(options: Mapping[str, Any]) -> SpeechEngine:
    from workers.tts.engines.kokoro_onnx import KokoroOnnx  # noqa: PLC0415

    return KokoroOnnx(Path(options["model_dir"]), device=options.get("device", "cpu"))


def _kokoro(options: Mapping[str, Any]) -> SpeechEngine:
    from workers.tts.engines.kokoro_torch import KokoroTorch  # noqa: PLC0415

    return KokoroTorch(Path(options["model_dir"]), device=options.get("device", "auto"))


def _elevenlabs(options: Mapping[str, Any]) -> SpeechEngine:  # noqa: ARG001  the key is no option: those are seen by ps
    from workers.tts.engines.elevenlabs import ElevenLabs  # noqa: PLC0415

    return ElevenLabs(ElevenLabsSettings())


def _espeak(options: Mapping[str, Any]) -> SpeechEngine:  # noqa: ARG001
    from workers.tts.engines.espeak import Espeak  # noqa: PLC0415

    return Espeak()


def _tone(options: Mapping[str, Any]) -> SpeechEngine:
    from workers.tts.engines.tone import Tone  # noqa: PLC0415

    xrt = options.get("tone_xrt")
    return Tone(math.inf if xrt is None else float(xrt), options.get("tone_poison", ""))


_ENGINES: dict[str, Callable[[Mapping[str, Any]], SpeechEngine]] = {
    "kokoro-onnx": _kokoro_onnx,
    "kokoro": _kokoro,
    "elevenlabs": _elevenlabs,
    "espeak": _espeak,
    "tone": _tone,
}


def make_engine(name: str, options: Mapping[str, Any]) -> SpeechEngine:
    """An engine, not loaded yet. options: as SpeechSettings.options; each engine takes what it knows.

    Raises Misconfigured for a name nobody has.
    """
    maker = _ENGINES.get(name)
    if maker is None:
        raise Misconfigured(f"There is no speech engine {name!r}; known: {', '.join(_ENGINES)}.")
    return maker(options)
