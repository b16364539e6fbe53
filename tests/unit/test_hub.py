"""Feeds and incarnations: a reader sees one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from silence import SilentBell

from contracts.adapters import Address, Store, open_store
from contracts.errors import UnknownLog
from contracts.ports import NewLog, Output, Ring
from contracts.units import Lane, Unit
from producer_api.follow.attention import Attention
from producer_api.follow.hub import Hub

LANE = Lane("tts.tone")
JOB = "a" * 16


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(Address(f"sqlite://{tmp_path}/castline.db", ""))
    yield opened
    await opened.close()


async def incarnation(store: Store, epoch: str) -> None:
    texts = ["one ", "two"]
    log = NewLog(JOB, epoch, LANE, "live", "", {"voice": "tone"}, {"v": 1}, texts, True, 60_000)
    assert (await store.log_writer.open(log)).new


async def commit(store: Store, epoch: str, index: int) -> None:
    await store.log_writer.commit(Unit(JOB, epoch, index), Output("audio", {"i": index}, epoch.encode(), 1, 1))


async def test_a_reader_of_a_new_incarnation_does_not_join_the_feed_of_the_old_one(store: Store) -> None:
    hub = Hub(store.log_reader, SilentBell(), Attention(store.scheduler))
    await incarnation(store, "e1")
    await commit(store, "e1", 0)
    old = hub.follow(JOB, 0)
    assert [r.seq for r in await anext(old)] == [0, 1]
    await store.log_writer.cancel(JOB)
    await incarnation(store, "e2")
    new = hub.follow(JOB, 1)
    waiting = asyncio.ensure_future(anext(new))
    with pytest.raises(UnknownLog):
        await anext(old)
    await commit(store, "e2", 0)
    hub.ring(Ring(JOB))
    [record] = await waiting
    assert (record.seq, record.body) == (1, b"e2")


async def test_a_reader_from_behind_the_end_is_told_that_this_is_all(store: Store) -> None:
    hub = Hub(store.log_reader, SilentBell(), Attention(store.scheduler))
    await incarnation(store, "e1")
    waiting = asyncio.ensure_future(anext(hub.follow(JOB, 5)))
    while JOB not in hub._feeds:
        await asyncio.sleep(0)
    await store.log_writer.cancel(JOB)
    hub.ring(Ring(JOB))
    with pytest.raises(StopAsyncIteration):
        async with asyncio.timeout(10):
            await waiting
