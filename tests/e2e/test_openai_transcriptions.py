"""The official client on /v1/audio/transcriptions and translations, every format, with the echo engine."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray
from sounds import sine, wav

from contracts.adapters import Address
from load_tests.system import System, system

RATE = 16_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("openai")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.hearer(CASTLINE_STT_SLOTS="2", CASTLINE_STT_ECHO_XRT="30")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client:
        yield client


def recording(*seconds: float) -> tuple[str, bytes]:
    hz = 200 + np.random.default_rng().uniform(0, 400)
    pause: NDArray[np.float32] = np.zeros(RATE, np.float32)
    return "note.wav", wav(np.concatenate([part for s in seconds for part in (sine(s, RATE, hz), pause)]))


def test_json_text_and_subtitles(client: openai.OpenAI) -> None:
    file = recording(3, 28, 2)
    plain = client.audio.transcriptions.create(file=file, model="echo")
    said = re.findall(r"\d+ ms [0-9a-f]{8}", plain.text)
    assert len(said) >= 2
    assert plain.text == " ".join(said)
    assert client.audio.transcriptions.create(file=file, model="echo", response_format="text").strip() == plain.text
    srt = client.audio.transcriptions.create(file=file, model="echo", response_format="srt")
    vtt = client.audio.transcriptions.create(file=file, model="echo", response_format="vtt")
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n", srt)
    assert vtt.startswith("WEBVTT\n\n")
    assert [words for words in said if words in srt and words in vtt] == said


def test_verbose_json_with_words(client: openai.OpenAI) -> None:
    made = client.audio.transcriptions.create(
        file=recording(4, 5), model="echo", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert made.segments
    assert made.words
    assert 9 <= float(made.duration) <= 11
    assert all(0 <= s.start < s.end <= 11 for s in made.segments)
    assert all(w.start <= w.end for w in made.words)
    assert " ".join(s.text.strip() for s in made.segments) == made.text


def test_a_stream_has_deltas_and_the_whole(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(file=recording(6, 28, 5), model="echo", stream=True))
    assert [e.type for e in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]
    assert len(events) >= 3
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert "".join(e.delta for e in events if e.type == "transcript.text.delta") == done.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translations(client: openai.OpenAI) -> None:
    assert client.audio.translations.create(file=recording(2), model="echo").text


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"model": "No Such Model"}, "model"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"language": "English!"}, "language"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]"),
        ({"timestamp_granularities": ["letter"], "response_format": "verbose_json"}, "timestamp_granularities[]"),
        ({"include": ["logprobs"]}, "include[]"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
def test_unknown_values_are_a_400(client: openai.OpenAI, given: dict[str, object], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**{"file": recording(1), "model": "echo", **given})  # type: ignore[call-overload]
    assert caught.value.response.json()["field"] == field


def test_what_is_no_audio_is_a_400_and_an_event(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no audio"):
        client.audio.transcriptions.create(file=("x.wav", b"no sound at all, " * 99), model="echo")
    with pytest.raises(openai.APIError, match="no audio"):
        list(client.audio.transcriptions.create(file=("x.wav", b"nor any here, " * 99), model="echo", stream=True))


def test_larger_than_the_bound_is_a_413(running: System) -> None:
    files = {"file": ("a.wav", io.BytesIO(bytes((25 << 20) + (1 << 17))))}
    answer = httpx.post(f"{running.url()}/v1/audio/transcriptions", files=files, timeout=30, trust_env=False)
    assert answer.status_code == 413


@pytest.mark.parametrize("ephemeral", [True, False])
def test_leaving_cancels_only_what_is_ephemeral(running: System, *, ephemeral: bool) -> None:
    name, body = recording(*[25.0] * 8)
    data = {"model": "echo", "stream": "true", "ephemeral": json.dumps(ephemeral)}
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        with client.stream("POST", "/v1/audio/transcriptions", files={"file": (name, body)}, data=data) as answer:
            job = answer.headers["x-castline-transcript"]
            next(answer.iter_lines())
        state, deadline = "live", time.monotonic() + 60
        while state in ("waiting", "live"):
            assert time.monotonic() < deadline
            state = client.get(f"/v1/transcripts/{job}").json()["state"]
    assert state == ("cancelled" if ephemeral else "done")


def test_the_transcript_stays_as_a_log(running: System, client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "memo.wav"
    path.write_bytes(recording(2)[1])
    answer = client.audio.transcriptions.with_raw_response.create(file=path, model="echo")
    job = answer.headers["x-castline-transcript"]
    view = httpx.get(f"{running.url()}/v1/transcripts/{job}", trust_env=False).json()
    assert (view["state"], view["title"]) == ("done", "memo.wav")
