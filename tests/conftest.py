"""Servers and stores shared by all test folders."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from contracts.adapters import Address
from load_tests.queues import delete_queues
from load_tests.services import RabbitServer, RedisServer, ServiceMissing, own_rabbitmq, own_redis, shared_rabbitmq

T = TypeVar("T")


def served(context: contextlib.AbstractContextManager[T], stack: contextlib.ExitStack) -> T:
    """Enter it; a server that is missing skips on a laptop, loudly, and fails in CI."""
    try:
        return stack.enter_context(context)
    except ServiceMissing as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {exc}")
        pytest.skip(f"NOT TESTED: {exc} is missing")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A redis-server of this run, durable as in production."""
    with contextlib.ExitStack() as stack:
        yield served(own_redis(), stack).url


@pytest.fixture(scope="session")
def amqp_url() -> Iterator[str]:
    """A RabbitMQ broker, possibly shared: use a namespace."""
    with contextlib.ExitStack() as stack:
        yield served(shared_rabbitmq(), stack)


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    """A redis-server that the test may kill."""
    with contextlib.ExitStack() as stack:
        yield served(own_redis(), stack)


@pytest.fixture
def mortal_rabbitmq() -> Iterator[RabbitServer]:
    """A RabbitMQ node that the test may kill."""
    with contextlib.ExitStack() as stack:
        yield served(own_rabbitmq(), stack)


@pytest.fixture
def namespace() -> str:
    """A prefix for keys and queues that no other test has."""
    return f"test-{uuid4().hex[:12]}:"


@pytest.fixture
def real(redis_url: str, amqp_url: str, namespace: str) -> Iterator[Address]:
    """Redis + RabbitMQ under a namespace of its own; queues are deleted afterwards."""
    yield Address(redis_url, amqp_url, namespace)
    asyncio.run(delete_queues(amqp_url, namespace))


@pytest.fixture
def embedded(tmp_path: Path) -> Address:
    """A SQLite file."""
    return Address(f"sqlite://{tmp_path}/castline.db", "")
