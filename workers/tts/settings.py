"""Settings of a speech worker (CASTLINE_TTS_…)."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.models.settings import ModelSettings

REMOTE_SLOTS = 2
"""What the smallest plan allows at once."""


class ElevenLabsSettings(BaseSettings):
    """CASTLINE_ELEVENLABS_…: read by the engine process itself, so that the key is in no command line."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_ELEVENLABS_", frozen=True, extra="ignore")

    key: SecretStr = SecretStr("")
    model: str = "eleven_flash_v2_5"
    """As they call it."""
    url: str = "https://api.elevenlabs.io"
    proxy: str | None = None
    """URL of an HTTP proxy; those of the environment are not looked at."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Longest time for one unit, from the first request to the last byte."""


class SpeechSettings(BaseSettings):
    """Which engine, on what, how much at once."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_TTS_", frozen=True, extra="ignore")

    engine: str = "kokoro-onnx"
    """kokoro-onnx, kokoro, elevenlabs, espeak or tone."""
    device: str = "cpu"
    slots: int = Field(default=0, ge=0, le=256)
    """Units at once; 0: one per core, the fastest for kokoro-onnx (measured), and REMOTE_SLOTS for elevenlabs."""
    tone_xrt: float = Field(default=float("inf"), gt=0)
    """Real-time factor the tone engine pretends to have."""
    tone_poison: str = ""
    """For tests: a word that aborts the tone engine's process; empty: none."""

    def options(self) -> dict[str, Any]:
        """Options for workers.tts.render.build: plain JSON."""
        slots = self.slots or (REMOTE_SLOTS if self.engine == "elevenlabs" else os.cpu_count() or 1)
        tone_xrt = None if self.tone_xrt == float("inf") else self.tone_xrt
        return {
            "engine": self.engine,
            "slots": slots,
            "device": self.device,
            "model_dir": str(ModelSettings().model_dir / self.engine),
            "tone_xrt": tone_xrt,
            "tone_poison": self.tone_poison,
        }
