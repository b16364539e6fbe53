"""Connections to Redis, scripts, and the one place where redis-py's errors become ours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
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
    base = pool.connection_class  # the URL's scheme has chosen it
    pool.connection_class = type(base.__name__, (_Sturdy, base), {})
    return Redis.from_pool(pool)


class _Sturdy(AbstractConnection):
    """Takes uvloop's word for a lost connection, too: redis-py lets it through, and it would end the process.

    A write to a transport that was reset, and whose reader has not been told yet, is a RuntimeError of uvloop; redis-py
    has disconnected then, and with the right error its own retries go on.
    """

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  redis-py's
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as exc:
            raise ConnectionLost(str(exc)) from exc


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
    """Lua verbs by name, sent by hash and loaded again when the server has forgotten them.

    folder: below this package, "" for the package itself; before: what stands before each verb, after lib.lua.
    """

    def __init__(self, client: Redis, folder: str = "", before: str = "") -> None:
        package = files(__package__)
        place = package.joinpath(folder) if folder else package
        texts = {p.name.removesuffix(".lua"): p.read_text() for p in place.iterdir() if p.name.endswith(".lua")}
        shared = package.joinpath("lib.lua").read_text() + before + (texts.pop(folder) if folder else "")
        texts.pop("lib", None)
        self._scripts = {verb: client.register_script(shared + text) for verb, text in texts.items()}

    async def call(self, verb: str, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401  each verb answers in its own shape
        """Run one verb on one hash slot."""
        return await self._scripts[verb](keys=list(keys), args=list(args))


def as_text(value: bytes | str) -> str:
    """redis-py types every answer as either; ours are bytes."""
    return value.decode() if isinstance(value, bytes) else value
