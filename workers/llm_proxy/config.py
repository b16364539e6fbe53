"""The configuration: upstreams, and the aliases clients know with the routes each of them may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.errors import Misconfigured

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,127}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]


def _without_slash(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no URL that starts with http:// or https://")
    return url.rstrip("/")


Url = Annotated[str, AfterValidator(_without_slash)]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UpstreamConfig(_Config):
    """One OpenAI-compatible server."""

    url: Url
    """Up to `/chat/completions`, mostly `http://…/v1`."""
    key_env: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    """Name of the environment variable with its key; empty: none is sent."""
    parallel: int = Field(default=4, ge=1, le=1024)
    """Completions at once."""
    connect_s: float = Field(default=5.0, gt=0)
    """How long it may take to accept a connection."""
    first_token_s: float = Field(default=120.0, gt=0)
    """How long from the request to the first token, loading the model included."""
    idle_s: float = Field(default=60.0, gt=0)
    """How long without a byte after the first token."""
    cooldown_s: float = Field(default=5.0, gt=0)
    """How long it goes last after a failure; twice as long after each further one."""
    cooldown_max_s: float = Field(default=300.0, gt=0)
    """At most so long, also if it asks for more."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Sent with each request."""
    extra: dict[str, Any] = {}
    """Fields added to the body of each request, in place of the client's."""
    unload: bool = False
    """Ollama: have it drop the models we have used when the worker ends."""
    proxy: Url | None = None
    """HTTP proxy to go through. The environment's is not used."""


class RouteConfig(_Config):
    """One upstream an alias may be sent to."""

    upstream: str
    model: str = Field(min_length=1)
    """As the upstream calls it."""
    order: int | None = Field(default=None, ge=0)
    """Lower ones are tried first; default: the position in the list, from 0."""
    weight: float = Field(default=1.0, gt=0)
    """Share among those of the same order."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to complete a request, see RouteConfig."""

    upstream: str
    model: str
    order: int = 0
    weight: float = 1.0


class ProxyConfig(_Config):
    """The file."""

    upstreams: dict[Name, UpstreamConfig] = Field(min_length=1)
    models: dict[Name, Annotated[tuple[RouteConfig, ...], Field(min_length=1)]] = Field(min_length=1)
    """Alias -> routes."""

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for alias, routes in self.models.items():
            for n, route in enumerate(routes):
                if route.upstream not in self.upstreams:
                    raise ValueError(f"models.{alias}.{n}: there is no upstream {route.upstream!r}")
        return self

    def routes(self) -> dict[str, Sequence[Route]]:
        """Alias -> routes, their order filled in."""
        return {
            alias: [
                Route(r.upstream, r.model, n if r.order is None else r.order, r.weight) for n, r in enumerate(found)
            ]
            for alias, found in self.models.items()
        }


def single_upstream(url: str, parallel: int) -> UpstreamConfig:
    """One with defaults. Raises Misconfigured, one line."""
    try:
        return UpstreamConfig(url=url, parallel=parallel)
    except ValidationError as exc:
        raise Misconfigured(f"CASTLINE_LLM_URL: {_in_one_line(exc)}") from exc


def load_config(path: Path) -> ProxyConfig:
    """Read and check the file. Raises Misconfigured, one line."""
    try:
        return ProxyConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeError) as exc:
        raise Misconfigured(f"{path} can not be read: {exc}") from exc
    except yaml.YAMLError as exc:
        raise Misconfigured(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc
    except ValidationError as exc:
        raise Misconfigured(f"{path}: {_in_one_line(exc)}") from exc


def _in_one_line(error: ValidationError) -> str:
    """Without the input: it may be a secret in the wrong place."""
    first, *more = error.errors(include_url=False, include_input=False)
    where = ".".join(str(part) for part in first["loc"])
    line = f"{where}: {first['msg']}" if where else first["msg"]
    return f"{line} (and {len(more)} more)" if more else line
