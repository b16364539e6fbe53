"""What the order of work promises, whatever it stands on: units, leases, tickets. The rule is in test_rule.py."""

from __future__ import annotations

import asyncio
import itertools

from contracts.adapters import Store
from contracts.jobs import WorkerInfo
from contracts.ports import Claim, Work
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")
LONG_MS = 60_000
JOB = "a" * 16


def unit(n: int, job: str = JOB) -> Unit:
    return Unit(job, "e1", n)


def work(count: int, first: int = 0) -> Work:
    return Work(JOB, "e1", "someone", "live", [1_000] * count, first, first * 1_000)


async def submit(store: Store, count: int, first: int = 0) -> int:
    return await store.scheduler.submit(LANE, work(count, first))


async def release(store: Store, *indexes: int) -> None:
    await store.scheduler.release(LANE, [(unit(n), None) for n in indexes])


async def counts(store: Store, lane: Lane = LANE) -> tuple[int, int]:
    """(due, running)"""
    backlog = await store.scheduler.backlog(lane)
    return backlog.due, backlog.running


async def claim(store: Store, owner: str = "w1", lease_ms: int = LONG_MS, **ticket: str | bool) -> Claim | None:
    return await store.scheduler.claim(LANE, owner, lease_ms, **ticket)  # type: ignore[arg-type]


async def lapsed(store: Store, owner: str) -> Claim:
    """Claim as soon as some lease has run out."""
    async with asyncio.timeout(10):
        while (found := await claim(store, owner)) is None:
            await asyncio.sleep(0.01)
    return found


async def test_units_come_in_order_wanted_one_after_the_other(store: Store) -> None:
    await submit(store, 12)
    found = [await claim(store) for _ in range(13)]
    assert [c.unit.index for c in found if c] == list(range(12))
    assert found[12] is None
    wanted = [c.deadline_ms for c in found if c]
    assert [b - a for a, b in itertools.pairwise(wanted)] == [1_000] * 11


async def test_lanes_do_not_mix(store: Store) -> None:
    await store.scheduler.submit(Lane("tts"), work(1))
    assert await claim(store) is None
    assert await counts(store, Lane("tts")) == (1, 0)
    assert await counts(store) == (0, 0)


async def test_submitting_again_changes_nothing(store: Store) -> None:
    assert await submit(store, 2) == 2
    first = await claim(store)
    assert await submit(store, 3) == 1
    second = await claim(store)
    assert first is not None
    assert second is not None
    assert (first.unit.index, second.unit.index, second.deadline_ms - first.deadline_ms) == (0, 1, 1_000)
    assert await counts(store) == (1, 2)


async def test_a_lapsed_lease_comes_back_in_its_place(store: Store) -> None:
    await submit(store, 2)
    first = await claim(store, "w1", lease_ms=30)
    await release(store, 1)
    again = await lapsed(store, "w2")
    assert first is not None
    assert (again.unit.index, again.deadline_ms, again.attempt, again.dead) == (0, first.deadline_ms, 2, False)
    assert not await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    assert not await store.scheduler.give_back(LANE, unit(0), "w1", attempted=True)
    assert await store.scheduler.extend(LANE, unit(0), "w2", LONG_MS)


async def test_an_extended_lease_does_not_lapse(store: Store) -> None:
    await submit(store, 2)
    await claim(store, "w1", lease_ms=40)
    assert await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    await claim(store, "w1", lease_ms=40)
    assert (await lapsed(store, "w2")).unit == unit(1)
    assert await claim(store, "w2") is None


async def test_a_redelivered_ticket_hands_out_the_unit_it_was_used_for(store: Store) -> None:
    await submit(store, 4)
    first = await claim(store, "w1", ticket="t3")
    assert first is not None
    assert first.unit == unit(0)
    again = await claim(store, "w2", ticket="t3", redelivered=True)
    assert again is not None
    assert (again.unit, again.attempt) == (unit(0), 2)
    assert not await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    fresh = await claim(store, "w3", ticket="t9", redelivered=True)
    assert fresh is not None
    assert fresh.unit == unit(1), "a ticket that was never used takes what is due"


async def test_a_redelivered_ticket_of_a_released_unit_takes_what_is_due(store: Store) -> None:
    await submit(store, 2)
    await claim(store, "w1", ticket="t0")
    await release(store, 0)
    found = await claim(store, "w2", ticket="t0", redelivered=True)
    assert found is not None
    assert found.unit == unit(1)


async def test_a_redelivered_ticket_does_not_rob_the_unit_s_next_owner(store: Store) -> None:
    await submit(store, 1)
    await claim(store, "w1", lease_ms=20, ticket="t0")
    async with asyncio.timeout(10):
        while await claim(store, "w2", ticket="t1") is None:
            await asyncio.sleep(0.01)
    assert await claim(store, "w3", ticket="t0", redelivered=True) is None
    assert await store.scheduler.extend(LANE, unit(0), "w2", LONG_MS)


