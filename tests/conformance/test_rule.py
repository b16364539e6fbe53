"""Which unit is next: the rule of contracts/schedule.py, whatever it stands on.

Units of an hour put a cast far ahead of its listener, units of a second keep it at his heels; so no test waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts.adapters import Store
from contracts.jobs import JobClass, WorkerInfo
from contracts.ports import Claim, Listening, Work
from contracts.schedule import RULE
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")
HOUR, SECOND, DAY = 3_600_000, 1_000, 24 * 3_600_000
SLACK_MS = 5_000
"""What a slow machine may take between two calls."""


async def post(store: Store, job: str, lengths: Sequence[int], client: str = "c", job_class: JobClass = "live") -> None:
    await store.scheduler.submit(LANE, Work(job, "e1", client, job_class, lengths))


async def claim(store: Store, xrt: float = 0.0) -> Claim:
    found = await store.scheduler.claim(LANE, "w1", 600_000, xrt=xrt)
    assert found is not None
    return found


async def order(store: Store, count: int) -> list[str]:
    """The next units, as `job` + index."""
    units = [(await claim(store)).unit for _ in range(count)]
    return [f"{u.job}{u.index}" for u in units]


async def release(store: Store, job: str, index: int, duration_ms: int | None) -> None:
    await store.scheduler.release(LANE, [(Unit(job, "e1", index), duration_ms)])


async def hear(store: Store, job: str, position_ms: int | None, ear: str = "someone", *, renew: bool = False) -> bool:
    return await store.scheduler.hear(LANE, f"{job}:e1", Listening(ear, position_ms, 600_000, renew))


async def register(store: Store, name: str, xrt: float, slots: int = 1) -> None:
    info = WorkerInfo(
        id=name, pool="p", lane=LANE, engine="tone", model="tone", device_asked="cpu", device_active="cpu",
        voices=("tone",), slots=slots, xrt=xrt, rss_mb=1, seen_ms=0,
    )  # fmt: skip
    await store.scheduler.register(info, 600_000)


async def test_what_is_heard_is_protected_before_somebody_new_starts(store: Store) -> None:
    await register(store, "w1", 40)
    await post(store, "a", [SECOND] * 4)
    await post(store, "b", [SECOND] * 4, "other")
    assert await order(store, 8) == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


async def test_somebody_new_starts_while_the_started_ones_have_enough_in_hand(store: Store) -> None:
    await post(store, "a", [HOUR] * 3)
    await post(store, "b", [SECOND] * 2)
    assert await order(store, 5) == ["a0", "b0", "b1", "a1", "a2"]


async def test_more_casts_than_the_fleet_can_carry_wait(store: Store) -> None:
    """Each is 20 s ahead, and has 10 minutes to come: a fleet of 2.5 x carries two of them, not three."""
    await register(store, "w1", 2.5)
    for job in "abc":
        await post(store, job, [20 * SECOND] * 30)
    assert await order(store, 4) == ["a0", "b0", "a1", "b1"]
    await register(store, "w2", 2.5)
    assert await order(store, 1) == ["c0"]


async def test_turns_go_to_the_client_with_the_fewest_running_casts(store: Store) -> None:
    for job in "abc":
        await post(store, job, [HOUR] * 2, "greedy")
    await post(store, "d", [HOUR] * 2, "modest")
    await post(store, "e", [HOUR] * 2, "modest")
    assert await order(store, 5) == ["a0", "d0", "b0", "e0", "c0"]


async def test_a_finished_cast_is_no_running_one(store: Store) -> None:
    await post(store, "a", [HOUR], "greedy")
    await post(store, "b", [HOUR], "modest")
    assert await order(store, 2) == ["a0", "b0"]
    await release(store, "a", 0, HOUR)
    await post(store, "c", [HOUR], "modest")
    await post(store, "d", [HOUR], "greedy")
    assert await order(store, 2) == ["d0", "c0"]


async def test_bulk_comes_after_everything_live_and_is_wanted_a_day_later(store: Store) -> None:
    await post(store, "a", [SECOND] * 2, "c", "bulk")
    await post(store, "b", [HOUR] * 2, "d")
    assert await order(store, 3) == ["b0", "b1", "a0"]
    await post(store, "c", [HOUR], "e")
    assert await order(store, 1) == ["c0"], "a started bulk cast does not stand in the way"
    last = await claim(store)
    before = last.deadline_ms
    assert last.unit == Unit("a", "e1", 1)
    assert await hear(store, "a", 0) is True, "the unit is still in work"
    assert before > DAY


async def test_a_cast_nobody_listens_to_waits_until_somebody_does(store: Store) -> None:
    await post(store, "a", [HOUR] * 2)
    await post(store, "b", [HOUR] * 2)
    await hear(store, "a", None)
    assert await order(store, 1) == ["b0"]
    await hear(store, "a", 0)
    assert await order(store, 1) == ["a0"]


async def test_a_pause_puts_a_cast_behind_and_going_on_brings_it_back(store: Store) -> None:
    await post(store, "a", [SECOND] * 5)
    await post(store, "b", [HOUR] * 9)
    assert await order(store, 2) == ["a0", "a1"]
    await hear(store, "a", 0)
    await hear(store, "a", None)
    assert await order(store, 2) == ["b0", "b1"]
    await hear(store, "a", 0)
    assert await order(store, 1) == ["a2"]
    await hear(store, "a", 0, "another")
    await hear(store, "a", None)
    assert await order(store, 1) == ["a3"], "one of two has paused"


async def test_renewing_keeps_the_playhead_where_it_is(store: Store) -> None:
    await post(store, "a", [SECOND] * 9)
    await claim(store)
    await release(store, "a", 0, SECOND)
    await hear(store, "a", 0)
    first = await claim(store)
    await hear(store, "a", HOUR, renew=True)
    second = await claim(store)
    assert second.deadline_ms - first.deadline_ms == SECOND
    assert await hear(store, "nobody", 0) is False


async def test_a_seek_moves_what_is_wanted(store: Store) -> None:
    await post(store, "a", [60 * SECOND] * 9)
    await claim(store)
    await release(store, "a", 0, 60 * SECOND)
    await hear(store, "a", 0)
    early = await claim(store)
    await hear(store, "a", 30 * SECOND)
    late = await claim(store)
    assert abs(late.deadline_ms - early.deadline_ms - 30 * SECOND) <= SLACK_MS, "60 s later in the text, 30 s nearer"


async def test_real_durations_correct_the_estimates(store: Store) -> None:
    await post(store, "a", [SECOND] * 3)
    await claim(store)
    await release(store, "a", 0, 9 * SECOND)
    second = await claim(store)
    third = await claim(store)
    assert third.deadline_ms - second.deadline_ms == SECOND
    await release(store, "a", 1, 2 * SECOND)
    await store.scheduler.give_back(LANE, third.unit, "w1", attempted=False)
    again = await claim(store)
    assert again.deadline_ms - third.deadline_ms == SECOND


async def test_playback_that_stood_still_is_not_hurried_for_ever(store: Store) -> None:
    """A listener's clock stops with the sound: what comes after a late unit is wanted later, too."""
    await post(store, "a", [SECOND] * 4)
    await claim(store)
    await release(store, "a", 0, SECOND)
    await hear(store, "a", HOUR)  # a playhead far beyond what is made: as if it had waited for an hour
    third = await claim(store)
    await release(store, "a", 1, SECOND)
    last = await claim(store)
    assert last.deadline_ms - third.deadline_ms > HOUR / 2


