"""One OpenAI-compatible server: ask it for a completion, read what it streams, tell its failures apart."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from workers.llm_proxy.chunks import DONE, Chunk, Events, error_object, parse_chunk
from workers.llm_proxy.config import UpstreamConfig
from workers.llm_proxy.failures import CLIENT_STATUSES, RequestRefused, UpstreamFailed, of_status

logger = logging.getLogger(__name__)

KEEPALIVE_S = 2.0
"""Idle connections are kept for less than servers keep them (5 s is usual): a request meets no closing one."""
LINGER_S = 0.25
"""How long the end of a response may come after the end of what it says."""
SHORTEST_SECRET = 6
"""Characters; values of headers are as well `1` or `true`."""
LONGEST_ERROR = 64 << 10
LONGEST_MESSAGE = 300
UNLOAD_S = 5.0


@dataclass
class Answer:
    """What has come of a completion so far. Times in ms, from the request."""

    began: float = field(default_factory=time.monotonic)
    finish_reason: str | None = None
    """Of choice 0."""
    usage: Mapping[str, Any] | None = None
    ttft_ms: int = 0
    tokens: int = 0
    """Chunks that hold something."""
    done: bool = False
    open: set[int] = field(default_factory=set)
    """Choices that have begun and not ended."""

    @property
    def ms(self) -> int:
        """Until now."""
        return round((time.monotonic() - self.began) * 1000)

    @property
    def complete(self) -> bool:
        """Nothing is missing if the stream ends here: some servers do not say [DONE]."""
        return self.done or (self.tokens > 0 and not self.open)

    def take(self, chunk: Chunk) -> None:
        """One more."""
        if chunk.token and not self.tokens:
            self.ttft_ms = self.ms
        self.tokens += int(chunk.token)
        self.open = (self.open | chunk.choices) - chunk.ends.keys()
        self.finish_reason = chunk.ends.get(0, self.finish_reason)
        self.usage = chunk.usage or self.usage


class Upstream:
    """One server, by name. key: "" for none."""

    def __init__(self, name: str, config: UpstreamConfig, key: str) -> None:
        self.name, self.config = name, config
        self._secrets = [v for v in (key, *config.headers.values()) if len(v) >= SHORTEST_SECRET]
        self._asked: set[str] = set()
        headers = {"Accept-Encoding": "identity", **config.headers}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(None, connect=config.connect_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_S),
            proxy=config.proxy,
            trust_env=False,
        )

    async def complete(self, model: str, request: Mapping[str, Any], answer: Answer) -> AsyncGenerator[Chunk]:
        """Stream a completion; `answer` follows it. Closing the iterator closes the connection.

        request: body of /v1/chat/completions. Raises UpstreamFailed, RequestRefused.
        """
        self._asked.add(model)
        options = request.get("stream_options")
        options = {**options, "include_usage": True} if isinstance(options, dict) else {"include_usage": True}
        body = {**request, **self.config.extra, "model": model, "stream": True, "stream_options": options}
        events = Events()
        try:
            async with contextlib.aclosing(self._pieces(_encoded(body), answer)) as pieces:
                async for piece in pieces:
                    for chunk in _parsed(events.feed(piece), answer):
                        yield chunk
            for chunk in _parsed(events.end(), answer):
                yield chunk
            if not answer.complete:
                raise UpstreamFailed("died", "the stream ended before the completion did")  # noqa: TRY301  cleaned below
        except UpstreamFailed as exc:
            if not answer.complete:
                exc.said = self._clean(exc.said)[:LONGEST_MESSAGE]
                raise
            logger.info("a complete answer ended badly", extra={"upstream": self.name, "error": exc.said})
        except RequestRefused as exc:
            if answer.tokens:
                raise UpstreamFailed("error", self._clean(str(exc))[:LONGEST_MESSAGE]) from exc
            raise RequestRefused(exc.status, self._clean(exc.error)) from exc

    async def _pieces(self, body: bytes, answer: Answer) -> AsyncGenerator[bytes]:
        """The body of the response, each wait for a piece of it bounded."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.config.first_token_s
        response = await self._send(body, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                await _check(response)
            reading = response.aiter_bytes()
            while True:
                after_s = LINGER_S if answer.done else self.config.idle_s
                async with asyncio.timeout_at(clock() + after_s if answer.tokens else deadline):
                    piece = await anext(reading, None)
                if piece is None:
                    return
                yield piece
        except TimeoutError as exc:
            if answer.tokens:
                raise UpstreamFailed("idle", f"nothing for {self.config.idle_s:g} s, mid-stream") from exc
            raise UpstreamFailed("hung", f"no token within {self.config.first_token_s:g} s") from exc
        except httpx.HTTPError as exc:
            raise UpstreamFailed("died", f"the stream broke off ({type(exc).__name__})") from exc
        finally:
            await response.aclose()

    async def _send(self, body: bytes, deadline: float) -> httpx.Response:
        request = self._client.build_request(
            "POST", f"{self.config.url}/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
        try:
            async with asyncio.timeout_at(deadline):
                return await self._client.send(request, stream=True)
        except TimeoutError as exc:
            raise UpstreamFailed("hung", f"no answer within {self.config.first_token_s:g} s") from exc
        except httpx.HTTPError as exc:
            raise UpstreamFailed("connect", f"no connection ({type(exc).__name__})") from exc

    async def models(self) -> Sequence[str]:
        """Names of its models. Raises UpstreamFailed."""
        try:
            response = await self._client.get(f"{self.config.url}/models", timeout=self.config.connect_s)
            response.raise_for_status()
            return [str(model["id"]) for model in response.json()["data"]]
        except httpx.HTTPStatusError as exc:
            raise of_status(exc.response.status_code, "", 0.0) from exc
        except httpx.HTTPError as exc:
            raise UpstreamFailed("connect", f"no connection ({type(exc).__name__})") from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise UpstreamFailed("garbage", "no list of models") from exc

    async def close(self) -> None:
        """Have models unloaded if configured, and drop the connections."""
        try:
            for model in self._asked if self.config.unload else ():
                await self._client.post(
                    f"{self.config.url.removesuffix('/v1')}/api/generate",
                    json={"model": model, "keep_alive": 0}, timeout=UNLOAD_S,
                )  # fmt: skip
        except httpx.HTTPError as exc:
            logger.warning("models not unloaded", extra={"upstream": self.name, "error": type(exc).__name__})
        finally:
            await self._client.aclose()

    def _clean(self, value: Any) -> Any:  # noqa: ANN401  a text, or JSON with texts in it
        """The same without our key and the values of our headers: error messages quote them."""
        match value:
            case str():
                for secret in self._secrets:
                    value = value.replace(secret, "***")
                return value
            case dict():
                return {name: self._clean(inner) for name, inner in value.items()}
            case list():
                return [self._clean(inner) for inner in value]
        return value


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body).encode()
    except RecursionError as exc:
        raise RequestRefused(400, {"message": "The request is nested too deeply."}) from exc


def _parsed(events: Iterator[bytes], answer: Answer) -> Iterator[Chunk]:
    """Up to [DONE]; what comes after it is read, so that the connection can be used again, and dropped."""
    for data in events:
        answer.done = answer.done or data.strip() == DONE
        if not answer.done:
            answer.take(chunk := parse_chunk(data))
            yield chunk


async def _check(response: httpx.Response) -> None:
    """Raises unless it streams."""
    status, kind = response.status_code, response.headers.get("content-type", "")
    if status == 200 and kind.startswith("text/event-stream"):
        return
    if 200 <= status < 300:
        raise UpstreamFailed("garbage", f"status {status} with {kind or 'no content type'}, no event stream")
    error = await _error(response)
    if status in CLIENT_STATUSES:
        raise RequestRefused(status, error)
    raise of_status(status, str(error.get("message") or ""), retry_after_s(response.headers.get("retry-after", "")))


async def _error(response: httpx.Response) -> Mapping[str, Any]:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LONGEST_ERROR:
            break
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {"message": body[:LONGEST_MESSAGE].decode(errors="replace").strip()}
    return error_object(found["error"] if isinstance(found, dict) and "error" in found else found)


def retry_after_s(value: str) -> float:
    """Of a Retry-After header, seconds or a date; 0: it says nothing we understand."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
