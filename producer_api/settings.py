"""Settings of the front, read once from the environment (CASTLINE_…)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.adapters import Address


class FrontSettings(BaseSettings):
    """Frozen; passed down, never read again."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_", frozen=True, extra="ignore")

    store: str = "redis://127.0.0.1:6379/0"
    """`redis://…`, `rediss://…` or `sqlite:///path`."""
    broker: str = "amqp://guest:guest@127.0.0.1:5672/"
    """`amqp://…` or `amqps://…`; empty with SQLite."""
    namespace: str = ""
    """Prefix of every key and queue."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    secret: SecretStr = SecretStr("")
    """Keys the ids of casts: the same on every front of one system. `castline up` makes one and keeps it."""
    retention_s: int = Field(default=7 * 86_400, ge=1)
    """A cast is kept this long after its last record."""
    max_text_chars: int = Field(default=2_000_000, ge=1)
    max_body_bytes: int = Field(default=16 << 20, ge=1024)
    max_upload_bytes: int = Field(default=1 << 30, ge=1024)
    """Of one recording."""
    max_openai_upload_bytes: int = Field(default=25 << 20, ge=1024)
    """The same at /v1/audio/transcriptions and /v1/audio/translations."""
    max_document_bytes: int = Field(default=32 << 20, ge=1024)
    """Of one document at /v1/texts, and of a page that is fetched."""
    document_timeout_s: float = Field(default=30.0, gt=0)
    """Reading one document may take so long."""
    fetch: Literal["on", "off"] = "on"
    """Whether /v1/texts fetches pages that clients name."""
    fetch_timeout_s: float = Field(default=20.0, gt=0)
    """For a page, with its redirects."""
    fetch_ports: str = "80,443"
    """Ports that pages are fetched from, with commas."""
    fetch_allow: str = ""
    """Networks (CIDR, with commas) that pages are fetched from though they are not public."""
    max_wait_s: int = Field(default=1_800, ge=1)
    """New live casts are refused (503) while more than this much work of the fleet waits before them."""
    open_idle_s: int = Field(default=600, ge=1)
    """An open cast to which nothing is added for so long is closed."""
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("castline"))
    """Encoded audio of finished casts, made when somebody seeks in it."""
    cache_bytes: int = Field(default=2 << 30, ge=0)
    send_timeout_s: float = Field(default=10.0, gt=0)
    """A reader that takes longer over one piece is let go; it can resume."""
    first_byte_s: float = Field(default=10.0, gt=0)
    """A streamed completion, or speech as events, is answered with its HTTP status within this time; errors after that
    are events.
    """
    canary_s: float = Field(default=30.0, ge=0)
    """What /health/models has found is kept for so long."""
    canary_timeout_s: float = Field(default=20.0, gt=0)
    """A model that has not answered a canary by then is not well."""
    realtime_model: str = ""
    """Alias that names of OpenAI's realtime models mean; the first there is, by name, if empty."""
    log_level: str = "INFO"

    @property
    def address(self) -> Address:
        """Where the store and the broker are."""
        return Address(self.store, self.broker, self.namespace)
