"""The worker shell's acknowledgement table, row by row, on a SQLite store with an engine that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from contracts.adapters import Address, Store, open_store
from contracts.errors import EngineDied, EngineStopped, StoreUnavailable, UnitFailed
from contracts.jobs import Receipt, Ticket
from contracts.ports import Claim, Delivery, NewLog, Output, Work
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane, Unit
from workers.engine import EngineInfo, UnitRequest
from workers.renderer import EngineRenderer
from workers.settings import WorkerSettings
from workers.shell import Shell

LANE = Lane("tts.tone")
JOB = "a" * 16
INFO = EngineInfo("tone", "tone", "cpu", "cpu", ("tone",), slots=1, probe_xrt=10.0)


@dataclass
class Engine:
    """Answers each render with the next of its script; then with audio."""

    script: list[Exception | str] = field(default_factory=list)
    rendered: list[int] = field(default_factory=list)
    starts: int = 1

    alone: dict[int, bool] = field(default_factory=dict)
    pairs: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(2))
    """Where a step named "pair" waits for another."""

    async def render(self, request: UnitRequest, stop: asyncio.Event) -> Output:
        self.rendered.append(request.index)
        self.alone[request.index] = request.alone
        step = self.script.pop(0) if self.script else "audio"
        if isinstance(step, Exception):
            raise step
        if step == "wait":
            await stop.wait()
            raise EngineStopped("stopped")
        if step == "pair":
            await self.pairs.wait()
        if step == "overtaken":
            return Output("eos", {}, writer="another has written since")
        return Output("audio", {"i": request.index, "t": request.text, "d": 100}, b"sound", duration_ms=100, gen_ms=10)


@dataclass
class Ended:
    """A ticket that remembers its end."""

    ticket: Ticket | None
    redelivered: bool = False
    end: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def ack(self) -> None:
        self.end.set_result("ack")

    async def put_back(self) -> None:
        self.end.set_result("put back")


class Source:
    """Hands out tickets; keeps what is buried and replied."""

    def __init__(self) -> None:
        self.tickets: asyncio.Queue[Delivery] = asyncio.Queue()
        self.cancels: asyncio.Queue[str] = asyncio.Queue()
        self.buried: list[Unit] = []
        self.renewed = asyncio.Event()
        self.receipts: list[tuple[str, Receipt]] = []

    async def next(self, timeout_s: float) -> Delivery | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.tickets.get(), timeout_s)
        return None

    async def cancellations(self) -> AsyncIterator[str]:
        while True:
            yield await self.cancels.get()

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        raise NotImplementedError

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        self.buried.append(unit)

    async def reply(self, reply_to: str, receipt: Receipt) -> None:
        self.receipts.append((reply_to, receipt))

    async def renew(self) -> None:
        self.renewed.set()

    async def stop(self) -> None:
        """Nothing is taken ahead."""

    async def close(self) -> None:
        """Nothing is held."""

    def give(self, index: int, *, redelivered: bool = False) -> Ended:
        delivery = Ended(Ticket(job=JOB, epoch="e1", index=index), redelivered)
        self.tickets.put_nowait(delivery)
        return delivery


@dataclass
class Bench:
    """A running shell and its surroundings."""

    store: Store
    source: Source
    engine: Engine
    shell: Shell

    async def types(self) -> list[str]:
        page = await self.store.log_reader.read(JOB, 0)
        assert page is not None
        return [r.type for r in page.records]


@contextlib.asynccontextmanager
async def bench(
    tmp_path: Path, *, units: int, script: list[Exception | str], slots: int = 1, **settings: Any
) -> AsyncIterator[Bench]:
    address = Address(f"sqlite://{tmp_path}/castline.db", "")
    store = open_store(address)
    texts = [f"unit {n} " for n in range(units)]
    await store.log_writer.open(
        NewLog(JOB, "e1", LANE, "live", "", {"voice": "tone"}, {"v": 1}, texts, True, 60_000, reply_to="front")
    )
    await store.scheduler.submit(LANE, Work(JOB, "e1", "c", "live", [1_000] * units))
    source, engine = Source(), Engine(script)
    given = WorkerSettings(store=address.store, broker="", **{"idle_poll_s": 60, **settings})
    shell = Shell(
        "w1", LANE, given, log=store.log_writer, scheduler=store.scheduler, source=source,
        renderer=EngineRenderer(engine), info=replace(INFO, slots=slots),
    )  # fmt: skip
    running = asyncio.create_task(shell.run())
    try:
        async with asyncio.timeout(30):
            yield Bench(store, source, engine, shell)
    finally:
        shell.drain()
        for _ in range(slots):
            source.tickets.put_nowait(Ended(None))  # wake it
        await running
        await store.close()


async def test_rendered_and_committed_is_acked_and_the_last_one_sends_the_receipt(tmp_path: Path) -> None:
    async with bench(tmp_path, units=2, script=[]) as b:
        assert await b.source.give(0).end == "ack"
        assert b.source.receipts == []
        assert await b.source.give(1).end == "ack"
        assert await b.types() == ["meta", "audio", "audio", "eos"]
        [(reply_to, receipt)] = b.source.receipts
        assert (reply_to, receipt.job, receipt.units, receipt.audio_ms, receipt.voice) == ("front", JOB, 2, 200, "tone")
        page = await b.store.log_reader.read(JOB, 1)
        assert page is not None
        assert (page.records[0].headers["a"], page.records[0].headers["w"]) == (1, "w1")


async def test_nothing_due_is_acked(tmp_path: Path) -> None:
    async with bench(tmp_path, units=1, script=[]) as b:
        assert await b.source.give(0).end == "ack"
        assert await b.source.give(0, redelivered=True).end == "ack"
        assert b.engine.rendered == [0]


async def test_a_unit_that_is_committed_already_is_released_and_acked_unrendered(tmp_path: Path) -> None:
    async with bench(tmp_path, units=2, script=[]) as b:
        await b.store.log_writer.commit(Unit(JOB, "e1", 0), Output("audio", {"i": 0}, b"x", 1, 1))
        assert await b.source.give(0).end == "ack"
        assert b.engine.rendered == []
        assert (await b.store.scheduler.backlog(LANE)).due == 1


@pytest.mark.parametrize("error", [EngineDied("gone"), UnitFailed("no")])
async def test_a_failure_gives_the_unit_back_and_counts(tmp_path: Path, error: Exception) -> None:
    async with bench(tmp_path, units=1, script=[error]) as b:
        assert await b.source.give(0).end == "put back"
        found = await b.store.scheduler.claim(LANE, "w2", 60_000)
        assert found is not None
        assert found.attempt == 2


async def test_a_poison_unit_becomes_a_skip_and_a_dead_letter(tmp_path: Path) -> None:
    async with bench(tmp_path, units=2, script=[UnitFailed("no")] * MAX_ATTEMPTS) as b:
        for _ in range(MAX_ATTEMPTS):
            assert await b.source.give(0).end == "put back"
        assert await b.source.give(0).end == "ack"
        assert b.source.buried == [Unit(JOB, "e1", 0)]
        assert await b.source.give(1).end == "ack"
        assert await b.types() == ["meta", "skip", "audio", "eos"]
        assert len(b.engine.rendered) == MAX_ATTEMPTS + 1


async def test_a_cancelled_job_stops_the_engine_and_acks(tmp_path: Path) -> None:
    async with bench(tmp_path, units=1, script=["wait"]) as b:
        delivery = b.source.give(0)
        while not b.engine.rendered:
            await asyncio.sleep(0)
        await b.store.log_writer.cancel(JOB)
        await b.store.scheduler.release(LANE, [(Unit(JOB, "e1", 0), None)])
        b.source.cancels.put_nowait(JOB)
        assert await delivery.end == "ack"
        assert await b.types() == ["meta", "cancelled"]


async def test_a_lease_that_is_not_ours_any_more_stops_the_engine(tmp_path: Path) -> None:
    async with bench(tmp_path, units=1, script=["wait"], lease_s=0.5) as b:
        delivery = b.source.give(0)
        while not b.engine.rendered:
            await asyncio.sleep(0)
        await b.store.scheduler.release(LANE, [(Unit(JOB, "e1", 0), None)])
        assert await delivery.end == "ack"


async def test_two_slots_may_hold_one_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, units=2, script=["wait"], slots=2, lease_s=0.5) as b:

        async def no_answer(*args: Any) -> bool:
            raise StoreUnavailable("Redis")

        monkeypatch.setattr(b.store.scheduler, "extend", no_answer)
        stuck = b.source.give(0)
        while not b.engine.rendered:
            await asyncio.sleep(0)
        while b.engine.rendered.count(0) < 2:  # the lease lapses, and the other slot is handed the unit
            await b.source.give(0).end
        b.source.cancels.put_nowait(JOB)
        await stuck.end
        assert await b.source.give(1).end == "ack", "the worker lives"
        assert await b.types() == ["meta", "audio", "audio", "eos"]


async def test_draining_gives_back_what_is_not_finished_in_time(tmp_path: Path) -> None:
    async with bench(tmp_path, units=1, script=["wait"], drain_s=0.1) as b:
        delivery = b.source.give(0)
        while not b.engine.rendered:
            await asyncio.sleep(0)
        b.shell.drain()
        assert await delivery.end == "put back"
        found = await b.store.scheduler.claim(LANE, "w2", 60_000)
        assert found is not None
        assert found.attempt == 1, "leaving is no attempt"


async def test_a_store_that_does_not_answer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, units=1, script=[]) as b:
        commit, claim, failures = b.store.log_writer.commit, b.store.scheduler.claim, iter([1, 1, 0, 1, 0])

        async def flaky_commit(unit: Unit, output: Output) -> Any:
            if next(failures, 0):
                raise StoreUnavailable("Redis")
            return await commit(unit, output)

        async def flaky_claim(*args: Any, **kwargs: Any) -> Claim | None:
            if next(failures, 0):
                raise StoreUnavailable("Redis")
            return await claim(*args, **kwargs)

        monkeypatch.setattr(b.store.log_writer, "commit", flaky_commit)
        monkeypatch.setattr(b.store.scheduler, "claim", flaky_claim)
        assert await b.source.give(0).end == "ack"
        assert b.engine.rendered == [0], "what was rendered is kept, not rendered again"
        assert await b.types() == ["meta", "audio", "eos"]


async def test_a_free_slot_finds_units_whose_ticket_was_lost(tmp_path: Path) -> None:
    async with bench(tmp_path, units=2, script=[], idle_poll_s=0.05) as b:
        while "eos" not in await b.types():
            await asyncio.sleep(0)
        assert b.engine.rendered == [0, 1]


async def test_the_first_units_of_a_cast_get_the_whole_engine_and_later_ones_share_it(tmp_path: Path) -> None:
    async with bench(tmp_path, units=6, script=["pair"] * 6, slots=2) as b:
        for first in (0, 2, 4):
            tickets = [b.source.give(first), b.source.give(first + 1)]
            assert [await ticket.end for ticket in tickets] == ["ack", "ack"]
        assert [b.engine.alone[n] for n in range(4)] == [True, True, True, False]
        assert sorted([b.engine.alone[4], b.engine.alone[5]]) == [False, True], "one of them found nothing in work"


async def test_work_that_no_ticket_announces_makes_the_watchdog_connect_anew(tmp_path: Path) -> None:
    async with bench(tmp_path, units=40, script=["ok"] * 40, idle_poll_s=0.05, watchdog_s=1) as b:
        async with asyncio.timeout(20):
            await b.source.renewed.wait()
        assert b.engine.rendered, "idle polls do the work meanwhile"


async def test_a_ticket_keeps_the_watchdog_quiet(tmp_path: Path) -> None:
    async with bench(tmp_path, units=2, script=["ok"] * 2, idle_poll_s=0.05, watchdog_s=1) as b:
        for n in range(2):
            assert await b.source.give(n).end == "ack"
        assert not b.source.renewed.is_set()


async def test_a_unit_that_another_attempt_writes_now_is_left_to_it(tmp_path: Path) -> None:
    async with bench(tmp_path, units=1, script=["overtaken"]) as b:
        assert await b.source.give(0).end == "ack"
        assert await b.types() == ["meta"]
        assert (await b.store.scheduler.backlog(LANE)).running == 1
