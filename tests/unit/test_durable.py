"""The protocol of Durable Streams where the suite does not look: cursors, the end of an event stream, who is behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from silence import SilentBell

from contracts.adapters import Address, Store, open_store
from contracts.ports import LogStatus, NewLog, Output
from contracts.units import Lane, Unit
from producer_api.follow import durable, glances
from producer_api.follow.attention import Attention
from producer_api.follow.glances import Glances
from producer_api.follow.hub import Hub

JOB = "a" * 16
EPOCH = "e1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(Address(f"sqlite://{tmp_path}/castline.db", ""))
    log = NewLog(JOB, EPOCH, Lane("tts.tone"), "live", "", {}, {"v": 1}, ["text"] * 9, True, 60_000)
    await opened.log_writer.open(log)
    yield opened
    await opened.close()


async def commit(store: Store, index: int, size: int = 10) -> None:
    await store.log_writer.commit(Unit(JOB, EPOCH, index), Output("audio", {"i": index}, bytes(size), 1, 1))


async def status(store: Store) -> LogStatus:
    found = await store.log_reader.status(JOB)
    assert found is not None
    return found


def parsed(piece: bytes) -> list[tuple[str, Any]]:
    """(event, data) of the events in a piece."""
    events = [block.split("\n") for block in piece.decode().split("\n\n") if block]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data:"))) for name, data in events]


def test_offsets_sort_as_seqs_do() -> None:
    seqs = [0, 1, 9, 10, 99, 100, 12_345, 2**31]
    assert sorted(map(durable.offset_of, reversed(seqs))) == [durable.offset_of(seq) for seq in seqs]


def test_a_cursor_only_goes_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_760_000_000.0)
    now = int(durable.cursor_after(None))
    assert durable.cursor_after(str(now - 1)) == str(now)
    for nothing in ("", "x", "-5", "٣", "9" * 40, "1.5"):
        assert durable.cursor_after(nothing) == str(now)
    for given in (now, now + 100_000):
        assert given < int(durable.cursor_after(str(given))) <= given + 180


async def test_an_event_stream_ends_and_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut after SSE_S whether or not something comes, and nothing is lost between one and the next."""
    monkeypatch.setattr(durable, "SSE_S", 0.2)
    hub = Hub(store.log_reader, SilentBell(), Attention(store.scheduler))
    await commit(store, 0)
    first = [parsed(p) async for p in durable.events(hub, await status(store), 0, None)]
    assert [name for piece in first for name, _ in piece] == ["data", "control"]
    control = first[-1][-1][1]
    assert control["streamNextOffset"] == "0000000002"
    assert control["upToDate"]
    assert hub._feeds == {}, "nobody follows any more"
    await commit(store, 1)
    again = durable.events(hub, await status(store), int(control["streamNextOffset"]), control["streamCursor"])
    second = parsed(await anext(again))
    assert [record["seq"] for record in second[0][1]] == [2]
    await again.aclose()


async def test_who_is_behind_is_not_up_to_date(store: Store) -> None:
    for index in range(6):
        await commit(store, index, size=50_000)  # more than one run
    hub = Hub(store.log_reader, SilentBell(), Attention(store.scheduler))
    events = durable.events(hub, await status(store), 0, None)
    controls: list[dict[str, Any]] = []
    while not controls or "upToDate" not in controls[-1]:
        controls.append(parsed(await anext(events))[-1][1])
    await events.aclose()
    assert len(controls) > 1
    assert controls[-1]["streamNextOffset"] == "0000000007"


async def test_readers_that_ask_again_are_one_ear_until_they_stop(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glances, "GONE_S", 0.2)
    ears = Attention(store.scheduler)
    asking = Glances(ears)
    for _ in range(3):
        asking.asked(await status(store))
    assert [len(e) for e in ears._ears.values()] == [1]
    assert ears._news.qsize() == 1
    async with asyncio.timeout(10):
        while ears._ears:
            await asyncio.sleep(0.01)
    asking.asked(await status(store))
    assert ears._news.qsize() == 2, "it is heard again"
