"""Servers and stores shared by all test folders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from support.services import own_redis, shared_rabbitmq

from contracts.adapters import Address


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A redis-server of this run, durable as in production."""
    with own_redis() as server:
        yield server.url


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """A RabbitMQ broker, possibly shared: use a namespace."""
    with shared_rabbitmq() as url:
        yield url


@pytest.fixture
def namespace() -> str:
    """A prefix for keys and queues that no other test has."""
    return f"test-{uuid4().hex[:12]}:"


@pytest.fixture
async def real(redis_url: str, amqp_url: str, namespace: str) -> AsyncIterator[Address]:
    """Redis + RabbitMQ under a namespace of its own; queues are deleted afterwards."""
    yield Address(redis_url, amqp_url, namespace)
    await delete_queues(amqp_url, namespace)


@pytest.fixture
def embedded(tmp_path: Path) -> Address:
    """A SQLite file."""
    return Address(f"sqlite://{tmp_path}/castline.db", "")


async def delete_queues(url: str, namespace: str) -> None:
    """Remove the durable queues and exchanges a test has declared."""
    import aio_pika

    from contracts import topology
    from contracts.units import Lane

    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for lane in ("tts", "tts.tone", "tts.espeak"):
            await channel.queue_delete(namespace + topology.queue_name(Lane(lane)))
        await channel.queue_delete(namespace + "tts.dead")
        for exchange in (topology.DEAD_EXCHANGE, topology.CANCEL_EXCHANGE):
            await channel.exchange_delete(namespace + exchange)
