"""Transcripts over HTTP, on SQLite and on Redis + RabbitMQ: the echo engine says of each piece how long it is."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sounds import sine, wav
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from contracts.adapters import Address
from load_tests.system import System, system

RATE = 16_000
LIMIT = 4 << 20


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory, CASTLINE_MAX_UPLOAD_BYTES=str(LIMIT), TMPDIR=str(directory)) as running:
        running.front()
        running.hearer(CASTLINE_STT_SLOTS="2", CASTLINE_STT_ECHO_XRT="200")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


def talk(*seconds: float) -> NDArray[np.float32]:
    """Sounds of these lengths, one second of silence after each; never twice the same."""
    hz = 200 + np.random.default_rng().uniform(0, 400)
    pause = np.zeros(RATE, np.float32)
    return np.concatenate([part for s in seconds for part in (sine(s, RATE, hz), pause)])


def post(client: httpx.Client, body: bytes, name: str = "note.wav", **fields: str) -> httpx.Response:
    return client.post("/v1/transcripts", files={"file": (name, io.BytesIO(body))}, data={"model": "echo", **fields})


def records(client: httpx.Client, job: str) -> list[dict[str, Any]]:
    """All records, once the transcript has ended."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", f"/v1/transcripts/{job}/records", params={"live": "sse"}) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def test_a_recording_is_cut_heard_and_read_in_order(client: httpx.Client) -> None:
    sound = talk(5, 20, 25, 25, 3)
    answer = post(client, wav(sound), title="  My\n note ", words="true")
    assert answer.status_code == 201
    view = answer.json()
    assert answer.headers["Location"] == f"/v1/transcripts/{view['id']}"
    assert (view["title"], view["language"], view["task"]) == ("My note", None, "transcribe")
    meta, *segments, eos = records(client, view["id"])
    assert (meta["e"], meta["kind"], eos["e"]) == ("meta", "stt", "eos")
    assert [s["e"] for s in segments] == ["segment"] * len(segments)
    assert [s["i"] for s in segments] == list(range(len(segments)))
    assert len(segments) == eos["units"] >= 3
    ends = 0
    for segment in segments:
        assert segment["start"] >= ends
        assert 0 < segment["end"] - segment["start"] <= 30_000
        assert segment["t"].startswith(f"{segment['end'] - segment['start']} ms ")
        assert all(segment["start"] <= w["start"] <= w["end"] <= segment["end"] for w in segment["words"])
        ends = segment["end"]
    assert 78_000 <= ends <= sound.size / RATE * 1000
    done = client.get(f"/v1/transcripts/{view['id']}").json()
    assert (done["state"], done["cut"], done["watermark"]) == ("done", True, len(segments))


def test_the_same_recording_is_the_same_transcript(client: httpx.Client) -> None:
    body = wav(talk(2))
    first = post(client, body)
    records(client, first.json()["id"])
    again = post(client, body, name="other.wav")
    raw = client.post("/v1/transcripts", params={"model": "echo"}, content=body)
    other = post(client, body, language="de")
    assert (first.status_code, again.status_code, raw.status_code, other.status_code) == (201, 200, 200, 201)
    assert first.json()["id"] == again.json()["id"] == raw.json()["id"] != other.json()["id"]


def test_files_of_a_transcript(client: httpx.Client) -> None:
    view = post(client, wav(talk(3, 28, 2))).json()
    said = [r["t"] for r in records(client, view["id"]) if r["e"] == "segment"]
    texts = {fmt: client.get(path) for fmt, path in view["links"]["text"].items()}
    assert all(answer.status_code == 200 for answer in texts.values())
    assert texts["txt"].text.splitlines() == said
    assert texts["srt"].text.startswith("1\n00:00:00,")
    assert texts["vtt"].text.startswith("WEBVTT\n\n00:00:00.")
    assert texts["json"].json()["text"] == " ".join(said)
    assert all(words in texts["vtt"].text for words in said)


def test_silence_is_a_transcript_of_nothing(client: httpx.Client) -> None:
    view = post(client, wav(np.zeros(3 * RATE, np.float32) + np.float32(uuid4().int % 7) / 1e6)).json()
    assert [r["e"] for r in records(client, view["id"])][0::1][-1] == "eos"
    assert client.get(f"/v1/transcripts/{view['id']}/transcript.txt").text == ""


@pytest.mark.parametrize("body", [b"This is a text. " * 40, wav(sine(1))[:20], b"\x00" * 5000])
def test_what_holds_no_audio_fails_with_a_record(client: httpx.Client, body: bytes) -> None:
    view = post(client, body + uuid4().bytes).json()
    last = records(client, view["id"])[-1]
    assert (last["e"], last["type"], last["status"]) == ("error", "urn:castline:problem:bad-audio", 422)
    assert client.get(f"/v1/transcripts/{view['id']}").json()["state"] == "failed"


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"temperature": "2"}, 422, "temperature"),
        ({"task": "sing"}, 422, "task"),
        ({"language": "English!"}, 422, "language"),
        ({"nonsense": "1"}, 422, "nonsense"),
        ({"class": "soon"}, 422, "class"),
    ],
)
def test_bad_options(client: httpx.Client, fields: dict[str, str], status: int, field: str) -> None:
    answer = post(client, wav(sine(1)), **fields)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert answer.headers["content-type"] == "application/problem+json"


