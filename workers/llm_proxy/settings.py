"""Settings of a completion worker (CASTLINE_LLM_…)."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import Misconfigured


class CompletionSettings(BaseSettings):
    """Where completions come from: a file of upstreams and aliases, or one upstream and whatever models it has."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_LLM_", frozen=True, extra="ignore", env_ignore_empty=True)

    config: Path | None = None
    """YAML, see example.yaml."""
    url: str = ""
    """In place of the file: an upstream, as UpstreamConfig.url; its models are the aliases."""
    key: SecretStr = SecretStr("")
    parallel: int = Field(default=4, ge=1, le=1024)
    """Completions at once, of `url`."""
    gather_ms: float = Field(default=25.0, ge=0, le=1000)
    """What comes within so long becomes one record; the first token is never kept waiting. 0: off."""
    retries: int = Field(default=2, ge=0, le=20)
    """How often a completion begins again when every route has failed, or the one that was writing."""


def key_from(variable: str) -> str:
    """A key, from the variable the configuration names; empty for none. Raises Misconfigured."""
    if not variable:
        return ""
    if not (key := os.environ.get(variable, "")):  # noqa: TID251  named by the configuration, not known before
        raise Misconfigured(f"the environment variable {variable} (key_env of an upstream) is not set")
    return key
