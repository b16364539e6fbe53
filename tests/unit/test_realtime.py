"""Voice chats, part by part: settings of both generations, what was heard, our own voice, sound."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from openai.types.realtime import RealtimeSessionCreateRequest
from sounds import sine, voice

from contracts.errors import BadInput
from contracts.records import Record
from producer_api.front import Front
from producer_api.live.session import LiveTranscript
from producer_api.live.turns import Utterance
from producer_api.realtime.config import Config, Format, SemanticVad
from producer_api.realtime.ears import Ears
from producer_api.realtime.said import Said, length_ms, text_heard
from producer_api.realtime.sound import Incoming, Outgoing
from producer_api.realtime.speaker import Response
from producer_api.realtime.turn import Turn

WORDS = [{"w": "Good", "s": 0, "e": 400}, {"w": "old", "s": 500, "e": 700}, {"w": "old", "s": 800, "e": 1_000}]


# --- settings ------------------------------------------------------------------------------------------------------


def test_both_generations_say_the_same() -> None:
    ga = Config().updated(
        {
            "output_modalities": ["text"], "max_output_tokens": 50,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"}, "turn_detection": None, "transcription": {"language": "de"}
                },
                "output": {"voice": "tone", "format": {"type": "audio/pcma"}, "speed": 1.2},
            },
        }
    )  # fmt: skip
    beta = Config().updated(
        {
            "modalities": ["text"], "max_response_output_tokens": 50, "input_audio_format": "g711_ulaw",
            "turn_detection": None, "input_audio_transcription": {"language": "de"}, "voice": "tone",
            "output_audio_format": "g711_alaw", "speed": 1.2,
        }
    )  # fmt: skip
    assert ga == beta
    RealtimeSessionCreateRequest.model_validate(ga.shown("sess_1", beta=False))
    assert ga.shown("sess_1", beta=True)["output_audio_format"] == "g711_alaw"


def test_what_is_not_said_stays_and_another_kind_begins_anew() -> None:
    first = Config().updated({"turn_detection": {"type": "server_vad", "silence_duration_ms": 900}, "voice": "alloy"})
    second = first.updated({"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9}}}})
    detection = second.audio.input.turn_detection
    assert detection is not None
    assert detection.model_dump()["silence_duration_ms"] == 900
    assert second.audio.output.voice == "alloy"
    third = second.updated({"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}).audio.input.turn_detection
    assert isinstance(third, SemanticVad)
    assert third.patience_s == 8
    assert Config().updated({"voice": {"id": "tone"}, "tracing": "auto"}).audio.output.voice == "tone"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"output_modalities": []}, "session.output_modalities"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"modalities": "text"}, "session.output_modalities"),
        ({"speed": 9}, "session.audio.output.speed"),
        ({"turn_detection": {"type": "vad"}}, "session.audio.input.turn_detection"),
        ({"turn_detection": "none"}, "session.audio.input.turn_detection"),
        ({"input_audio_format": "mp3"}, "session.audio.input.format.type"),
        ({"audio": {"input": 5}}, "session.audio.input"),
        ({"audio": None}, "session.audio"),
        ({"max_output_tokens": "many"}, "session.max_output_tokens.int"),
        ({"temperature": float("nan")}, "session.temperature"),
        ({"voice": "nobody"}, "voice"),
        ({"type": "transcription"}, "session.type"),
    ],
)
def test_bad_settings_name_their_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as found:
        Config().updated(changes)
    assert found.value.field == field


# --- what was heard --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until_ms", "heard"),
    [
        (0, ""),
        (199, ""),
        (200, "Good"),
        (599, "Good"),
        (600, "Good old"),
        (900, "Good old old"),
        (1_200, "Good old old."),
    ],
)
def test_what_was_heard_to_the_word(until_ms: int, heard: str) -> None:
    assert Said("Good old old.", 0, 1_200, WORDS).heard(until_ms) == heard


def test_without_times_of_words_letters_decide() -> None:
    unit = Said("one two three", 500, 1_300)
    assert [unit.heard(at) for at in (0, 500, 800, 900, 1_799, 1_800)] == [
        "",
        "",
        "one",
        "one",
        "one two",
        "one two three",
    ]
    assert Said("一二三四", 0, 400).heard(399) == ""


def test_what_was_heard_of_several_units() -> None:
    said = [Said("Good old old.", 0, 1_200, WORDS), Said("given up", 1_200, 0), Said("The end.", 1_200, 800)]
    assert length_ms(said) == 2_000
    assert [text_heard(said, at) for at in (600, 1_200, 1_650, 2_000)] == [
        "Good old", "Good old old.", "Good old old. given up The", "Good old old. given up The end."
    ]  # fmt: skip
    assert (text_heard([], 5), length_ms([])) == ("", 0)


# --- our own voice ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "echo"),
    [
        ("the lamp is lit", True), ("The lamp, is LIT!", True), ("nobody has come that way", True), ("lamp", False),
        ("is the lamp really lit now", False), ("stop it please", False), ("", False),
    ],
)  # fmt: skip
def test_our_own_words_are_no_turn(heard: str, *, echo: bool) -> None:
    said = [Said("The lamp is lit.", 0, 900), Said("Nobody has come that way.", 900, 1_500)]
    beside = cast("Response", SimpleNamespace(said=said))
    assert Turn(0, texts={0: heard}, beside=beside).is_echo == echo
    assert not Turn(0, texts={0: heard}).is_echo


# --- sound -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wave", [Format(), Format(type="audio/pcmu"), Format(type="audio/pcma"), Format(rate=48_000)])
def test_sound_out_and_in_again(wave: Format) -> None:
    """Ours, 24 kHz, as the client gets it; sent back, it is what hearing workers get: 16 kHz."""
    samples = 0.5 * voice(2.0, 24_000)
    out, back = Outgoing(wave), Incoming(wave)
    pieces = [*out.pieces(samples[:30_000]), *out.pieces(samples[30_000:]), *out.rest()]
    assert all(len(base64.b64decode(piece)) <= 0.21 * 2 * wave.hz for piece in pieces)
    heard = np.frombuffer(b"".join(back.pcm(piece) for piece in pieces), "<i2") / 32_768
    assert abs(heard.size / 16_000 - 2.0) < 0.005
    meant = 0.5 * voice(2.0, 16_000)[: heard.size]
    likeness = [float(np.corrcoef(heard[lag : lag + 30_000], meant[:30_000])[0, 1]) for lag in range(40)]
    assert max(likeness) > 0.97


def test_a_seam_between_two_units_is_not_heard() -> None:
    samples = sine(1.0, 24_000, 440)
    whole, cut = Outgoing(Format(rate=8_000)), Outgoing(Format(rate=8_000))
    once = b"".join(base64.b64decode(p) for p in [*whole.pieces(samples), *whole.rest()])
    parts = [*cut.pieces(samples[:9_601]), *cut.pieces(samples[9_601:]), *cut.rest()]
    difference = np.frombuffer(b"".join(base64.b64decode(p) for p in parts), "<i2") - np.frombuffer(once, "<i2")
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("audio", [None, 5, "", "not base64!", "AAA"])
def test_sound_that_is_none(audio: object) -> None:
    with pytest.raises(BadInput) as found:
        Incoming(Format()).pcm(audio)
    assert found.value.field == "audio"


# --- ears --------------------------------------------------------------------------------------------------------


async def test_a_text_that_is_there_before_its_utterance_is_told_waits_for_it() -> None:
    """A fast worker has heard it before the front knows that its unit was submitted."""
    told: list[str] = []

    class Listener:
        async def heard(self, index: int, said: Mapping[str, Any]) -> None:
            told.append(f"heard {said['t']}")

        async def utterance(self, index: int, begin_ms: int, end_ms: int) -> None:
            told.append(f"utterance {index}")

    ears = Ears(cast("Front", None), "", cast("Any", Listener()), cast("Any", None))
    transcript = cast("LiveTranscript", SimpleNamespace(units=0, follow=lambda _record: None))
    ears._turns.speaking = Utterance(0)

    async def submit() -> None:
        transcript.units = 1  # type: ignore[misc]
        passing.append(asyncio.create_task(ears._pass_on(transcript, Record(1, "segment", {"i": 0, "t": "Hello."}))))
        for _ in range(5):
            await asyncio.sleep(0)

    passing: list[asyncio.Task[None]] = []
    await ears._ended(transcript, submit)
    await passing[0]
    assert told == ["utterance 0", "heard Hello."]
