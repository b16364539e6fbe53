"""Live transcripts over the WebSocket, on SQLite and on Redis + RabbitMQ: the echo engine says what it was given."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from sounds import voice
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from contracts.adapters import Address
from load_tests.system import System, system
from workers.stt.engines.echo import echo_text

RATE = 16_000
CHUNK = 3_200
"""Bytes: 100 ms."""


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory) as running:
        running.front()
        running.hearer(CASTLINE_STT_SLOTS="2", CASTLINE_STT_ECHO_XRT="50")
        running.wait_for_workers(1)
        yield running


def talk(*seconds: float, rate: int = RATE) -> NDArray[np.int16]:
    """Sounds of these lengths, one second of silence after each."""
    pause = np.zeros(rate, np.float32)
    sound = np.concatenate([part for s in seconds for part in (voice(s, rate), pause)])
    return np.round(sound * 32_767).astype("<i2")


class Speaker:
    """A client at the live socket."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.job = ""

    def say(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), CHUNK):
            self.socket.send(pcm[at : at + CHUNK])

    def tell(self, kind: str) -> None:
        self.socket.send(json.dumps({"type": kind}))

    def next(self, kind: str) -> dict[str, Any]:
        """The next message of this kind; others before it must be partials, or what comes first."""
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv(30))
            self.job = message["id"] if message["e"] == "transcript" else self.job
            if message["e"] == kind:
                return message
            assert message["e"] in ("transcript", "meta", "partial"), message

    def end(self) -> list[dict[str, Any]]:
        """All that comes until the socket is closed, and its code."""
        found = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                found.append(json.loads(self.socket.recv(30)))
        return [*found, {"code": self.socket.close_code}]


@contextlib.contextmanager
def speaking(running: System, **options: str) -> Iterator[Speaker]:
    query = urlencode({"model": "echo", **options})
    url = f"ws{running.url().removeprefix('http')}/v1/transcripts/live?{query}"
    with connect(url, proxy=None, max_size=None) as socket:
        yield Speaker(socket)


def records(running: System, job: str) -> list[dict[str, Any]]:
    """All records, once the transcript has ended."""
    found: list[dict[str, Any]] = []
    url, params = f"{running.url()}/v1/transcripts/{job}/records", {"live": "sse"}
    with httpx.stream("GET", url, params=params, timeout=60, trust_env=False) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def heard(pcm: NDArray[np.int16], segment: dict[str, Any]) -> str:
    """What echo says of the samples a segment is about."""
    piece = pcm[segment["start"] * 16 : segment["end"] * 16]
    return echo_text(piece.astype(np.float32) / np.float32(32_768))


def test_what_is_said_is_heard_in_order_to_the_sample(running: System) -> None:
    pcm = talk(1.5, 3.0, 0.8)
    with speaking(running, title="Standup", interim="false") as speaker:
        speaker.say(pcm.tobytes())
        segments = [speaker.next("segment") for _ in range(3)]
        speaker.tell("close")
        *rest, closed = speaker.end()
        assert [r["e"] for r in rest] == ["eos"]
        assert closed == {"code": 1000}
        stored = records(running, speaker.job)
    assert [r["e"] for r in stored] == ["meta", *["segment"] * 3, "eos"]
    assert stored[1:-1] == segments
    assert stored[0]["title"] == "Standup"
    for segment, (start, end) in zip(segments, [(0, 1500), (2500, 5500), (6500, 7300)], strict=True):
        assert start - 400 <= segment["start"] <= start
        assert end <= segment["end"] <= end + 500
        assert segment["t"] == heard(pcm, segment)
    view = httpx.get(f"{running.url()}/v1/transcripts/{speaker.job}", trust_env=False).json()
    assert (view["state"], view["units"], view["cut"]) == ("done", 3, True)


def test_a_text_of_the_moment_comes_while_it_is_said_and_is_never_stored(running: System) -> None:
    pcm = talk(6.0)
    with speaking(running) as speaker:
        speaker.say(pcm[: 3 * RATE].tobytes())
        first = speaker.next("partial")
        assert 0 < first["end"] <= 3_000
        assert first["t"] == heard(pcm, first)
        speaker.say(pcm[3 * RATE : 5 * RATE].tobytes())
        second = speaker.next("partial")
        assert first["end"] < second["end"] <= 5_000
        assert (second["i"], second["start"]) == (0, first["start"])
        speaker.say(pcm[5 * RATE :].tobytes())
        assert speaker.next("segment")["i"] == 0
        speaker.tell("close")
        assert [m.get("e", m) for m in speaker.end()] == ["eos", {"code": 1000}]
        assert [r["e"] for r in records(running, speaker.job)] == ["meta", "segment", "eos"]