async def test_a_slow_worker_leaves_to_a_fast_one_what_it_would_spoil(store: Store) -> None:
    await register(store, "fast", 40)
    await register(store, "slow", 1)
    await post(store, "a", [4 * SECOND] * 9)
    slow = await claim(store, xrt=1)
    assert slow.unit.index >= 1
    fast = await claim(store, xrt=40)
    assert fast.unit.index == 0
    await store.scheduler.unregister(LANE, "fast")
    assert (await claim(store, xrt=1)).unit.index == 1 if slow.unit.index != 1 else 2


async def test_a_slow_worker_does_what_nobody_else_is_there_for(store: Store) -> None:
    await register(store, "slow", 1)
    await post(store, "a", [4 * SECOND] * 3)
    assert (await claim(store, xrt=1)).unit.index == 0
    await register(store, "fast", 40)
    await post(store, "b", [4 * SECOND])
    await claim(store, xrt=40)
    await claim(store, xrt=40)
    assert (await claim(store, xrt=1)).unit == Unit("b", "e1", 0), "the only unit there is"


async def test_waiting_casts_know_their_place(store: Store) -> None:
    await register(store, "w1", 2.5)
    for job, client in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "x"), ("e", "z")):
        await post(store, job, [SECOND] * 60, client)
    assert (await store.scheduler.backlog(LANE)).waiting == 5
    first = await store.scheduler.place(LANE, "a:e1")
    assert first is not None
    assert (first.started, first.casts_ahead, first.audio_ahead_ms, first.heard) == (False, 0, 0, True)
    await claim(store)
    places = {job: await store.scheduler.place(LANE, f"{job}:e1") for job in "abcde"}
    ahead = {job: place.casts_ahead for job, place in places.items() if place}
    assert ahead == {"a": 0, "b": 2, "c": 0, "d": 3, "e": 1}
    assert places["a"] is not None
    assert places["a"].started
    assert places["d"] is not None
    assert places["d"].audio_ahead_ms >= 60 * SECOND
    assert await store.scheduler.place(LANE, "f:e1") is None


