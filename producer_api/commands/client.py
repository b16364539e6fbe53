"""A castline server, as the command line sees it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from contracts.errors import CastlineError

TIMEOUT = httpx.Timeout(30.0, read=60.0)
"""read: the longest silence of a stream that lives; SSE pings every 15 s."""


class ServerError(CastlineError):
    """The server refused, or is not there; the message is one line for a person."""


class Server:
    """Calls of one server. Every method raises ServerError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One JSON call."""
        with self.stream(method, path, body) as response:
            response.read()
            answer: dict[str, Any] = response.json()
            return answer

    @contextlib.contextmanager
    def stream(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patient: bool = False
    ) -> Iterator[httpx.Response]:
        """One call whose answer is read piece by piece. patient: a silence may last."""
        timeout = httpx.Timeout(30.0, read=None) if patient else TIMEOUT
        content = None if body is None else json.dumps(body)
        try:
            with (
                httpx.Client(timeout=timeout, trust_env=False) as client,
                client.stream(
                    method, self.url + path, content=content, headers={"Content-Type": "application/json"}
                ) as r,
            ):
                if r.status_code >= 400:
                    r.read()
                    raise ServerError(_detail(r))
                yield r
        except httpx.ConnectError as exc:
            raise ServerError(f"no castline server at {self.url}; start one with `castline up`") from exc
        except httpx.HTTPError as exc:
            raise ServerError(f"{self.url}: {type(exc).__name__}: {exc}") from exc


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code} from {response.url}"
