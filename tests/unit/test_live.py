"""Utterances, texts of the moment, and live transcripts nobody speaks in any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from silence import SilentBell
from sounds import voice

from contracts.adapters import Address, Store, open_publisher, open_store
from contracts.errors import BadAudio
from contracts.jobs import PieceOrder, TranscriptRecipe
from contracts.ports import NewLog
from contracts.topology import interim_job
from contracts.units import Lane, Unit
from producer_api import janitor
from producer_api.dispatch import Dispatch
from producer_api.follow.attention import Attention
from producer_api.follow.hub import Hub
from producer_api.live.microphone import Microphone
from producer_api.live.moment import Session
from producer_api.live.session import LiveTranscript
from producer_api.live.turns import FRAME_BYTES, FRAME_MS, Turns, Utterance
from producer_api.live.voice import Voice

LANE = Lane("stt.echo.live")
JOB, EPOCH = "a" * 16, "e1"
SECRET = b"a secret for tests only"


def scripted(pattern: str, pause_ms: int = 600) -> list[tuple[int, int]]:
    """(start_ms, end_ms) of the utterances in frames that are speech (#) or not (.)."""
    marks = iter(pattern)
    turns = Turns(pause_ms, lambda _: next(marks) == "#")
    found = [turns.add(bytes(FRAME_BYTES)) for _ in pattern]
    found.append(turns.end())
    return [(u.start_ms, u.end_ms) for u in found if u is not None]


def test_an_utterance_begins_before_it_is_noticed_and_ends_after_it() -> None:
    assert scripted("." * 50 + "#" * 50 + "." * 50) == [(1_000 - 240, 2_000 + 200)]


def test_clicks_are_no_speech_and_do_not_prolong_it() -> None:
    assert scripted(("#" + "." * 9) * 20) == []
    assert scripted("#" * 20 + ("." * 9 + "#") * 10) == [(0, 600)]


def test_short_pauses_are_within_an_utterance_unless_it_is_long() -> None:
    talk = "#" * 50 + "." * 20
    assert scripted(talk * 2) == [(0, 2_600)]
    assert len(scripted(talk * 2, pause_ms=300)) == 2
    assert scripted("#" * 800 + talk) == [(0, 17_200)]


def test_without_a_pause_it_is_cut_where_it_is_quiet() -> None:
    loud, soft = np.full(FRAME_BYTES // 2, 8_000, "<i2").tobytes(), np.full(FRAME_BYTES // 2, 80, "<i2").tobytes()
    turns = Turns(600, lambda _: True)
    done = [turns.add(soft if n == 1_300 else loud) for n in range(2_000)]
    [first] = [u for u in done if u is not None]
    assert first.end_ms == 1_300 * FRAME_MS
    assert turns.speaking is not None
    assert turns.speaking.start_ms == first.end_ms
    assert bytes(first.pcm + turns.speaking.pcm) == loud * 1_300 + soft + loud * 699


@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.005, 0.02])
def test_a_voice_is_heard_in_hiss_and_no_hiss(noise: float) -> None:
    sound = np.random.default_rng(0).normal(0, noise, 128_000)
    sound[48_000:80_000] += voice(2.0)
    turns = Turns(600, Voice())
    pcm = np.round(sound * 32_767).astype("<i2").tobytes()
    whole = range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)
    found = [u for at in whole if (u := turns.add(pcm[at : at + FRAME_BYTES])) is not None]
    [spoken] = [u for u in found if u.end_ms > 1_000]  # half a second of hiss may be one before it is known
    assert 2_600 <= spoken.start_ms <= 3_000
    assert 4_900 <= spoken.end_ms <= 5_600


def test_a_microphone_refuses_what_is_no_opus() -> None:
    with pytest.raises(BadAudio):
        Microphone("opus", 48_000).pcm(b"\xff\xff\xff")
    assert Microphone("pcm16", 48_000).pcm(b"") == b""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(Address(f"sqlite://{tmp_path}/castline.db", ""))
    yield opened
    await opened.close()


