"""Completions by a real worker, on SQLite and on Redis + RabbitMQ, of a scripted upstream over HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from completions import Counter, counter, shape, write_config, written

from contracts.adapters import Address
from contracts.records import CompletionEnd, StartHeaders
from contracts.topology import LLM_LANE
from load_tests.system import System, system
from load_tests.upstream import serving

MODELS = {
    "fast": [("one", "tokens=12,rate=200")],
    "endless": [("one", "tokens=100000,rate=50")],
    "slow": [("one", "tokens=100,rate=50")],
    "tools": [("one", "tools")],
    "refused": [("one", "refuse=400")],
    "fallback-refuses": [("one", "refuse=503"), ("two", "tokens=3")],
    "fallback-hangs": [("one", "hang"), ("two", "tokens=3")],
    "fallback-dies": [("one", "die=2"), ("two", "tokens=3")],
    "fallback-away": [("away", "x"), ("two", "tokens=3")],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path, upstream: str) -> Iterator[System]:
    one = {"url": f"{upstream}/v1", "parallel": 4, "first_token_s": 3, "cooldown_s": 0.01, "cooldown_max_s": 0.01}
    upstreams = {"one": one, "two": one, "away": {**one, "url": "http://127.0.0.1:1/v1"}}
    config = write_config(directory / "llm.yaml", upstreams, MODELS)
    with system(each_store, directory, CASTLINE_LEASE_S="2", CASTLINE_IDLE_POLL_S="0.2") as running:
        running.proxy(config)
        yield running


@pytest.fixture
async def desk(running: System) -> AsyncIterator[Counter]:
    async with counter(running.address) as desk:
        yield desk


async def stats(upstream: str) -> Mapping[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        found: Mapping[str, Any] = (await client.get(f"{upstream}/stats")).json()
        return found


async def test_a_completion_is_streamed_into_its_log(desk: Counter) -> None:
    records = await desk.records(await desk.ask("fast"))
    assert shape(records) == "meta start delta eos"
    start, end = StartHeaders(**records[1].headers), CompletionEnd(**records[-1].headers)
    assert (start.a, start.upstream, start.model) == (1, "one", "tokens=12,rate=200")
    assert (end.finish_reason, end.a, end.w) == ("stop", 1, start.w)
    assert end.usage is not None
    assert end.usage["completion_tokens"] == 12
    assert written(records) == "".join(f"{n} " for n in range(12))
    assert len(records) > 4, "tokens of 60 ms are in more than one record"
    [worker] = await desk.store.scheduler.workers(LLM_LANE)
    assert (worker.engine, worker.voices, worker.slots) == ("llm-proxy", tuple(MODELS), 12)


@pytest.mark.parametrize(("why", "starts"), [("refuses", 1), ("hangs", 1), ("away", 1), ("dies", 2)])
async def test_another_upstream_takes_over(desk: Counter, why: str, starts: int) -> None:
    records = await desk.records(await desk.ask(f"fallback-{why}"))
    assert shape(records) == "meta " + "start delta " * starts + "eos"
    assert (written(records), records[-1].headers["upstream"]) == ("0 1 2 ", "two")


async def test_tools_go_there_and_calls_come_back(desk: Counter) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    records = await desk.records(await desk.ask("tools", tools=tools))
    assert records[-1].headers["finish_reason"] == "tool_calls"
    lines = [json.loads(line) for r in records if r.type == "delta" for line in r.body.splitlines()]
    calls = [call for line in lines for c in line["choices"] for call in c["delta"].get("tool_calls", [])]
    assert calls[0]["function"]["name"] == "look"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"place": "the sea"}


async def test_what_the_client_has_done_wrong_is_the_last_record(desk: Counter) -> None:
    unit = await desk.ask("refused")
    records = await desk.records(unit)
    assert shape(records) == "meta error"
    assert (records[-1].headers["status"], records[-1].headers["upstream_error"]["type"]) == (400, "scripted")
    status = await desk.store.log_reader.status(unit.job)
    assert status is not None
    assert status.state == "failed"


async def test_a_cancellation_closes_the_upstreams_connection(desk: Counter, upstream: str) -> None:
    before = (await stats(upstream))["aborted"]
    unit = await desk.ask("endless")
    await desk.records(unit, lambda records: len(records) > 3)
    await desk.store.log_writer.cancel(unit.job)
    await desk.publisher.cancel(unit.job)
    async with asyncio.timeout(1):
        while (await stats(upstream))["aborted"] == before:
            await asyncio.sleep(0.01)
    assert shape(await desk.records(unit)) == "meta start delta cancelled"
    assert shape(await desk.records(await desk.ask("fast"))) == "meta start delta eos", "the slot is free again"


async def test_a_worker_that_is_killed_mid_stream_is_followed_by_one_that_begins_anew(
    desk: Counter, running: System
) -> None:
    unit = await desk.ask("slow")
    await desk.records(unit, lambda records: len(records) > 4)
    [worker] = running.workers
    worker.signal(signal.SIGKILL)
    worker.start()
    records = await desk.records(unit)
    assert shape(records) == "meta start delta start delta eos"
    assert [record.terminal for record in records] == [False] * (len(records) - 1) + [True]
    starts = [StartHeaders(**r.headers) for r in records if r.type == "start"]
    assert starts[0].w != starts[1].w
    assert [start.a for start in starts] == [1, 2]
    assert written(records) == "".join(f"{n} " for n in range(100))


async def test_a_worker_that_drains_gives_back_what_it_can_not_finish(desk: Counter, running: System) -> None:
    [worker] = running.workers
    worker.signal(signal.SIGKILL)
    worker.environment["CASTLINE_DRAIN_S"] = "0"
    worker.start()
    unit = await desk.ask("slow")
    await desk.records(unit, lambda records: len(records) > 4)
    worker.signal(signal.SIGTERM)
    worker.start()
    records = await desk.records(unit)
    assert shape(records) == "meta start delta start delta eos"
    assert [r.headers["a"] for r in records if r.type == "start"] == [1, 1], "nobody is to blame"
