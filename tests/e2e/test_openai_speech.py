"""The official client on /v1/audio/speech, with the tone engine, on SQLite and on Redis + RabbitMQ; Open WebUI's
requests; the lists of voices and models.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import openai
import pytest
from streams import Floats, heard

from contracts.adapters import Address
from contracts.codec import decode_chunk
from contracts.voices import VOICES
from load_tests.system import System, system
from producer_api.audio.encoders import AUDIO_FORMATS, CONTENT_TYPES, AudioFormat
from producer_api.audio.libav import RATE, to_s16
from producer_api.speech.events import usage
from workers.tts.words import shown_words

MAX_TEXT = 5_000


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory, CASTLINE_MAX_TEXT_CHARS=str(MAX_TEXT)) as running:
        running.front()
        running.worker("tone")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as http:
        yield http


def story() -> str:
    """Four units, never said before."""
    return f"Well, then. The lamp of {uuid4().hex[:8]} was lit. Nobody had come that way for years! Would he? He would."


def sentences(http: httpx.Client, job: str) -> Floats:
    """What the cast's records hold, one after the other."""
    records = http.get(f"/v1/casts/{job}/records").json()["records"]
    sounds = [decode_chunk(base64.b64decode(r["body"])) for r in records if r["e"] == "audio"]
    assert len(sounds) >= 3
    return np.concatenate(sounds).astype(np.float64)


def assert_is(fmt: AudioFormat, stream: bytes, source: Floats) -> None:
    """The stream is the source to the sample; with mp3 and aac but for one delay and one padding."""
    audio = heard(fmt, stream)
    if fmt in ("wav", "flac", "pcm"):
        np.testing.assert_array_equal(audio, to_s16(source.astype(np.float32)) / 32_768)
    elif fmt == "opus":
        assert len(audio) == len(source)
    else:
        assert 0 < len(audio) - len(source) < 3 * 1_024


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_every_format_is_the_sentences_joined(client: openai.OpenAI, http: httpx.Client, fmt: AudioFormat) -> None:
    text = story()
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="tone", input=text, response_format=fmt
    ) as live:
        stream = b"".join(live.iter_bytes())
    assert live.headers["content-type"] == CONTENT_TYPES[fmt]
    assert live.headers["x-accel-buffering"] == "no"
    assert live.headers["transfer-encoding"] == "chunked"
    job = live.headers["x-castline-cast"]
    assert f"</v1/casts/{job}>" in live.headers["link"]
    assert_is(fmt, stream, sentences(http, job))
    again = client.audio.speech.with_raw_response.create(model="tone", voice="tone", input=text, response_format=fmt)
    assert again.headers["x-castline-cast"] == job, "the same input is the same cast"
    assert_is(fmt, again.content, sentences(http, job))
    if fmt != "pcm":
        kept = http.get(f"/v1/casts/{job}/audio.{fmt}")
        assert kept.content == again.content


