"""What the order of work promises, whatever it stands on."""

from __future__ import annotations

import asyncio

from contracts.adapters import Store
from contracts.jobs import WorkerInfo
from contracts.ports import Backlog, Claim
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")
LONG_MS = 60_000


def unit(n: int, job: str = "a" * 16) -> Unit:
    return Unit(job, "e1", n)


async def claim(store: Store, owner: str = "w1", lease_ms: int = LONG_MS, **ticket: str | bool) -> Claim | None:
    return await store.scheduler.claim(LANE, owner, lease_ms, **ticket)  # type: ignore[arg-type]


async def lapsed(store: Store, owner: str) -> Claim:
    """Claim as soon as some lease has run out."""
    async with asyncio.timeout(10):
        while (found := await claim(store, owner)) is None:
            await asyncio.sleep(0.01)
    return found


async def test_the_unit_due_soonest_comes_first(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 3_000), (unit(1), 1_000), (unit(2), 2_000)])
    found = [await claim(store) for _ in range(4)]
    assert [(c.unit.index, c.deadline_ms) for c in found if c] == [(1, 1_000), (2, 2_000), (0, 3_000)]
    assert found[3] is None


async def test_lanes_do_not_mix(store: Store) -> None:
    await store.scheduler.submit(Lane("tts"), [(unit(0), 1)])
    assert await claim(store) is None
    assert await store.scheduler.backlog(Lane("tts")) == Backlog(1, 0)
    assert await store.scheduler.backlog(LANE) == Backlog(0, 0)


async def test_submitting_again_changes_nothing(store: Store) -> None:
    assert await store.scheduler.submit(LANE, [(unit(0), 10), (unit(1), 20)]) == 2
    first = await claim(store)
    assert await store.scheduler.submit(LANE, [(unit(0), 99), (unit(1), 99), (unit(2), 30)]) == 1
    second = await claim(store)
    assert first is not None
    assert second is not None
    assert (first.unit.index, second.unit.index, second.deadline_ms) == (0, 1, 20)
    assert await store.scheduler.backlog(LANE) == Backlog(1, 2)


async def test_a_lapsed_lease_comes_back_under_its_own_deadline(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 10), (unit(1), 20)])
    await claim(store, "w1", lease_ms=30)
    await store.scheduler.release(LANE, [unit(1)])
    again = await lapsed(store, "w2")
    assert (again.unit.index, again.deadline_ms, again.attempt, again.dead) == (0, 10, 2, False)
    assert not await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    assert not await store.scheduler.give_back(LANE, unit(0), "w1", attempted=True)
    assert await store.scheduler.extend(LANE, unit(0), "w2", LONG_MS)


async def test_an_extended_lease_does_not_lapse(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 10), (unit(1), 20)])
    await claim(store, "w1", lease_ms=40)
    assert await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)
    await claim(store, "w1", lease_ms=40)
    assert (await lapsed(store, "w2")).unit == unit(1)
    assert await claim(store, "w2") is None


async def test_a_redelivered_ticket_hands_out_the_unit_it_was_used_for(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(n), n) for n in range(4)])
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
    await store.scheduler.submit(LANE, [(unit(0), 0), (unit(1), 1)])
    await claim(store, "w1", ticket="t0")
    await store.scheduler.release(LANE, [unit(0)])
    found = await claim(store, "w2", ticket="t0", redelivered=True)
    assert found is not None
    assert found.unit == unit(1)


async def test_a_redelivered_ticket_does_not_rob_the_unit_s_next_owner(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 0)])
    await claim(store, "w1", lease_ms=20, ticket="t0")
    async with asyncio.timeout(10):
        while await claim(store, "w2", ticket="t1") is None:
            await asyncio.sleep(0.01)
    assert await claim(store, "w3", ticket="t0", redelivered=True) is None
    assert await store.scheduler.extend(LANE, unit(0), "w2", LONG_MS)


async def test_what_is_given_back_keeps_its_place(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 10), (unit(1), 20)])
    await claim(store, "w1")
    assert await store.scheduler.give_back(LANE, unit(0), "w1", attempted=False)
    assert not await store.scheduler.give_back(LANE, unit(0), "w1", attempted=False)
    again = await claim(store, "w2")
    assert again is not None
    assert (again.unit, again.deadline_ms, again.attempt) == (unit(0), 10, 1)
    assert await store.scheduler.give_back(LANE, unit(0), "w2", attempted=True)
    third = await claim(store, "w2")
    assert third is not None
    assert third.attempt == 2


async def test_a_unit_that_is_handed_out_too_often_is_dead(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(0), 10)])
    for attempt in range(1, MAX_ATTEMPTS + 2):
        found = await claim(store)
        assert found is not None
        assert (found.attempt, found.dead) == (attempt, attempt > MAX_ATTEMPTS)
        await store.scheduler.give_back(LANE, unit(0), "w1", attempted=True)
    await store.scheduler.release(LANE, [unit(0)])
    assert await claim(store) is None
    await store.scheduler.submit(LANE, [(unit(0), 10)])
    fresh = await claim(store)
    assert fresh is not None
    assert fresh.attempt == 1, "release forgets the attempts"


async def test_release_forgets_waiting_and_leased_units(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(n), n) for n in range(3)])
    await claim(store)
    await store.scheduler.release(LANE, [unit(0), unit(1), unit(7)])
    assert await store.scheduler.backlog(LANE) == Backlog(1, 0)
    assert not await store.scheduler.extend(LANE, unit(0), "w1", LONG_MS)


async def test_position_counts_the_units_due_before(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(n), 10 * n) for n in range(5)])
    assert await store.scheduler.ahead(LANE, unit(3)) == 3
    await claim(store)
    assert await store.scheduler.ahead(LANE, unit(3)) == 2
    assert await store.scheduler.ahead(LANE, unit(0)) is None
    assert await store.scheduler.ahead(LANE, unit(9)) is None


async def test_many_claimants_never_share_a_unit(store: Store) -> None:
    await store.scheduler.submit(LANE, [(unit(n), n) for n in range(40)])
    found = await asyncio.gather(*(claim(store, f"w{n}") for n in range(60)))
    assert sorted(c.unit.index for c in found if c) == list(range(40))


async def test_thousands_of_units_are_submitted_in_one_call(store: Store) -> None:
    assert await store.scheduler.submit(LANE, [(unit(n), n) for n in range(2_500)]) == 2_500
    assert await store.scheduler.backlog(LANE) == Backlog(2_500, 0)
    await store.scheduler.release(LANE, [unit(n) for n in range(2_500)])
    assert await store.scheduler.backlog(LANE) == Backlog(0, 0)


async def test_workers_are_known_while_they_are_heard_of(store: Store) -> None:
    info = WorkerInfo(
        id="cpu-1", pool="cpu", lane=LANE, engine="tone", model="tone", device_asked="cpu", device_active="cpu",
        voices=("tone",), slots=2, xrt=4.5, rss_mb=100, seen_ms=0,
    )  # fmt: skip
    await store.scheduler.register(info, 60_000)
    await store.scheduler.register(info.model_copy(update={"id": "cpu-2"}), 30)
    [*known] = await store.scheduler.workers(LANE)
    assert {w.id for w in known} >= {"cpu-1"}
    async with asyncio.timeout(10):
        while len(await store.scheduler.workers(LANE)) > 1:
            await asyncio.sleep(0.01)
    [left] = await store.scheduler.workers(LANE)
    assert left.model_copy(update={"seen_ms": 0}) == info
    assert left.seen_ms > 0
    await store.scheduler.unregister(LANE, "cpu-1")
    assert await store.scheduler.workers(LANE) == []
