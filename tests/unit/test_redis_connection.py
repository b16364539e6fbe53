"""A connection to Redis that was cut behind redis-py's back is a lost connection on uvloop, too."""

from __future__ import annotations

import pytest
import uvloop
from redis.asyncio import Redis

from contracts.adapters.redis.connection import connect, connect_once, guarded
from contracts.errors import StoreUnavailable


@guarded
async def ping(client: Redis) -> bool:
    return bool(await client.ping())


def test_a_client_that_may_send_twice_goes_on(redis_url: str) -> None:
    async def cut_and_call() -> object:
        client = connect(redis_url)
        try:
            await client.ping()
            [connection] = client.connection_pool._available_connections
            assert connection._writer is not None
            connection._writer.transport.abort()
            return await client.ping()
        finally:
            await client.aclose()

    assert uvloop.run(cut_and_call()) is True


def test_a_client_that_may_not_says_that_the_store_is_not_available(redis_url: str) -> None:
    async def cut_and_call() -> None:
        client = connect_once(redis_url)
        try:
            await client.ping()
            [connection] = client.connection_pool._available_connections
            assert connection._writer is not None
            connection._writer.transport.abort()
            await ping(client)
        finally:
            await client.aclose()

    with pytest.raises(StoreUnavailable):
        uvloop.run(cut_and_call())