def test_mp3_is_the_default_and_a_finished_wav_says_its_length(client: openai.OpenAI, http: httpx.Client) -> None:
    text = story()
    made = client.audio.speech.with_raw_response.create(model="tone", voice="tone", input=text)
    assert made.headers["content-type"] == "audio/mpeg"
    done = client.audio.speech.create(model="tone", voice="tone", input=text, response_format="wav").content
    with wave.open(io.BytesIO(done)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        assert file.getnframes() == len(sentences(http, made.headers["x-castline-cast"]))


def test_speed_and_language_are_part_of_the_recipe(client: openai.OpenAI, http: httpx.Client) -> None:
    def cast(**fields: Any) -> dict[str, Any]:
        made = client.audio.speech.with_raw_response.create(model="tone", input=text, **fields)
        view: dict[str, Any] = http.get(f"/v1/casts/{made.headers['x-castline-cast']}").json()
        return view

    text = story()
    slow, fast = cast(voice="tone"), cast(voice={"id": "tone"}, speed=2.0)
    british = cast(voice="tone", extra_body={"lang_code": "b"}, instructions="Speak like a lighthouse keeper.")
    assert (slow["speed"], fast["speed"], british["language"]) == (1.0, 2.0, "en-GB")
    assert fast["audio_ms"] < 0.8 * slow["audio_ms"]
    assert len({slow["id"], fast["id"], british["id"]}) == 3


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_events_carry_the_same_stream(client: openai.OpenAI, http: httpx.Client, fmt: AudioFormat) -> None:
    text = story()
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="tone", input=text, response_format=fmt, stream_format="sse"
    ) as live:
        events = [json.loads(line.removeprefix("data: ")) for line in live.iter_lines() if line.startswith("data: ")]
    assert live.headers["content-type"].startswith("text/event-stream")
    assert live.headers["x-accel-buffering"] == "no"
    source = sentences(http, live.headers["x-castline-cast"])
    *before, done = events
    deltas = [event for event in before if event["type"] == "speech.audio.delta"]
    words = [word for event in before if event["type"] == "speech.audio.words" for word in event["words"]]
    assert {event["type"] for event in before} == {"speech.audio.delta", "speech.audio.words"}
    assert len(deltas) >= 3, "one for each sentence at least"
    assert [word["word"] for word in words] == shown_words(text)
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert len(source) / RATE - 1 < times[-1] <= len(source) / RATE
    assert_is(fmt, b"".join(base64.b64decode(event["audio"]) for event in deltas), source)
    assert done == {"type": "speech.audio.done", "usage": usage(text, len(source))}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"model": "sora"}, "model"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": "alloy"}, "voice"),
        ({"voice": "tone+tone(0)"}, "voice"),
        ({"model": "espeak"}, "voice"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "ndjson"}, "stream_format"),
        ({"speed": 5}, "speed"),
        ({"input": ""}, "input"),
        ({"input": " … "}, "input"),
        ({"input": "a" * (MAX_TEXT + 1)}, "input"),
        ({"extra_body": {"language": "tlh"}}, "language"),
        ({"extra_body": {"lang_code": "z"}}, "lang_code"),
        ({"extra_body": {"volume_multiplier": 2}}, "volume_multiplier"),
        ({"extra_body": {"pitch": 2}}, "pitch"),
    ],
)
def test_what_can_not_be_served_is_a_bad_request(client: openai.OpenAI, given: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": "tone", "voice": "tone", "input": "Hello.", **given})
    error = caught.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert isinstance(error.body, dict)
    assert error.body["message"]
    assert error.response.headers["content-type"] == "application/problem+json"


def test_what_is_no_json_is_a_problem(http: httpx.Client) -> None:
    for content in (b"", b"{", b"[]", b"7"):
        answer = http.post("/v1/audio/speech", content=content)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error"), content
    form = http.post("/v1/audio/speech", data={"model": "tone", "input": "Hello."})
    assert form.status_code == 415


def test_a_model_without_a_worker_is_a_503_and_nothing_is_kept(client: openai.OpenAI, http: httpx.Client) -> None:
    text = story()
    with pytest.raises(openai.InternalServerError) as caught:
        client.audio.speech.create(model="tts-1", voice="alloy", input=text)
    assert caught.value.status_code == 503
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert http.post("/v1/casts", json={"text": text, "voice": "af_alloy"}).status_code == 201


def test_open_webui_reads_the_lists_and_speaks(http: httpx.Client) -> None:
    """Its backend's requests (open_webui/routers/audio.py): it takes `id` and `name` of voices, `id` of models."""
    listed = http.get("/v1/audio/voices").json().get("voices", [])
    names = {voice["id"]: voice["name"] for voice in listed}
    assert set(names) == set(VOICES)
    models = {model["id"]: model for model in http.get("/v1/audio/models").json().get("models", [])}
    assert (models["tone"]["available"], models["kokoro"]["available"]) == (True, False)
    headers = {
        "Content-Type": "application/json", "Authorization": "Bearer sk-none", "X-OpenWebUI-User-Name": "Ann",
        "X-OpenWebUI-User-Role": "user",
    }  # fmt: skip
    for params in ({}, {"response_format": "mp3", "speed": 1.0, "stream": False}):
        payload = {"input": story(), "voice": "tone", "model": "tts-1", **params}
        answer = http.post("/v1/audio/speech", json=payload, headers=headers)
        assert answer.status_code == 200
        assert_is("mp3", answer.content, sentences(http, answer.headers["x-castline-cast"]))
    refused = http.post("/v1/audio/speech", json={"input": "Hello.", "voice": "nobody", "model": "tts-1"})
    assert "nobody" in refused.json()["error"]["message"], "it shows this to its user"


def test_voices_are_listed_with_what_is_known_of_them(http: httpx.Client) -> None:
    by_id = {voice["id"]: voice for voice in http.get("/v1/audio/voices").json()["voices"]}
    assert by_id["bm_fable"] == {
        "id": "bm_fable", "name": "bm_fable", "model": "kokoro", "language": "en-GB", "gender": "male",
        "mixes": True, "available": False,
    }  # fmt: skip
    assert by_id["tone"]["available"]
    assert http.get("/v1/audio/voices", params={"legacy": "true"}).json() == {"voices": list(by_id)}


def test_models_of_every_kind_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tone"]
    assert client.models.retrieve("tone").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("kokoro")


def test_openapi_has_examples(http: httpx.Client) -> None:
    schema = http.get("/openapi.json").json()
    post = schema["paths"]["/v1/audio/speech"]["post"]
    assert set(post["responses"]) == {"200", "400", "410", "413", "415", "502", "503", "default"}
    assert "speech.audio.done" in post["responses"]["200"]["content"]["text/event-stream"]["example"]
    request = schema["components"]["schemas"]["SpeechRequest"]
    assert [example["voice"] for example in request["examples"]] == ["alloy", "af_bella(2)+af_sky(1)", "alloy"]
    assert request["additionalProperties"] is False
    assert {"/v1/audio/voices", "/v1/audio/models"} <= set(schema["paths"])