def test_bad_uploads(client: httpx.Client) -> None:
    empty = post(client, b"")
    no_file = client.post("/v1/transcripts", files={"sound": ("a.wav", b"x")})
    large = post(client, b"x" * (LIMIT + 1))
    raw = client.post("/v1/transcripts", content=(b"x" * (1 << 16) for _ in range(200)))
    assert (empty.status_code, empty.json()["type"]) == (422, "urn:castline:problem:bad-audio")
    assert (no_file.status_code, no_file.json()["field"]) == (422, "file")
    assert (large.status_code, raw.status_code) == (413, 413)


def test_a_cast_is_no_transcript_and_a_transcript_no_cast(client: httpx.Client, running: System) -> None:
    cast = client.post("/v1/casts", json={"text": "Nobody speaks here.", "model": "tone"}).json()["id"]
    transcript = post(client, wav(talk(1))).json()["id"]
    records(client, transcript)
    for wrong, tails in (
        (f"casts/{transcript}", ("", "/audio.opus", "/captions.vtt")),
        (f"transcripts/{cast}", ("", "/transcript.txt")),
        ("transcripts/AAAAAAAAAAAAAAAA", ("", "/transcript.txt")),
    ):
        reads = ("/records", "/records?live=sse", "/records?live=long-poll", "/records?offset=now", "/records/0")
        for answer in (client.delete(f"/v1/{wrong}"), *(client.get(f"/v1/{wrong}{tail}") for tail in (*tails, *reads))):
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:castline:problem:unknown-log"), answer.url
        assert refused(running, wrong) == 4404
    assert client.get(f"/c/{transcript}").status_code == 404
    assert client.get(f"/v1/casts/{cast}").json()["state"] == "waiting"
    assert client.get(f"/v1/transcripts/{transcript}").json()["state"] == "done"
    client.delete(f"/v1/casts/{cast}").raise_for_status()


def test_the_log_of_the_cutting_is_not_here(client: httpx.Client, running: System) -> None:
    view = post(client, wav(talk(1))).json()
    records(client, view["id"])
    assert client.get(f"/v1/transcripts/{view['id']}-cut").status_code == 422
    assert refused(running, f"transcripts/{view['id']}-cut") == 4404


def refused(running: System, log: str) -> int | None:
    """Close code of a follower that gets nothing."""
    url = running.url().replace("http", "ws") + f"/v1/{log}/follow"
    with connect(url, proxy=None) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)
    return socket.close_code


def test_cancelling_ends_it_and_frees_the_worker(client: httpx.Client) -> None:
    view = post(client, wav(talk(*[20.0] * 6), RATE)).json()
    cancelled = client.delete(f"/v1/transcripts/{view['id']}").json()
    assert cancelled["state"] == "cancelled"
    assert records(client, view["id"])[-1]["e"] == "cancelled"
    other = post(client, wav(talk(1))).json()
    assert records(client, other["id"])[-1]["e"] == "eos"


def test_frames_over_the_websocket(client: httpx.Client, running: System) -> None:
    view = post(client, wav(talk(2))).json()
    whole = records(client, view["id"])
    with connect(running.url().replace("http", "ws") + f"/v1/transcripts/{view['id']}/follow") as socket:
        heads = [json.loads(frame[4:]) for frame in socket if isinstance(frame, bytes)]
    assert heads == whole


def test_a_worker_that_is_killed_loses_and_repeats_nothing(client: httpx.Client, running: System) -> None:
    view = post(client, wav(talk(*[24.0] * 4), RATE)).json()
    victim = running.workers[0]
    deadline = time.monotonic() + 30
    while client.get(f"/v1/transcripts/{view['id']}").json()["units"] == 0:
        assert time.monotonic() < deadline
    victim.signal(signal.SIGKILL)
    victim.start()
    meta, *segments, eos = records(client, view["id"])
    assert (meta["e"], eos["e"]) == ("meta", "eos")
    assert [s["i"] for s in segments] == list(range(eos["units"]))
    assert [s["e"] for s in segments] == ["segment"] * eos["units"]
    assert segments[-1]["end"] > 95_000


def test_no_file_of_a_recording_is_left(running: System) -> None:
    """Not even after a SIGKILL: `running` has a temporary directory of its own."""
    names = {path.name for path in running.directory.iterdir()}
    assert names <= {"castline.db", "castline.db-wal", "castline.db-shm", "cache", "front0.log", "worker0.log"}