async def opened(store: Store, tmp_path: Path) -> LiveTranscript:
    recipe = TranscriptRecipe(
        model="echo", language=None, task="transcribe", prompt="", hotwords="", temperature=0, words=False
    )
    new_log = NewLog(JOB, EPOCH, LANE, "live", "", recipe.model_dump(), {"v": 1}, [], closed=False, ttl_ms=60_000)
    assert (await store.log_writer.open(new_log)).new
    publisher = await open_publisher(Address(f"sqlite://{tmp_path}/castline.db", ""))
    hub = Hub(store.log_reader, SilentBell(), Attention(store.scheduler))

    async def tell(_: Mapping[str, Any]) -> None:
        """Nobody listens."""

    session = Session(JOB, EPOCH, LANE, "client", recipe, 60_000, interim=True)
    dispatch = Dispatch(store, publisher, max_wait_s=60)
    return LiveTranscript(session, Turns(600, any), store=store, dispatch=dispatch, hub=hub, tell=tell)


async def asked(store: Store) -> None:
    """A text of the moment is in the order of work."""
    async with asyncio.timeout(10):
        while (await store.scheduler.backlog(LANE)).due == 0:
            await asyncio.sleep(0)


async def waiting(store: Store) -> set[str]:
    """Jobs of the units that wait."""
    found = set()
    while (claim := await store.scheduler.claim(LANE, "w", 60_000)) is not None:
        found.add(claim.unit.job)
    return found


async def test_one_speaker_has_one_text_of_the_moment_in_work_and_none_after_the_sentence(
    store: Store, tmp_path: Path
) -> None:
    speaker = await opened(store, tmp_path)
    loud, silent = b"\x01" * FRAME_BYTES * 50, bytes(FRAME_BYTES * 50)
    await speaker.hear(loud)
    await asked(store)
    for _ in range(5):
        await speaker.hear(loud)
    assert (await store.scheduler.backlog(LANE)).due == 1
    await speaker.hear(silent)
    assert await waiting(store) == {JOB}
    status = await store.log_writer.status(interim_job(JOB))
    assert status is not None
    assert status.state == "cancelled"


async def test_an_interim_text_goes_behind_what_was_said(store: Store, tmp_path: Path) -> None:
    speaker = await opened(store, tmp_path)
    await speaker.hear(b"\x01" * FRAME_BYTES * 50)
    await asked(store)
    backlog = await store.scheduler.backlog(LANE)
    assert (backlog.heard_ms, backlog.quiet_ms > 0) == (0, True)


async def test_the_audio_of_an_utterance_is_in_the_parts_its_order_names(store: Store, tmp_path: Path) -> None:
    speaker = await opened(store, tmp_path)
    said = b"".join(bytes([n]) * FRAME_BYTES for n in range(1, 101))
    for at in range(0, len(said), 10 * FRAME_BYTES):
        await speaker.hear(said[at : at + 10 * FRAME_BYTES])
    await speaker.close()
    source = await store.log_writer.source(JOB)
    assert source is not None
    assert (source.status.total, source.status.closed) == (1, True)
    order = PieceOrder.model_validate_json(source.texts[0])
    assert order.spoken is not None
    assert (order.start, order.end, order.spoken.interim) == (0, 2_000, False)
    parts = await store.blobs.get(order.spoken.blob, order.spoken.parts)
    assert b"".join(part or b"" for part in parts) == said


async def test_a_deserted_one_is_closed_by_a_janitor(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = await opened(store, tmp_path)
    await speaker.hear(b"\x01" * FRAME_BYTES * 50)
    await speaker.pause()
    publisher = await open_publisher(Address(f"sqlite://{tmp_path}/castline.db", ""))
    sweeper = janitor.Janitor(
        store, Dispatch(store, publisher, max_wait_s=60), SECRET, open_idle_s=600, take_over=lambda _: None
    )

    async def swept() -> bool:
        await store.scheduler.settled(LANE, [JOB])
        await store.scheduler.expect(LANE, JOB, 0)
        await sweeper.round(LANE)
        status = await store.log_writer.status(JOB)
        assert status is not None
        return status.closed

    assert not await swept()
    monkeypatch.setattr(janitor, "DESERTED_MS", -1)
    assert await swept()
    claim = await store.scheduler.claim(LANE, "w", 60_000)
    assert claim is not None
    assert claim.unit == Unit(JOB, EPOCH, 0)


def test_an_utterance_knows_its_end() -> None:
    assert Utterance(1_000, bytearray(FRAME_BYTES * 5)).end_ms == 1_100