async def test_what_is_given_back_keeps_its_place(store: Store) -> None:
    await submit(store, 2)
    first = await claim(store, "w1")
    assert await store.scheduler.give_back(LANE, unit(0), "w1", attempted=False)
    assert not await store.scheduler.give_back(LANE, unit(0), "w1", attempted=False)
    again = await claim(store, "w2")
    assert first is not None
    assert again is not None
    assert (again.unit, again.deadline_ms, again.attempt) == (unit(0), first.deadline_ms, 1)
    assert await store.scheduler.give_back(LANE, unit(0), "w2", attempted=True)
    third = await claim(store, "w2")
    assert third is not None
    assert third.attempt == 2


async def test_a_unit_that_is_handed_out_too_often_is_dead(store: Store) -> None:
    await submit(store, 1)
    for attempt in range(1, MAX_ATTEMPTS + 2):
        found = await claim(store)
        assert found is not None
        assert (found.attempt, found.dead) == (attempt, attempt > MAX_ATTEMPTS)
        await store.scheduler.give_back(LANE, unit(0), "w1", attempted=True)
    await release(store, 0)
    assert await claim(store) is None
    await submit(store, 1)
    fresh = await claim(store)
    assert fresh is not None
    assert fresh.attempt == 1, "release forgets the attempts"


async def test_release_forgets_waiting_and_leased_units(store: Store) -> None:
    await submit(store, 3)
    await claim(store)
    await release(store, 0, 1, 7)
    assert await counts(store) == (1, 0)
    assert not await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    await release(store, 2, 2)
    assert (await store.scheduler.backlog(LANE)).heard_ms == 0
    assert await store.scheduler.place(LANE, f"{JOB}:e1") is None


async def test_many_claimants_never_share_a_unit(store: Store) -> None:
    await submit(store, 40)
    found = await asyncio.gather(*(claim(store, f"w{n}") for n in range(60)))
    assert sorted(c.unit.index for c in found if c) == list(range(40))


async def test_thousands_of_units_are_submitted_in_one_call(store: Store) -> None:
    assert await submit(store, 2_500) == 2_500
    assert await counts(store) == (2_500, 0)
    assert (await store.scheduler.backlog(LANE)).heard_ms == 2_500_000
    await release(store, *range(2_500))
    assert await counts(store) == (0, 0)


async def test_workers_are_known_while_they_are_heard_of(store: Store) -> None:
    info = WorkerInfo(
        id="cpu-1", pool="cpu", lane=LANE, engine="tone", model="tone", device_asked="cpu", device_active="cpu",
        voices=("tone",), slots=2, xrt=4.5, rss_mb=100, seen_ms=0,
    )  # fmt: skip
    await store.scheduler.register(info, 60_000)
    await store.scheduler.register(info.model_copy(update={"id": "cpu-2"}), 1_000)
    assert {w.id for w in await store.scheduler.workers(LANE)} == {"cpu-1", "cpu-2"}
    backlog = await store.scheduler.backlog(LANE)
    assert (backlog.workers, backlog.xrt) == (2, 9.0)
    async with asyncio.timeout(10):
        while len(await store.scheduler.workers(LANE)) > 1:
            await asyncio.sleep(0.01)
    [left] = await store.scheduler.workers(LANE)
    assert left.model_copy(update={"seen_ms": 0}) == info
    assert left.seen_ms > 0
    await store.scheduler.unregister(LANE, "cpu-1")
    assert await store.scheduler.workers(LANE) == []


async def test_a_worker_may_be_of_two_lanes(store: Store) -> None:
    info = WorkerInfo(
        id="cpu-1", pool="cpu", lane=LANE, engine="tone", model="tone", device_asked="cpu", device_active="cpu",
        voices=("tone",), slots=2, xrt=4.5, rss_mb=100, seen_ms=0,
    )  # fmt: skip
    cut = Lane(f"{LANE}.cut")
    for lane in (LANE, cut):
        await store.scheduler.register(info.model_copy(update={"lane": lane}), 60_000)
    assert [len(await store.scheduler.workers(lane)) for lane in (LANE, cut)] == [1, 1]
    await store.scheduler.unregister(cut, "cpu-1")
    assert [len(await store.scheduler.workers(lane)) for lane in (LANE, cut)] == [1, 0]


async def test_expected_logs_are_overdue_once_a_while_until_settled(store: Store) -> None:
    await store.scheduler.expect(LANE, "late", 0)
    await store.scheduler.expect(LANE, "early", LONG_MS)
    found = await asyncio.gather(*(store.scheduler.overdue(LANE, LONG_MS, 10) for _ in range(3)))
    assert sorted(found) == [[], [], ["late"]], "one janitor gets it"
    await store.scheduler.expect(LANE, "late", 0)
    assert await store.scheduler.overdue(LANE, 0, 10) == [], "expecting again changes nothing"
    await store.scheduler.expect(LANE, "other", 0)
    assert await store.scheduler.overdue(LANE, LONG_MS, 10) == ["other"]
    await store.scheduler.settled(LANE, ["other"])
    assert await store.scheduler.overdue(LANE, 0, 10) == []
