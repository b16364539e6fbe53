"""Answers of /v1/audio/speech while the cast is made, unit by unit as the test says: what comes when, what a client
that leaves does, what goes wrong on the way.
"""

from __future__ import annotations

import base64
import contextlib
import json
import string
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from booth import Booth
from streams import DELAYS, decode, heard, speechlike

from contracts.adapters import Address
from contracts.codec import decode_chunk
from load_tests.services import wait_until
from load_tests.system import System, system
from producer_api.audio.encoders import AUDIO_FORMATS, AudioFormat
from producer_api.audio.libav import RATE, Samples

LENGTHS_S = (1.3, 0.9, 2.1, 1.1, 0.7)
"""Of the units of `asked`."""


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory) as running:
        running.front()
        yield running


@pytest.fixture
def booth(running: System) -> Iterator[Booth]:
    booth = Booth(running.address)
    booth.register()
    running.wait_for_workers(1)
    yield booth
    booth.unregister()


@pytest.fixture
def http(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as http:
        yield http


def asked(**fields: Any) -> dict[str, Any]:
    """A request for five units, never made before."""
    name = uuid4().hex.translate(str.maketrans(string.digits, string.ascii_lowercase[6:16]))
    text = f"Well, then. The lamp of {name} was lit. Nobody had come that way for years! Would he? He would."
    return {"model": "tone", "voice": "tone", "input": text, **fields}


class Call:
    """A request in a thread of its own: its answer comes when its first unit is spoken."""

    def __init__(self, http: httpx.Client, **fields: Any) -> None:
        self._http = http
        self._body = asked(**fields)
        self._answer: httpx.Response | None = None
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        self._answer = self._http.send(
            self._http.build_request("POST", "/v1/audio/speech", json=self._body), stream=True
        )

    @property
    def answer(self) -> httpx.Response:
        self._thread.join(30)
        assert self._answer is not None
        return self._answer

    @property
    def job(self) -> str:
        return str(self.answer.headers["x-castline-cast"])

    def again(self, **fields: Any) -> Call:
        """The same input once more."""
        return Call(self._http, **{**self._body, **fields})


def view(http: httpx.Client, job: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/casts/{job}").raise_for_status().json()
    return found


def sounds(*seconds: float) -> list[Samples]:
    """Pieces of one sound: at a seam it is as loud as elsewhere."""
    edges = np.cumsum(np.round(np.array(seconds) * RATE)).astype(int)
    return np.split(speechlike(int(edges[-1])), edges[:-1])


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_the_first_bytes_come_before_the_second_unit_is_made(
    http: httpx.Client, booth: Booth, fmt: AudioFormat, stream_format: str
) -> None:
    parts = sounds(*LENGTHS_S)
    call = Call(http, response_format=fmt, stream_format=stream_format)
    booth.say(parts[0])
    lines = call.answer.iter_lines() if stream_format == "sse" else None
    bodies = call.answer.iter_bytes()
    got = audio_in(next(one for one in lines if one.startswith("data: "))) if lines else next(bodies)
    seen = view(http, call.job)
    assert (seen["state"], seen["watermark"], seen["units"]) == ("live", 1, len(parts))
    if not lines:
        while len(heard(fmt, got)) < len(parts[0]) - RATE // 10:  # all of it comes, still before the second
            got += next(bodies)
        assert view(http, call.job)["watermark"] == 1
    for part in parts[1:]:
        booth.say(part)
    got += b"".join(map(audio_in, lines) if lines else bodies)
    assert len(heard(fmt, got)) >= sum(map(len, parts))
    assert view(http, call.job)["state"] == "done"


def audio_in(line: str) -> bytes:
    """What a line of server-sent events has of the stream."""
    if not line.startswith("data: "):
        return b""
    return base64.b64decode(json.loads(line.removeprefix("data: ")).get("audio", ""))


def stored(http: httpx.Client, job: str, seq: int) -> Samples:
    samples: Samples = decode_chunk(http.get(f"/v1/casts/{job}/records/{seq}").content)
    return samples


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_no_seam_adds_silence_or_a_click(http: httpx.Client, booth: Booth, fmt: AudioFormat) -> None:
    """What the stream differs from the sentences by is at the seams as much as elsewhere, in each millisecond."""
    call = Call(http, response_format=fmt)
    parts = sounds(*LENGTHS_S)
    for part in parts:
        booth.say(part)
    stream = b"".join(call.answer.iter_bytes())
    source = np.concatenate([stored(http, call.job, seq) for seq in range(1, len(parts) + 1)])
    delay = DELAYS.get(fmt, 0)
    error = heard(fmt, stream)[delay : delay + len(source)] - source
    assert len(error) == len(source)
    ms = RATE // 1000
    levels = np.sqrt(np.mean(error[: len(error) // ms * ms].reshape(-1, ms) ** 2, axis=1))
    at_seam = np.zeros(len(levels), bool)
    for seam in np.cumsum([len(part) for part in parts])[:-1] // ms:
        at_seam[seam - 20 : seam + 20] = True
    around, elsewhere = levels[at_seam], levels[100:-100][~at_seam[100:-100]]
    assert around.max() <= elsewhere.max() + 1 / 32_768
    assert np.sqrt(np.mean(around**2)) <= 1.5 * np.sqrt(np.mean(elsewhere**2)) + 1 / 32_768
    assert np.sqrt(np.mean(error**2)) < 0.15 * np.sqrt(np.mean(source**2)), "else it is not the same sound"


@pytest.mark.parametrize("ephemeral", [True, False])
@pytest.mark.parametrize("begun", [True, False])
def test_a_client_that_leaves_cancels_only_what_is_ephemeral(
    http: httpx.Client, booth: Booth, *, ephemeral: bool, begun: bool
) -> None:
    if begun:
        call = Call(http, ephemeral=ephemeral)
        job = booth.say(sounds(1.0)[0]).job
        call.answer.close()
    else:
        impatient = threading.Thread(target=give_up_waiting, args=(http, asked(ephemeral=ephemeral)))
        impatient.start()
        job = booth.claim().job
        impatient.join()
    if ephemeral:
        wait_until(lambda: view(http, job)["state"] == "cancelled", 30, "the cancellation")
    else:
        wait_until(lambda: "\ncastline_followers 0.0\n" in http.get("/metrics").text, 30, "nobody to follow it")
        assert view(http, job)["state"] == "live"
        http.delete(f"/v1/casts/{job}").raise_for_status()


def give_up_waiting(http: httpx.Client, body: dict[str, Any]) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        http.post("/v1/audio/speech", json=body, timeout=1)


def test_whoever_joins_an_ephemeral_cast_does_not_cancel_it(http: httpx.Client, booth: Booth) -> None:
    first = Call(http)
    parts = sounds(*LENGTHS_S)
    booth.say(parts[0])
    second = first.again(ephemeral=True)
    assert second.job == first.job
    second.answer.close()
    for part in parts[1:]:
        booth.say(part)
    assert len(decode("mp3", b"".join(first.answer.iter_bytes()))) >= sum(map(len, parts))
    assert view(http, first.job)["state"] == "done"


def test_a_cast_that_is_cancelled_on_the_way_cuts_the_stream(http: httpx.Client, booth: Booth) -> None:
    call = Call(http)
    booth.say(sounds(1.0)[0])
    bodies = call.answer.iter_bytes()
    assert next(bodies)
    http.delete(f"/v1/casts/{call.job}").raise_for_status()
    with pytest.raises(httpx.RemoteProtocolError):
        list(bodies)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: ")]


def test_a_cast_that_is_cancelled_on_the_way_is_an_event(http: httpx.Client, booth: Booth) -> None:
    call = Call(http, stream_format="sse")
    booth.say(sounds(1.0)[0])
    http.delete(f"/v1/casts/{call.job}").raise_for_status()
    *deltas, last = events(call.answer)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert (last["type"], last["error"]["code"]) == ("speech.audio.error", "cancelled")
    assert last["error"]["message"] == "The cast was cancelled."


def test_a_cast_that_is_cancelled_before_its_first_sound_is_a_status(http: httpx.Client, booth: Booth) -> None:
    call = Call(http)
    http.delete(f"/v1/casts/{booth.claim().job}").raise_for_status()
    assert call.answer.status_code == 410
    assert json.loads(call.answer.read())["error"]["code"] == "cancelled"


def test_a_sentence_that_was_given_up_is_not_passed_over(http: httpx.Client, booth: Booth) -> None:
    call = Call(http, stream_format="sse")
    booth.say(sounds(1.0)[0])
    booth.give_up()
    *_, last = events(call.answer)
    assert (last["type"], last["error"]["code"]) == ("speech.audio.error", "given_up")
    assert "given up after 5 attempts" in last["error"]["message"]
    assert http.delete(f"/v1/casts/{call.job}").json()["state"] == "cancelled"


def test_what_was_given_up_before_the_first_sound_is_a_502_and_begins_anew(http: httpx.Client, booth: Booth) -> None:
    parts = sounds(*LENGTHS_S)
    first = Call(http)
    booth.give_up()
    assert first.answer.status_code == 502
    assert first.answer.headers["x-should-retry"] == "false"
    assert json.loads(first.answer.read())["error"]["code"] == "given_up"
    for part in parts[1:]:
        booth.say(part)
    assert (view(http, first.job)["state"], view(http, first.job)["skipped"]) == ("done", 1)
    again = first.again(response_format="pcm")
    for part in parts:
        booth.say(part)
    assert len(b"".join(again.answer.iter_bytes())) == 2 * sum(map(len, parts))
    assert again.job == first.job
    assert view(http, first.job)["skipped"] == 0


def test_when_the_last_worker_goes_before_the_first_sound_it_is_a_503(http: httpx.Client, booth: Booth) -> None:
    call = Call(http)
    job = booth.claim().job
    booth.unregister()
    assert (call.answer.status_code, call.job) == (503, job)
    assert int(call.answer.headers["retry-after"]) >= 1
    http.delete(f"/v1/casts/{job}").raise_for_status()
