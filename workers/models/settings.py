"""Where model files are kept (CASTLINE_MODEL_DIR)."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ModelSettings(BaseSettings):
    """One setting, of the model store and of workers."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_", frozen=True, extra="ignore", populate_by_name=True)

    model_dir: Path = Field(default_factory=lambda: user_data_path("castline") / "models")