@pytest.mark.parametrize("job_class", ["live", "bulk"])
async def test_the_backlog_tells_heard_from_quiet(store: Store, job_class: JobClass) -> None:
    await post(store, "a", [SECOND] * 3, job_class=job_class)
    backlog = await store.scheduler.backlog(LANE)
    assert (backlog.heard_ms, backlog.quiet_ms) == ((3_000, 0) if job_class == "live" else (0, 3_000))
    await hear(store, "a", 0 if job_class == "bulk" else None)
    backlog = await store.scheduler.backlog(LANE)
    assert (backlog.heard_ms, backlog.quiet_ms) == ((0, 3_000) if job_class == "live" else (3_000, 0))
    await claim(store)
    await release(store, "a", 1, None)
    backlog = await store.scheduler.backlog(LANE)
    assert backlog.heard_ms + backlog.quiet_ms == SECOND
    assert (backlog.due, backlog.running, backlog.waiting) == (1, 1, 0)


def test_the_rule_is_what_design_says() -> None:
    assert (RULE.protect_ms, RULE.share, RULE.quiet_ms) == (8_000, 0.8, DAY)


async def grow(store: Store, job: str, first: int, lengths: Sequence[int], before_ms: int, shift_ms: int = 0) -> None:
    await store.scheduler.submit(LANE, Work(job, "e1", "c", "live", lengths, first, before_ms, shift_ms))


async def test_a_cast_that_is_written_while_it_is_spoken_goes_on_before_somebody_new_starts(store: Store) -> None:
    """All of it was done, and so forgotten; its listener waits for what comes now."""
    await register(store, "w1", 40)
    await post(store, "a", [SECOND])
    start = await claim(store)
    await release(store, "a", 0, SECOND)
    await post(store, "b", [SECOND] * 2, "other")
    await grow(store, "a", 1, [HOUR, SECOND], before_ms=HOUR)
    place = await store.scheduler.place(LANE, "a:e1")
    assert place is not None
    assert (place.started, place.heard) == (True, True)
    first = await claim(store)
    assert str(first.unit) == "a:e1:1"
    assert 0 <= first.deadline_ms - start.deadline_ms < SLACK_MS, "at once, whatever was before it"
    assert await order(store, 3) == ["b0", "b1", "a2"]


async def test_one_who_hears_a_cast_that_has_come_back_waits_for_its_next_unit(store: Store) -> None:
    for job, position_ms, until_ms in (("a", 40 * SECOND, 0), ("b", 30 * SECOND, 10 * SECOND), ("c", DAY, 0)):
        await grow(store, job, 5, [SECOND], before_ms=50 * SECOND, shift_ms=-10 * SECOND)
        before = await claim(store)
        await store.scheduler.give_back(LANE, before.unit, "w1", attempted=False)
        await hear(store, job, position_ms, renew=True)
        after = await claim(store)
        assert after.unit == before.unit
        assert until_ms <= after.deadline_ms - before.deadline_ms < until_ms + SLACK_MS
        await release(store, job, 5, SECOND)


async def test_a_cast_that_has_come_back_and_ends_leaves_nothing(store: Store) -> None:
    await grow(store, "a", 5, [SECOND], before_ms=50 * SECOND)
    await claim(store)
    await release(store, "a", 5, SECOND)
    assert await store.scheduler.place(LANE, "a:e1") is None
    await post(store, "a", [SECOND])
    await post(store, "b", [SECOND], "other")
    assert await order(store, 2) == ["a0", "b0"], "its client has no running cast"
