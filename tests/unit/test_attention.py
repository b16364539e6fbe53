"""Who listens is told to the order of work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.errors import StoreUnavailable
from contracts.ports import Listening, LogStatus
from contracts.units import Lane
from producer_api.follow import attention
from producer_api.follow.attention import Attention, Ear

LANE = Lane("tts.tone")


class Heard:
    """Remembers what it is told; stands in for a Scheduler."""

    def __init__(self) -> None:
        self.told: list[Listening] = []
        self.down = False
        self.calls = 0

    async def hear(self, lane: Lane, cast: str, listening: Listening) -> bool:
        assert (lane, cast) == (LANE, "job:e1")
        self.calls += 1
        if self.down:
            raise StoreUnavailable("Redis")
        self.told.append(listening)
        return True

    async def reach(self, calls: int) -> None:
        """Wait until it was called so often."""
        async with asyncio.timeout(10):
            while self.calls < calls:
                await asyncio.sleep(0)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def ears(heard: Heard) -> AsyncIterator[Attention]:
    made = Attention(heard)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


def status(watermark: int = 0, audio_ms: int = 0) -> LogStatus:
    return LogStatus(
        job="job", epoch="e1", lane=LANE, job_class="live", state="live", closed=True, total=9, watermark=watermark,
        next_seq=watermark + 1, skipped=0, audio_ms=audio_ms, gen_ms=0, created_ms=0, first_ms=0, now_ms=0,
        expires_ms=1,
    )  # fmt: skip


async def test_a_follower_is_heard_from_where_it_starts(heard: Heard, ears: Attention) -> None:
    with ears.following(status(), 0, Ear()), ears.following(status(4, 8_000), 4, Ear()):
        await heard.reach(2)
    first, second = heard.told
    assert (first.position_ms, first.renew) == (0, False)
    assert (second.position_ms, second.renew) == (6_000, True)
    assert first.ear == second.ear, "followers that say nothing are one ear"


async def test_a_player_that_says_where_it_is_has_an_ear_of_its_own(heard: Heard, ears: Attention) -> None:
    ear = Ear()
    ears.plays_at(ear, 5_000)
    with ears.following(status(), 0, ear):
        ears.plays_at(ear, 5_000)
        ears.plays_at(ear, None)
        await heard.reach(4)
    assert [t.position_ms for t in heard.told] == [0, None, 5_000, None], "in order, and nothing before it follows"
    first, gone, *own = heard.told
    assert first.ear == gone.ear, "nobody is left of those who say nothing"
    assert {t.ear for t in own} == {ear.name}
    assert ear.name != first.ear


async def test_what_plays_is_renewed_and_what_has_paused_is_not(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "RENEW_S", 0.01)
    ears = Attention(heard)  # type: ignore[arg-type]
    playing, paused, silent = Ear(), Ear(), Ear()
    with ears.following(status(), 0, playing), ears.following(status(), 0, paused), ears.following(status(), 0, silent):
        ears.plays_at(playing, 1_000)
        ears.plays_at(paused, None)
        task = asyncio.create_task(ears.run())
        await heard.reach(9)
        task.cancel()
    renewed = heard.told[5:]
    assert all(t.renew for t in renewed)
    assert playing.name in {t.ear for t in renewed}
    assert paused.name not in {t.ear for t in renewed}
    assert len({t.ear for t in renewed}) == 2


async def test_a_store_that_is_away_disturbs_no_follower(heard: Heard, ears: Attention) -> None:
    heard.down = True
    with ears.following(status(), 0, Ear()):
        await heard.reach(1)
        heard.down = False
        with ears.following(status(), 0, Ear()):
            await heard.reach(2)
    assert len(heard.told) == 1
