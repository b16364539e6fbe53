"""Utterances that are heard ahead: while it is still being waited whether they are over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contracts.adapters import Address, Store, open_bell, open_publisher, open_store
from contracts.errors import StoreUnavailable, UnknownLog
from contracts.jobs import HeardPiece, PieceOrder, TranscriptRecipe
from contracts.ports import Claim, NewLog, Output
from contracts.topology import interim_job
from contracts.units import Lane
from producer_api.dispatch import Dispatch
from producer_api.follow.attention import Attention
from producer_api.follow.hub import Hub
from producer_api.live.moment import Session
from producer_api.live.session import AHEAD_MS, LiveTranscript
from producer_api.live.turns import FRAME_BYTES, FRAME_MS, Turns

LANE = Lane("stt.echo.live")
JOB, EPOCH = "a" * 16, "e1"
PAUSE_MS = 200
LOUD = b"\x01" * FRAME_BYTES
RECIPE = TranscriptRecipe(
    model="echo", language=None, task="transcribe", prompt="", hotwords="", temperature=0, words=False
)


@dataclass
class Talk:
    """Somebody who speaks, and a worker that hears when the test says so."""

    store: Store
    speaker: LiveTranscript
    told: list[Mapping[str, Any]] = field(default_factory=list)

    async def speak(self, frames: int) -> None:
        await self.speaker.hear(LOUD * frames)

    async def pause(self, ms: int) -> None:
        await self.speaker.hear(bytes(FRAME_BYTES) * (ms // FRAME_MS))

    async def claim(self) -> tuple[Claim, str]:
        """The next unit in the order of work, and its text."""
        async with asyncio.timeout(10):
            while (claim := await self.store.scheduler.claim(LANE, "w", 60_000)) is None:
                await asyncio.sleep(0)
        return claim, (await self.store.log_writer.look(claim.unit)).text

    async def hear(self, claim: Claim, text: str) -> None:
        headers = {"i": claim.unit.index, "start": 0, "end": 400, "t": text, "language": "en", "g": 7, "turn": 0.9}
        await self.store.log_writer.commit(claim.unit, Output("segment", headers, gen_ms=7, duration_ms=400))
        await self.store.scheduler.release(LANE, [(claim.unit, None)])

    async def orders(self) -> list[str]:
        """Texts of the transcript's units."""
        source = await self.store.log_writer.source(JOB)
        assert source is not None
        return [source.texts[n] for n in range(source.status.total)]

    async def grown(self, units: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(orders := await self.orders()) < units:
                await asyncio.sleep(0)
        return orders

    async def audio(self, order: PieceOrder) -> bytes | None:
        """None: it is forgotten."""
        assert order.spoken is not None
        parts = await self.store.blobs.get(order.spoken.blob, order.spoken.parts)
        return None if None in parts else b"".join(part or b"" for part in parts)


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    address = Address(f"sqlite://{tmp_path}/castline.db", "")
    store, bell, publisher = open_store(address), open_bell(address), await open_publisher(address)
    new_log = NewLog(JOB, EPOCH, LANE, "live", "", RECIPE.model_dump(), {"v": 1}, [], closed=False, ttl_ms=60_000)
    await store.log_writer.open(new_log)
    hub = Hub(store.log_reader, bell, Attention(store.scheduler))
    running = asyncio.create_task(hub.run())
    told: list[Mapping[str, Any]] = []

    async def tell(said: Mapping[str, Any]) -> None:
        told.append(said)

    session = Session(JOB, EPOCH, LANE, "client", RECIPE, 60_000, interim=False, turn=True)
    turns = Turns(PAUSE_MS, lambda frame: frame == LOUD, AHEAD_MS)
    dispatch = Dispatch(store, publisher, max_wait_s=60)
    yield Talk(store, LiveTranscript(session, turns, store=store, dispatch=dispatch, hub=hub, tell=tell), told)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await bell.close()
    await store.close()


async def test_what_was_heard_ahead_is_the_text_of_the_utterance_and_heard_once(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(AHEAD_MS)
    claim, text = await talk.claim()
    assert claim.unit.job == interim_job(JOB)
    order = PieceOrder.model_validate_json(text)
    assert order.spoken is not None
    assert (order.spoken.turn, order.spoken.interim) == (True, False)
    assert await talk.audio(order) == LOUD * 15 + bytes(FRAME_BYTES) * (AHEAD_MS // FRAME_MS)
    await talk.pause(PAUSE_MS - AHEAD_MS)
    assert talk.speaker.units == 1
    assert await talk.orders() == []
    await talk.hear(claim, "It was.")
    [known] = await talk.grown(1)
    heard = HeardPiece.model_validate_json(known).heard
    assert (heard["i"], heard["t"], heard["turn"], heard["g"]) == (0, "It was.", 0.9, 7)
    await talk.speaker.close()
    [said] = talk.told
    assert (said["e"], said["i"], said["t"]) == ("segment", 0, "It was.")
    assert await talk.audio(order) is None
    source = await talk.store.log_writer.source(JOB)
    assert source is not None
    assert (source.status.total, source.status.closed) == (1, True)


async def test_who_goes_on_is_heard_as_a_whole(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(AHEAD_MS)
    await talk.hear((await talk.claim())[0], "It wa")
    await talk.speak(20)
    await talk.pause(AHEAD_MS)
    claim, text = await talk.claim()
    order = PieceOrder.model_validate_json(text)
    assert (order.start, order.end) == (0, (15 + 20) * FRAME_MS + 2 * AHEAD_MS)
    await talk.pause(PAUSE_MS - AHEAD_MS)
    await talk.hear(claim, "It was not.")
    [known] = await talk.grown(1)
    assert HeardPiece.model_validate_json(known).heard["t"] == "It was not."
    assert [said["t"] for said in talk.told] == ["It was not."]


async def test_what_could_not_be_heard_ahead_is_heard_in_its_turn(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(PAUSE_MS)
    claim, ahead = await talk.claim()
    skip = Output("skip", {"i": 0, "t": "", "reason": "given up after 5 attempts"})
    await talk.store.log_writer.commit(claim.unit, skip)
    assert await talk.grown(1) == [ahead]
    claim, text = await talk.claim()
    assert (claim.unit.job, text) == (JOB, ahead)
    assert await talk.audio(PieceOrder.model_validate_json(text)) is not None
    assert talk.told == []


async def test_one_who_leaves_does_not_wait_for_what_is_heard_ahead(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(PAUSE_MS)
    _, ahead = await talk.claim()
    async with asyncio.timeout(10):
        await talk.speaker.close()
    assert await talk.orders() == [ahead]
    status = await talk.store.log_writer.status(interim_job(JOB))
    assert status is not None
    assert status.state == "cancelled"


async def test_utterances_are_in_the_order_in_which_they_were_said(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(PAUSE_MS)
    first, _ = await talk.claim()
    await talk.speak(15)
    pausing = asyncio.create_task(talk.speaker.pause())  # the client says so: nothing of it was heard ahead
    await asyncio.sleep(0)
    assert talk.speaker.units == 2
    await talk.hear(first, "One.")
    await pausing
    known, order = await talk.orders()
    assert HeardPiece.model_validate_json(known).heard["t"] == "One."
    assert PieceOrder.model_validate_json(order).start == 300 + AHEAD_MS


async def test_a_cancelled_transcript_says_so_with_the_next_sound(talk: Talk) -> None:
    await talk.speak(15)
    await talk.pause(PAUSE_MS)
    claim, _ = await talk.claim()
    await talk.store.log_writer.cancel(JOB)
    await talk.hear(claim, "Too late.")

    async def go_on() -> None:
        async with asyncio.timeout(10):
            while True:
                await talk.pause(FRAME_MS)
                await asyncio.sleep(0)

    with pytest.raises(UnknownLog):
        await go_on()


def away_once(monkeypatch: pytest.MonkeyPatch, verbs: object, name: str) -> None:
    """The next call fails."""
    verb = getattr(verbs, name)

    async def call(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(verbs, name, verb)
        raise StoreUnavailable("away")

    monkeypatch.setattr(verbs, name, call)


@pytest.mark.parametrize("lost", ["its audio", "its place in the log", "its place in the order of work"])
async def test_an_utterance_is_not_lost_where_the_store_is_away(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    await talk.speak(15)
    match lost:
        case "its audio":
            away_once(monkeypatch, talk.store.blobs, "put")
        case "its place in the log":
            away_once(monkeypatch, talk.store.log_writer, "grow")
        case _:
            away_once(monkeypatch, talk.store.scheduler, "submit")
    with pytest.raises(StoreUnavailable):
        await talk.speaker.pause()
    await talk.speak(15)
    await talk.speaker.pause()
    orders = [PieceOrder.model_validate_json(order) for order in await talk.orders()]
    assert [(order.start, order.end) for order in orders] == [(0, 300), (300, 600)]
    assert [await talk.audio(order) for order in orders] == [LOUD * 15, LOUD * 15]
    assert [(await talk.claim())[0].unit.index for _ in orders] == [0, 1]


async def test_what_could_not_be_heard_ahead_as_the_store_was_away_is_heard_behind(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.speak(15)
    away_once(monkeypatch, talk.store.blobs, "put")
    await talk.pause(PAUSE_MS)
    [order] = [PieceOrder.model_validate_json(order) for order in await talk.orders()]
    assert await talk.audio(order) == LOUD * 15 + bytes(FRAME_BYTES) * (AHEAD_MS // FRAME_MS)
