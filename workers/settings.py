"""Settings every worker has, read once from the environment (CASTLINE_…)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.adapters import Address


class WorkerSettings(BaseSettings):
    """Frozen; passed down, never read again."""

    model_config = SettingsConfigDict(env_prefix="CASTLINE_", frozen=True, extra="ignore")

    store: str = "redis://127.0.0.1:6379/0"
    """`redis://…`, `rediss://…` or `sqlite:///path`."""
    broker: str = "amqp://guest:guest@127.0.0.1:5672/"
    """`amqp://…` or `amqps://…`; empty with SQLite."""
    namespace: str = ""
    """Prefix of every key and queue."""
    pool: str = Field(default="cpu", pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")
    """Workers started with the same settings share a pool name."""
    lease_s: float = Field(default=10.0, ge=0.5, le=600)
    """A unit that is not heard of for so long goes to another worker."""
    idle_poll_s: float = Field(default=1.0, ge=0.05, le=60)
    """How often a free slot looks for due units that have no ticket: a lost ticket costs this."""
    watchdog_s: float = Field(default=30.0, ge=1)
    """Work that is found without tickets for so long, while none is delivered: the broker connection is made anew."""
    drain_s: float = Field(default=25.0, ge=0)
    """After SIGTERM, how long units in work may take before they are given back."""
    engine_start_s: float = Field(default=120.0, gt=0)
    """How long an engine may take to load its model."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Serve /metrics there; 0: nowhere."""
    log_level: str = "INFO"

    @property
    def address(self) -> Address:
        """Where the store and the broker are."""
        return Address(self.store, self.broker, self.namespace)