def test_pause_ends_an_utterance_at_once(running: System) -> None:
    pcm = talk(2.0)[: 2 * RATE]
    with speaking(running, interim="false") as speaker:
        speaker.say(pcm.tobytes())
        speaker.tell("pause")
        segment = speaker.next("segment")
        assert (segment["end"], segment["t"]) == (2_000, heard(pcm, segment))


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_any_sample_rate(running: System, rate: int) -> None:
    with speaking(running, sample_rate=str(rate), interim="false") as speaker:
        pcm = talk(1.0, 1.0, rate=rate).tobytes()
        for at in range(0, len(pcm), 1_001):  # samples are split between messages
            speaker.socket.send(pcm[at : at + 1_001])
        segments = [speaker.next("segment") for _ in range(2)]
    assert abs(segments[1]["start"] - 1_850) < 150
    assert abs(segments[1]["end"] - 3_200) < 150


def test_opus_packets(running: System) -> None:
    encoder = av.AudioCodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.open()
    pcm = talk(1.0, 2.0, rate=48_000)
    with speaking(running, format="opus", interim="false") as speaker:
        for at in range(0, pcm.size - 959, 960):
            frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, at : at + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, at
            for packet in encoder.encode(frame):
                speaker.socket.send(bytes(packet))
        segments = [speaker.next("segment") for _ in range(2)]
    assert abs(segments[1]["start"] - 1_850) < 150
    assert abs(segments[1]["end"] - 4_200) < 150


@pytest.mark.parametrize(
    ("options", "message", "field"),
    [
        ({"sample_rate": "12345"}, None, "sample_rate"),
        ({"language": "??"}, None, "language"),
        ({"colour": "red"}, None, "colour"),
        ({"format": "opus"}, b"no packet", "file"),
        ({}, bytes((1 << 20) + 2), ""),
        ({}, "hello", "type"),
        ({}, '{"type": "sing"}', "type"),
    ],
)
def test_what_can_not_be_used_is_said_and_ends_it(
    running: System, options: dict[str, str], message: bytes | str | None, field: str
) -> None:
    with speaking(running, **options) as speaker:
        if message is not None:
            speaker.next("meta")
            speaker.socket.send(message)
        *_, error, closed = speaker.end()
    assert (error["e"], error["status"], error.get("field", "")) == ("error", 422, field)
    assert closed == {"code": 4422}
    if message is not None:
        assert [r["e"] for r in records(running, speaker.job)] == ["meta", "eos"]


def test_who_leaves_is_heard_to_his_last_word(running: System) -> None:
    with speaking(running, interim="false") as speaker:
        speaker.say(talk(1.0, 1.0)[: -RATE - RATE // 2].tobytes())
        speaker.next("meta")
    _, *segments, eos = records(running, speaker.job)
    assert ([s["e"] for s in segments], eos["units"]) == (["segment"] * 2, 2)


def test_a_cancelled_one_ends(running: System) -> None:
    with speaking(running) as speaker:
        speaker.next("meta")
        answer = httpx.delete(f"{running.url()}/v1/transcripts/{speaker.job}", trust_env=False)
        assert answer.json()["state"] == "cancelled"
        *_, cancelled, closed = speaker.end()
    assert (cancelled["e"], closed) == ("cancelled", {"code": 1000})


def test_a_worker_that_is_killed_loses_nothing_that_was_said(running: System) -> None:
    victim = running.hearer(CASTLINE_STT_SLOTS="1", CASTLINE_STT_ECHO_XRT="0.5")
    running.wait_for_workers(2)
    pcm = talk(*[0.8] * 12)
    with speaking(running, interim="false") as speaker:
        speaker.say(pcm.tobytes())
        found = [speaker.next("segment")]
        victim.signal(signal.SIGKILL)
        running.workers.remove(victim)
        found += [speaker.next("segment") for _ in range(11)]
        speaker.tell("close")
        assert [m.get("e", m) for m in speaker.end()] == ["eos", {"code": 1000}]
    assert [s["i"] for s in found] == list(range(12))
    assert [s["t"] for s in found] == [heard(pcm, s) for s in found]
