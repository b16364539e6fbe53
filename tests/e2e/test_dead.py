"""`castline dead` on SQLite and on Redis + RabbitMQ: what was given up is seen, made again by a worker, dropped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import numpy as np
import pytest
from sounds import sine, wav

from contracts import text, voices
from contracts.adapters import Address, Store, open_dead_letters, open_source, open_store
from contracts.ids import new_epoch
from contracts.jobs import SpeechRecipe
from contracts.ports import NewLog, Output, TicketSource
from contracts.records import CastMeta, Record
from contracts.topology import blob_of, cut_job, cut_lane, speech_lane, transcript_lane
from contracts.units import Unit
from load_tests.services import wait_until
from load_tests.system import System, system
from producer_api.commands.client import Server

LANE = speech_lane("tone")
CUT_LANE = cut_lane(transcript_lane("echo"))
REASON = "given up after 5 attempts"
TEXTS = ["The keeper lit the lamp. ", "Nobody had come that way. ", "He waited."]
MODEL, VOICE, LANGUAGE = voices.resolve(None, "tone", None)
PUBLIC = {"model": MODEL.id, "model_version": MODEL.version, "voice": VOICE, "language": LANGUAGE, "speed": 1.0}


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Address:
    """Both kinds of system."""
    found: Address = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def store(address: Address) -> AsyncIterator[Store]:
    opened = open_store(address)
    yield opened
    await opened.close()


@pytest.fixture
async def source(address: Address) -> AsyncIterator[TicketSource]:
    opened = await open_source(address, LANE, 4, "w1")
    yield opened
    await opened.close()


async def dead(address: Address | None, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command, beside this loop: a broker's heartbeats go on."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CASTLINE_")} | more
    if address is not None:
        environment |= {
            "CASTLINE_STORE": address.store, "CASTLINE_BROKER": address.broker, "CASTLINE_NAMESPACE": address.namespace,
        }  # fmt: skip
    command = [sys.executable, "-m", "producer_api.cli", "dead", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


async def open_cast(store: Store, job: str) -> Unit:
    """A cast of three units of which none is made; its second one."""
    recipe = SpeechRecipe.model_validate({**PUBLIC, "normaliser": text.NORMALISER_VERSION}).model_dump()
    meta = CastMeta.model_validate({**PUBLIC, "title": "The lamp", "created": 0}).model_dump(exclude={"created"})
    log = NewLog(job, new_epoch(), LANE, "live", "", recipe, meta, TEXTS, closed=True, ttl_ms=600_000)
    return Unit(job, (await store.log_writer.open(log)).status.epoch, 1)


async def finish(store: Store, unit: Unit) -> None:
    """Commit the cast of open_cast: sound, a skip, sound."""
    for n, given in enumerate(TEXTS):
        output = Output("audio", {"i": n, "t": given.rstrip()}, b"sound", duration_ms=100, gen_ms=1)
        if n == unit.index:
            output = Output("skip", {"i": n, "t": given.rstrip(), "reason": REASON})
        await store.log_writer.commit(Unit(unit.job, unit.epoch, n), output)


async def ended(store: Store, job: str, epoch: str) -> Sequence[Record]:
    """All records, once an incarnation later than `epoch` is finished."""
    async with asyncio.timeout(60):
        while (status := await store.log_reader.status(job)) and (status.epoch == epoch or status.state == "live"):
            await asyncio.sleep(0.05)
    page = await store.log_reader.read(job, 0)
    assert page is not None
    return page.records


def check_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert done.stderr.startswith("castline: ")
    assert words in done.stderr


@pytest.mark.timeout(240)
async def test_a_unit_that_was_given_up_is_seen_and_made_again(
    address: Address, store: Store, source: TicketSource, tmp_path: Path
) -> None:
    unit = await open_cast(store, "-" + "r" * 15)
    await source.bury(LANE, unit, REASON)
    listed = await dead(address, "list")
    assert listed.returncode == 0, listed.stderr
    letter, _, lane, what, reason = listed.stdout.rstrip("\n").split("  ")
    assert (lane, what, reason) == (LANE, str(unit), REASON)
    check_refused(await dead(address, "retry", letter), "is still being made, retry when it has ended")
    await finish(store, unit)
    shown = json.loads((await dead(address, "show", letter)).stdout)
    assert (shown["id"], shown["reason"]) == (letter, REASON)
    assert shown["cast"] == {
        "id": unit.job, "epoch": unit.epoch, "state": "done", "title": "The lamp", "text": TEXTS[1].rstrip(),
    }  # fmt: skip
    retried = await dead(address, "retry", letter)
    assert (retried.returncode, retried.stderr) == (0, "")
    assert f"cast {unit.job} is made again" in retried.stdout
    assert json.loads((await dead(address, "list", "--json")).stdout) == []
    await source.close()  # it holds the tickets
    with system(address, tmp_path) as running:
        running.worker("tone", CASTLINE_TTS_TONE_XRT="100")
        records = await ended(store, unit.job, unit.epoch)
    assert [r.type for r in records] == ["meta", "audio", "audio", "audio", "eos"]
    assert [r.headers["t"] for r in records[1:4]] == [given.rstrip() for given in TEXTS]
    assert records[0].headers["title"] == "The lamp"


@pytest.mark.timeout(240)
async def test_letters_of_one_cast_make_it_again_once(address: Address, store: Store, source: TicketSource) -> None:
    unit = await open_cast(store, "b" * 16)
    await finish(store, unit)
    for n in (1, 2):  # the last one was made after all
        await source.bury(LANE, Unit(unit.job, unit.epoch, n), REASON)
    await source.bury(LANE, unit, REASON)  # by a worker that died before it said so
    expired = Unit("c" * 16, "e1", 0)
    await source.bury(LANE, expired, REASON)
    done = await dead(address, "retry", "--all")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"cast {expired.job} has expired" in done.stderr
    assert done.stdout.count("is made again") == 1
    assert {line.partition("  ")[2].partition(unit.job)[0] for line in done.stdout.splitlines()} <= {
        "cast ", "unit 2 of cast "
    }  # fmt: skip
    status = await store.log_reader.status(unit.job)
    assert status is not None
    assert (status.state, status.total) == ("live", 3)
    assert status.epoch != unit.epoch
    [left] = json.loads((await dead(address, "list", "--json")).stdout)
    assert left["unit"] == str(expired)
    assert (await dead(address, "drop", "--all", "--kind", "stt")).stdout == "0 dropped\n"
    dropped = await dead(address, "drop", left["id"])
    assert (dropped.returncode, dropped.stdout) == (0, "1 dropped\n")
    check_refused(await dead(address, "drop", left["id"]), "there is no dead letter")


def post(running: System, sound: bytes, hotwords: str) -> dict[str, Any]:
    query = {"model": "echo", "hotwords": hotwords}
    answer = httpx.post(f"{running.url()}/v1/transcripts", params=query, content=sound, trust_env=False)
    return {"new": answer.status_code == 201, **answer.raise_for_status().json()}


def heard(running: System, transcript: dict[str, Any]) -> list[dict[str, Any]]:
    """Records of its pieces, once it has ended; without what differs from time to time."""
    found = list(Server(running.url()).records(transcript["links"]["records"]))
    assert found[-1]["e"] == "eos"
    return [{k: v for k, v in r.items() if k not in {"a", "w", "g"}} for r in found[1:-1]]


@pytest.mark.timeout(240)
async def test_a_piece_that_was_given_up_is_heard_again(address: Address, store: Store, tmp_path: Path) -> None:
    pause = np.zeros(16_000, np.float32)
    sound = wav(np.concatenate([sine(22.0, hz=200), pause, sine(23.0, hz=300), pause, sine(21.0, hz=400)]))
    with system(address, tmp_path, CASTLINE_STT_SLOTS="1", CASTLINE_LEASE_S="2") as running:
        running.front()
        server = Server(running.url())
        healthy = running.hearer()
        whole = heard(running, post(running, sound, "whole"))
        assert {r["e"] for r in whole} == {"segment"}
        healthy.signal(signal.SIGTERM)
        slow = running.hearer(CASTLINE_STT_ECHO_XRT="0.5")  # it cuts, and hears nothing before it is killed
        kept, lost = post(running, sound, "kept"), post(running, sound, "lost")
        for transcript in (kept, lost):  # what kills the engine would kill their cutting, too
            wait_until(lambda path=transcript["links"]["self"]: server.call("GET", path)["cut"], 20, "cutting")  # type: ignore[misc]
        slow.signal(signal.SIGKILL)
        sick = running.hearer(CASTLINE_STT_ECHO_POISON=whole[1]["t"].split()[-1])
        for transcript in (kept, lost):
            broken = heard(running, transcript)
            assert (broken[0], broken[1]["e"], broken[2:]) == (whole[0], "skip", whole[2:])
        sick.signal(signal.SIGTERM)
        letters = {one["unit"].split(":")[0]: one for one in json.loads((await dead(address, "list", "--json")).stdout)}
        shown = json.loads((await dead(address, "show", letters[kept["id"]]["id"])).stdout)
        assert (shown["kind"], shown["transcript"]["state"]) == ("stt", "done")
        epochs = {job: letter["unit"].split(":")[1] for job, letter in letters.items()}
        await store.blobs.drop(blob_of(lost["id"], epochs[lost["id"]]))
        refused = await dead(address, "retry", letters[lost["id"]]["id"])
        check_refused(refused, f"the audio of piece 1 of transcript {lost['id']} is gone; send its recording again")
        retried = await dead(address, "retry", letters[kept["id"]]["id"])
        assert (retried.returncode, retried.stderr) == (0, "")
        assert f"transcript {kept['id']} is made again" in retried.stdout
        running.hearer()
        assert heard(running, kept) == whole
        again = post(running, sound, "lost")
        assert (again["new"], again["id"]) == (True, lost["id"])
        assert heard(running, again) == whole
        assert not post(running, sound, "lost")["new"]
        assert f"transcript {lost['id']} has been begun again" in (await dead(address, "retry", "--all")).stdout
        assert json.loads((await dead(address, "list", "--json")).stdout) == []
    assert await store.blobs.get(blob_of(kept["id"], epochs[kept["id"]]), [1]) == [None]


@pytest.mark.timeout(240)
async def test_a_recording_that_could_not_be_cut_must_be_sent_again(address: Address, store: Store) -> None:
    source = await open_source(address, CUT_LANE, 1, "w1")
    await source.bury(CUT_LANE, Unit(cut_job("a" * 16), "e1", 0), REASON)
    await source.close()
    check_refused(await dead(address, "retry", "--all"), f"the recording of transcript {'a' * 16} could not be cut")
    assert (await dead(address, "drop", "--all")).stdout == "1 dropped\n"


@pytest.mark.timeout(240)
async def test_a_message_that_is_no_unit_can_be_shown_and_dropped(real: Address) -> None:
    source = await open_source(real, LANE, 1, "w1")
    connection = await aio_pika.connect(real.broker)
    channel = await connection.channel()
    for body in (b"\xff\x1b[2J", "\x1b[2J\x9b \u202e 語".encode()):
        await channel.default_exchange.publish(aio_pika.Message(body), f"{real.namespace}tts.jobs.tone")
    letters = open_dead_letters(real)
    async with asyncio.timeout(20):
        while len(await letters.list("tts", 9)) < 2:
            await asyncio.sleep(0.02)
    listed = await dead(real, "list", "--kind", "tts")
    assert [line.split("  ")[2:] for line in listed.stdout.splitlines()] == [
        [LANE, "5 bytes", "rejected"], [LANE, "14 bytes", "rejected"]
    ]  # fmt: skip
    binary, words = (line.split("  ")[0] for line in listed.stdout.splitlines())
    assert json.loads((await dead(real, "show", binary)).stdout)["body_base64"] == "/xtbMko="
    shown = (await dead(real, "show", words)).stdout
    assert json.loads(shown)["body"] == "\x1b[2J\x9b \u202e 語"
    assert "語" in shown
    assert all(c.isprintable() or c == "\n" for c in shown)
    check_refused(await dead(real, "retry", words), "is a message that is no unit")
    assert (await dead(real, "drop", words)).returncode == 0
    assert [letter.id for letter in await letters.list("tts", 9)] == [binary]
    for closing in (letters, source, connection):
        await closing.close()


async def test_without_settings_it_is_the_file_of_castline_up(tmp_path: Path) -> None:
    check_refused(await dead(None, "list", "--data-dir", str(tmp_path)), "there is no castline.db in")
    assert list(tmp_path.iterdir()) == []
    source = await open_source(Address(f"sqlite://{tmp_path}/castline.db", ""), LANE, 1, "w1")
    await source.bury(LANE, Unit("a" * 16, "e1", 0), REASON)
    await source.close()
    [letter] = json.loads((await dead(None, "list", "--json", CASTLINE_DATA_DIR=str(tmp_path))).stdout)
    assert letter["reason"] == REASON
    check_refused(await dead(None, "retry", "--data-dir", str(tmp_path)), "give the id of a letter, or --all")
    check_refused(await dead(None, "show", "nope", "--data-dir", str(tmp_path)), "there is no dead letter 'nope'")


async def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    address = Address("redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1/")
    check_refused(await dead(address, "list"), "RabbitMQ")
