"""Requests of /v1/audio/speech: what they ask for, what is refused, what is counted."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.errors import BadInput, CastEnded, UnknownVoice, problem
from contracts.records import Record
from contracts.voices import MODELS, VOICES, resolve
from producer_api.audio.stream import Piece
from producer_api.speech.events import DELTA_BYTES, error_event, events, usage
from producer_api.speech.request import OPENAI_MODELS, OPENAI_VOICES, SpeechRequest, cast_request, refusal

GOOD: dict[str, Any] = {"model": "tts-1", "input": "Hello there.", "voice": "alloy"}
OPENAIS = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse"


def request(**fields: Any) -> SpeechRequest:
    return SpeechRequest.model_validate({**GOOD, **fields})


def test_every_voice_of_openais_is_one_of_ours_that_speaks_english() -> None:
    assert sorted(OPENAI_VOICES) == OPENAIS.split()
    assert len(set(OPENAI_VOICES.values())) == len(OPENAI_VOICES), "they can be told apart"
    for name, ours in OPENAI_VOICES.items():
        assert VOICES[ours].model == "kokoro"
        assert VOICES[ours].language in ("en-US", "en-GB")
        assert cast_request(request(voice=name)).voice == ours


@pytest.mark.parametrize(
    ("voice", "ours"),
    [
        ("af_bella(2)+af_sky(1)", "af_bella(2)+af_sky(1)"),
        ("alloy(2)+af_sky", "af_alloy(2)+af_sky"),
        (" nova + echo(0.5)", " af_nova + am_echo(0.5)"),
        ({"id": "shimmer"}, "af_sky"),
        ("af_alloy", "af_alloy"),
        ("espeak-en-us", "espeak-en-us"),
    ],
)
def test_a_voice_is_a_name_a_mix_or_an_object(voice: Any, ours: str) -> None:
    given = cast_request(request(voice=voice)).voice
    assert given == ours
    assert resolve(None, given, None)


@pytest.mark.parametrize("model", OPENAI_MODELS)
def test_a_model_of_openais_is_the_one_of_the_voice(model: str) -> None:
    assert cast_request(request(model=model)).model is None
    assert resolve(None, cast_request(request(model=model, voice=None)).voice, None)[0].id == "kokoro"


@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_ours_is_asked_for_by_name(model: str) -> None:
    assert cast_request(request(model=model, voice=None)).model == model


def test_an_unknown_model_is_told_which_there_are() -> None:
    with pytest.raises(BadInput, match=r"kokoro, elevenlabs, espeak, tone, tts-1") as caught:
        cast_request(request(model="sora"))
    assert refusal(caught.value, request()).problem["field"] == "model"


@pytest.mark.parametrize(
    ("fields", "language"),
    [
        ({}, None), ({"language": "en-GB"}, "en-GB"), ({"lang_code": "b"}, "en-GB"), ({"lang_code": "B"}, "en-GB"),
        ({"lang_code": "fr-FR"}, "fr-FR"), ({"lang_code": "a", "language": "en-US"}, "en-US"),
    ],
)  # fmt: skip
def test_a_language_has_two_names(fields: dict[str, str], language: str | None) -> None:
    assert cast_request(request(**fields)).language == language


def test_two_names_of_a_language_must_agree() -> None:
    with pytest.raises(BadInput, match="not the same") as caught:
        cast_request(request(lang_code="a", language="fr-FR"))
    assert caught.value.field == "lang_code"


def test_what_is_null_is_absent() -> None:
    fields = ("model", "voice", "speed", "instructions", "response_format", "stream_format", "stream", "lang_code")
    assert request(**dict.fromkeys(fields)) == SpeechRequest(input=GOOD["input"])


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True}, {"stream": False}, {"return_download_link": True}, {"return_timing": True},
        {"download_format": "wav"}, {"volume_multiplier": 1}, {"volume_multiplier": 1.0},
        {"normalization_options": {}}, {"sample_rate": 24_000}, {"instructions": "Whisper."},
    ],
)  # fmt: skip
def test_what_changes_nothing_audible_is_accepted(fields: dict[str, Any]) -> None:
    assert cast_request(request(**fields)) == cast_request(request())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": ""}, "input"), ({"input": None}, "input"), ({"input": 7}, "input"), ({"input": "\ud800"}, "input"),
        ({"model": 7}, "model"), ({"voice": 7}, "voice"), ({"voice": {}}, "voice"), ({"voice": {"id": 7}}, "voice"),
        ({"voice": {"id": "alloy", "x": 1}}, "voice"), ({"voice": ["alloy"]}, "voice"),
        ({"speed": 0.2}, "speed"), ({"speed": 4.1}, "speed"), ({"speed": "1"}, "speed"), ({"speed": True}, "speed"),
        ({"speed": float("nan")}, "speed"), ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "SSE"}, "stream_format"), ({"stream": "yes"}, "stream"), ({"ephemeral": 1}, "ephemeral"),
        ({"volume_multiplier": 2}, "volume_multiplier"), ({"sample_rate": 16_000}, "sample_rate"),
        ({"normalization_options": {"normalize": False}}, "normalization_options"), ({"pitch": 1}, "pitch"),
        ({"instructions": 1}, "instructions"),
    ],
)  # fmt: skip
def test_whatever_else_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    assert [error["loc"][0] for error in caught.value.errors()] == [field]


@pytest.mark.parametrize(
    ("cause", "fields", "field"),
    [
        (BadInput("x", field="text"), {}, "input"), (BadInput("x", field="language"), {}, "language"),
        (BadInput("x", field="language"), {"lang_code": "j"}, "lang_code"), (UnknownVoice("x", "y"), {}, "voice"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_that_the_client_has_sent(
    cause: BadInput, fields: dict[str, str], field: str
) -> None:
    refused = refusal(cause, request(**fields))
    assert refused.problem == {**cause.problem, "status": 400, "field": field}


def test_usage_counts_characters_and_begun_steps_of_50_ms() -> None:
    assert usage("", 0) == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert usage("naïve", 1)["output_tokens"] == usage("naïve", 1_200)["output_tokens"] == 1
    assert usage("naïve", 1_201) == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


def framed(data: bytes) -> dict[str, Any]:
    """One event: its name and its type are one."""
    name, content = data.decode().split("\n", 1)
    read: dict[str, Any] = json.loads(content.removeprefix("data: "))
    assert name == f"event: {read['type']}"
    return read


async def test_no_event_is_longer_than_clients_can_read() -> None:
    sound = bytes(range(256)) * 400

    async def pieces() -> AsyncGenerator[Piece, None]:
        yield Piece(Record(1, "audio", {"n": 24_000}), sound)
        yield Piece(Record(2, "audio", {"n": 0}), b"")
        yield Piece(Record(3, "eos"), b"tail")

    sent = b"".join([event async for event in events(pieces(), "Hello.")])
    *deltas, done = [framed(event) for event in sent.split(b"\n\n")[:-1]]
    assert {d["type"] for d in deltas} == {"speech.audio.delta"}
    assert max(len(base64.b64decode(d["audio"])) for d in deltas) == DELTA_BYTES
    assert max(map(len, sent.split(b"\n"))) < 1 << 16
    assert b"".join(base64.b64decode(d["audio"]) for d in deltas) == sound + b"tail"
    assert done == {"type": "speech.audio.done", "usage": usage("Hello.", 24_000)}


def test_an_error_event_has_openais_members() -> None:
    event = framed(error_event(CastEnded(problem("cancelled", 410, "The cast was cancelled.", field="x"))).strip())
    assert event["type"] == "speech.audio.error"
    assert event["error"] == {
        "message": "The cast was cancelled.", "type": "invalid_request_error", "param": "x", "code": "cancelled",
    }  # fmt: skip
