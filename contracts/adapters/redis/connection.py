"""Connections to Redis, scripts, and the one place where redis-py's errors become ours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Sequence
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import RedisError

from contracts.errors import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

CALL_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 64


def connect(url: str) -> Redis:
    """A client for idempotent verbs: a call whose answer was lost is sent again."""
    return _client(url, Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3), CALL_TIMEOUT_S)


def connect_once(url: str) -> Redis:
    """A client that never sends twice: a repeated CLAIM would leak a lease and burn an attempt."""
    return _client(url, Retry(NoBackoff(), 0), CALL_TIMEOUT_S)


def connect_waiting(url: str) -> Redis:
    """A client whose reads may wait for ever: with a socket timeout redis-py re-sends a blocked read in silence."""
    return _client(url, Retry(NoBackoff(), 0), None)


def _client(url: str, retry: Retry, timeout_s: float | None) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=CALL_TIMEOUT_S,
        retry=retry,
        socket_timeout=timeout_s,
        socket_connect_timeout=CALL_TIMEOUT_S,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


def guarded(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Any error of redis-py (refused, timed out, loading, read only, out of memory) is StoreUnavailable."""

    @functools.wraps(verb)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await verb(*args, **kwargs)
        except (RedisError, OSError) as exc:
            raise StoreUnavailable(f"Redis ({type(exc).__name__}: {exc})") from exc

    return call


class Scripts:
    """The Lua verbs by name, sent by hash and loaded again when the server has forgotten them."""

    def __init__(self, client: Redis) -> None:
        folder = files(__package__)
        library = folder.joinpath("lib.lua").read_text()
        self._scripts = {
            path.name.removesuffix(".lua"): client.register_script(library + path.read_text())
            for path in folder.iterdir()
            if path.name.endswith(".lua") and path.name != "lib.lua"
        }

    async def call(self, verb: str, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401  each verb answers in its own shape
        """Run one verb on one hash slot."""
        return await self._scripts[verb](keys=list(keys), args=list(args))


def as_text(value: bytes | str) -> str:
    """redis-py types every answer as either; ours are bytes."""
    return value.decode() if isinstance(value, bytes) else value
