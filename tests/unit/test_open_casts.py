"""Open casts that nobody writes to, and what is spoken of a completion that is written more than once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.adapters import Address, Store, open_publisher, open_store
from contracts.jobs import SpeechRecipe
from contracts.ports import LogSource, NewLog
from contracts.records import Record
from contracts.units import Lane, Unit
from producer_api import janitor
from producer_api.dispatch import Dispatch
from producer_api.open_casts.narration import Narration

LANE = Lane("tts.tone")
JOB, EPOCH = "a" * 16, "e1"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(Address(f"sqlite://{tmp_path}/castline.db", ""))
    yield opened
    await opened.close()


class Swept:
    """An open cast of one unit that was never submitted, and a janitor that looks at it."""

    def __init__(self, store: Store, sweeper: janitor.Janitor) -> None:
        self._store, self._sweeper = store, sweeper

    async def look(self) -> bool:
        """Whether it is closed after that."""
        await self._store.scheduler.settled(LANE, [JOB])
        await self._store.scheduler.expect(LANE, JOB, 0)
        await self._sweeper.round(LANE)
        status = await self._store.log_writer.status(JOB)
        assert status is not None
        return status.closed


async def swept(store: Store, tmp_path: Path, taken: list[LogSource], completion: str = "", idle_s: int = 600) -> Swept:
    recipe = SpeechRecipe(
        model="tone", model_version="1", voice="tone", language="en-US", speed=1.0, normaliser=3, completion=completion
    )
    texts = ["Hello."]
    log = NewLog(JOB, EPOCH, LANE, "live", "", recipe.model_dump(), {"v": 1}, texts, closed=False, ttl_ms=60_000)
    assert (await store.log_writer.open(log)).new
    publisher = await open_publisher(Address(f"sqlite://{tmp_path}/castline.db", ""))
    dispatch = Dispatch(store, publisher, max_wait_s=60)
    return Swept(store, janitor.Janitor(store, dispatch, b"secret", open_idle_s=idle_s, take_over=taken.append))


async def test_units_whose_writer_died_are_submitted_and_the_cast_stays_open(store: Store, tmp_path: Path) -> None:
    cast = await swept(store, tmp_path, [])
    assert not await cast.look()
    claim = await store.scheduler.claim(LANE, "w", 60_000)
    assert claim is not None
    assert claim.unit == Unit(JOB, EPOCH, 0)
    assert not await cast.look()
    assert await store.scheduler.claim(LANE, "w", 60_000) is None


async def test_a_cast_nobody_writes_to_is_closed(store: Store, tmp_path: Path) -> None:
    assert await (await swept(store, tmp_path, [], idle_s=-1)).look()


async def test_a_completion_whose_follower_died_is_taken_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[LogSource] = []
    cast = await swept(store, tmp_path, taken, "c" * 16, idle_s=-1)
    assert not await cast.look()
    assert taken == []
    monkeypatch.setattr(janitor, "DESERTED_MS", -1)
    assert not await cast.look()
    [source] = taken
    assert (source.status.job, source.recipe["completion"]) == (JOB, "c" * 16)


def told(*attempts: str) -> list[str]:
    """What is spoken of these attempts, each written character by character."""
    narration = Narration("en-US")
    found: list[str] = []
    for attempt in attempts:
        found += narration.read(Record(0, "start", {"i": 0}))
        for character in attempt:
            found += narration.read(Record(0, "delta", {"i": 0, "t": character}))
    return [unit.strip() for unit in found + narration.close()]


@pytest.mark.parametrize(
    ("attempts", "spoken"),
    [
        (["One is. Two is. Three"], "One is.|Two is.|Three"),
        (["One is. Two is. Three th", "One is. Two is. Three is."], "One is.|Two is.|Three is."),
        (["One is. Two is. Three th", "One is. Tw", "One is. Two is. Three is."], "One is.|Two is.|Three is."),
        (["One is. Two is. Three th", "One was. Two is. Four"], "One is.|Two is.|One was.|Two is.|Four"),
        (
            ["One is. Two is. Three th", "One was. Two is. Four fi", "One was. Two was."],
            "One is.|Two is.|One was.|Two is.|Two was.",
        ),
        (["One is. Two is. Three th", "One is."], "One is.|Two is."),
        (["One is. Two is. Three th", ""], "One is.|Two is."),
        (["", "One is."], "One is."),
        ([], ""),
    ],
)
def test_what_is_spoken_of_several_attempts(attempts: list[str], spoken: str) -> None:
    assert "|".join(told(*attempts)) == spoken
