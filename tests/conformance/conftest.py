"""One behaviour suite, three stores: SQLite, fakeredis, and a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis

from contracts.adapters import Address, Store, open_bell, open_store
from contracts.adapters.redis import RedisBlobs, RedisLog, RedisScheduler
from contracts.ports import Bell


@pytest.fixture(params=["sqlite", "fakeredis", "redis"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name of the store under test."""
    return str(request.param)


@pytest.fixture
def address(backend: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Address | None:
    """None for fakeredis, which has no address."""
    if backend == "sqlite":
        return Address(f"sqlite://{tmp_path}/castline.db", "")
    if backend == "redis":
        return Address(request.getfixturevalue("redis_url"), "amqp://not-used", namespace)
    return None


@pytest.fixture
async def fake(backend: str) -> AsyncIterator[FakeAsyncRedis | None]:
    client = FakeAsyncRedis() if backend == "fakeredis" else None
    yield client
    if client is not None:
        await client.aclose()


@pytest.fixture
async def store(address: Address | None, fake: FakeAsyncRedis | None) -> AsyncIterator[Store]:
    """The log and the scheduler under test."""
    if address is None:
        assert fake is not None
        log = RedisLog(fake, "t:")
        yield Store(log, log, RedisScheduler(fake, fake, "t:"), RedisBlobs(fake, "t:"), ())
        return
    opened = open_store(address)
    yield opened
    await opened.close()


@pytest.fixture
async def bell(address: Address | None) -> AsyncIterator[Bell]:
    """The bell under test."""
    if address is None:
        pytest.skip("fakeredis can not subscribe while another task waits for messages; the real server can")
    opened = open_bell(address)
    yield opened
    await opened.close()
