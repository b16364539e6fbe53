"""Settings of a hearing worker (CASTLINE_STT_…)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.models.settings import ModelSettings
from workers.models.store import ModelStore

DEFAULT_MODELS = ("whisper-base", "whisper-tiny.en")
"""The first one that is here."""
TURN_MODEL = Path("smart-turn", "smart-turn-v3.2-cpu.onnx")
"""In the model directory; without it nobody is told whether a speaker has finished."""


class HearingSettings(BaseSettings):
    """Which engine, on what, how much at once."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_STT_", frozen=True, extra="ignore")

    engine: str = "faster-whisper"
    """faster-whisper or echo."""
    model: str = ""
    """A folder of the model directory; empty: the first of DEFAULT_MODELS that is complete."""
    device: str = "cpu"
    """cpu, cuda or auto."""
    compute_type: str = ""
    """As CTranslate2 names them; empty: int8 on a CPU, float16 on CUDA."""
    slots: int = Field(default=0, ge=0, le=256)
    """Pieces at once; 0: as many as have `threads` cores each; on CUDA set it."""
    threads: int = Field(default=1, ge=1, le=256)
    """Cores of one piece."""
    beam: int = Field(default=5, ge=1, le=50)
    """Width of the search."""
    tone: str = ""
    """What hears the tone of voice: prosody, the path of an ONNX file with its labels beside it, or empty: nothing."""
    max_s: float = Field(default=86_400.0, gt=0)
    """Longest audio that is taken, seconds."""
    echo_xrt: float = Field(default=float("inf"), gt=0)
    """Real-time factor the echo engine pretends to have."""
    echo_poison: str = ""
    """For tests: a word that aborts the echo engine's process; empty: none."""

    def options(self) -> dict[str, Any]:
        """Options for workers.stt.render.build: plain JSON."""
        directory = ModelSettings().model_dir
        model = self.model or _first_here(ModelStore(directory))
        return {
            "engine": self.engine,
            "model_dir": str(directory / model),
            "turn_model": str(directory / TURN_MODEL),
            "device": self.device,
            "compute_type": self.compute_type,
            "slots": self.slots or max(1, (os.cpu_count() or 1) // self.threads),
            "threads": self.threads,
            "beam": self.beam,
            "tone": self.tone,
            "max_s": self.max_s,
            "echo_xrt": None if self.echo_xrt == float("inf") else self.echo_xrt,
            "echo_poison": self.echo_poison,
        }


def _first_here(store: ModelStore) -> str:
    return next((name for name in DEFAULT_MODELS if not store.missing(name)), DEFAULT_MODELS[0])
