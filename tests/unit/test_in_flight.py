"""Which unit an engine gets first, and which gets all of it."""

from __future__ import annotations

import asyncio

from contracts.units import Unit
from workers.in_flight import OPENING_UNITS, InFlight

JOB, OTHER = "a" * 16, "b" * 16


async def test_a_unit_waits_for_those_before_it_to_begin() -> None:
    slots = InFlight()
    with slots.hold(Unit(JOB, "e1", 1)) as second, slots.hold(Unit(JOB, "e1", 0)) as first:
        waiting = asyncio.create_task(slots.begin(second))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await slots.begin(first)
        assert await waiting


async def test_a_unit_that_is_not_rendered_after_all_keeps_nobody_waiting() -> None:
    slots = InFlight()
    with slots.hold(Unit(JOB, "e1", 1)) as second:
        with slots.hold(Unit(JOB, "e1", 0)):
            waiting = asyncio.create_task(slots.begin(second))
            await asyncio.sleep(0)
            assert not waiting.done()
        assert await waiting


async def test_units_of_other_jobs_and_those_behind_it_are_not_waited_for() -> None:
    slots = InFlight()
    with slots.hold(Unit(OTHER, "e1", 0)), slots.hold(Unit(JOB, "e1", 2)), slots.hold(Unit(JOB, "e1", 1)) as one:
        assert not await slots.begin(one)


async def test_the_whole_engine_is_for_the_first_units_of_the_only_job() -> None:
    slots = InFlight()
    with slots.hold(Unit(JOB, "e1", OPENING_UNITS)) as late:
        assert await slots.begin(late)
        with slots.hold(Unit(JOB, "e1", OPENING_UNITS + 1)) as later:
            assert not await slots.begin(later)
    with slots.hold(Unit(JOB, "e1", 0)) as first, slots.hold(Unit(JOB, "e1", 1)) as second:
        assert await slots.begin(first)
        assert await slots.begin(second)
        assert [held.unit.index for held in slots] == [0, 1]
    assert list(slots) == []
