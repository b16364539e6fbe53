"""A castline server, as the command line sees it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx

from contracts.errors import CastlineError
from contracts.records import TERMINAL

TIMEOUT = httpx.Timeout(30.0, read=60.0)
"""read: the longest silence of a stream that lives; SSE pings every 15 s."""
RETRY_S = 1.0
"""Between two tries to go on with a stream of records that broke."""
RETRIES = 60
"""So many in a row, then it is given up: a front that is started again is there by then."""


class ServerError(CastlineError):
    """The server refused, or is not there; the message is one line for a person.

    status: of its answer; 0 if there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Server:
    """Calls of one server. Every method raises ServerError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One JSON call."""
        with self.stream(method, path, body) as response:
            return _json(response)

    def upload(self, path: str, pieces: Iterable[bytes], size: int | None) -> dict[str, Any]:
        """POST what `pieces` give, as they come; size: of all of them, bytes, if it is known."""
        headers = {"Content-Type": "application/octet-stream"}
        if size is not None:
            headers["Content-Length"] = str(size)
        with self._open("POST", path, pieces, headers, TIMEOUT) as response:
            return _json(response)

    def records(self, path: str) -> Iterator[dict[str, Any]]:
        """Records of a log, to the terminal one, over as many connections as that takes."""
        last: int | None = None
        failures = 0
        while True:
            resume = {} if last is None else {"Last-Event-ID": str(last)}
            try:
                with self._open("GET", f"{path}?live=sse", None, resume, TIMEOUT) as response:
                    for line in response.iter_lines():
                        failures = 0
                        if line.startswith("data: "):
                            record: dict[str, Any] = json.loads(line.removeprefix("data: "))
                            last = record["seq"]
                            yield record
                            if record["e"] in TERMINAL:
                                return
            except ServerError as exc:
                if 400 <= exc.status < 500 or failures >= RETRIES:
                    raise
            failures += 1
            time.sleep(RETRY_S)

    @contextlib.contextmanager
    def stream(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, patient: bool = False
    ) -> Iterator[httpx.Response]:
        """One call whose answer is read piece by piece. patient: a silence may last."""
        timeout = httpx.Timeout(30.0, read=None) if patient else TIMEOUT
        content = None if body is None else json.dumps(body)
        with self._open(method, path, content, {"Content-Type": "application/json"}, timeout) as response:
            yield response

    @contextlib.contextmanager
    def _open(
        self, method: str, path: str, content: str | Iterable[bytes] | None, headers: Mapping[str, str],
        timeout: httpx.Timeout,
    ) -> Iterator[httpx.Response]:  # fmt: skip
        try:
            with (
                httpx.Client(timeout=timeout, trust_env=False) as client,
                client.stream(method, self.url + path, content=content, headers=headers) as response,
            ):
                if response.status_code >= 400:
                    response.read()
                    raise ServerError(_detail(response), status=response.status_code)
                yield response
        except httpx.ConnectError as exc:
            raise ServerError(f"no castline server at {self.url}; start one with `castline up`") from exc
        except httpx.HTTPError as exc:
            raise ServerError(f"{self.url}: {type(exc).__name__}: {exc}") from exc


def _json(response: httpx.Response) -> dict[str, Any]:
    response.read()
    answer: dict[str, Any] = response.json()
    return answer


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code} from {response.url}"
