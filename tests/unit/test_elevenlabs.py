"""The engine that speaks in another's cloud, over real HTTP to a server of tones: speech, words, every failure."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from elevenlabs_server import KEY, NOT_HERE, PER_CHARACTER, ElevenLabsServer, elevenlabs, pcm
from pydantic import SecretStr

from contracts.errors import EngineError, EngineStopped, Misconfigured, UnitFailed
from contracts.voices import VOICES
from load_tests.services import free_port, wait_until
from workers.engine import UnitRequest
from workers.tts.engines.elevenlabs import VOICE_IDS, ElevenLabs
from workers.tts.engines.elevenlabs_stream import Listening
from workers.tts.render import REMOTE_XRT, SpeechRenderer
from workers.tts.settings import ElevenLabsSettings, SpeechSettings
from workers.tts.speech import Speech

NEVER = threading.Event()
TEXT = "It cost five pounds, my friend!"


@pytest.fixture
def server() -> Iterator[ElevenLabsServer]:
    with elevenlabs() as served:
        yield served


@pytest.fixture
def make(server: ElevenLabsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ElevenLabs]]:
    """Engines that are loaded, and closed at the end."""
    monkeypatch.setattr("workers.tts.engines.elevenlabs.PAUSES_S", (0.01, 0.02, 0.03))
    with contextlib.ExitStack() as stack:

        def made(**settings: Any) -> ElevenLabs:
            engine = ElevenLabs(ElevenLabsSettings(**{"key": KEY, "url": server.url, **settings}))
            stack.enter_context(contextlib.closing(engine))
            engine.load()
            return engine

        yield made


def say(engine: ElevenLabs, text: str = TEXT, *, stop: threading.Event = NEVER, **options: Any) -> Speech:
    how = {"voice": "eleven-george", "language": "en-GB", "speed": 1.0, "quick": True, **options}
    return engine.speak(text, **how, stop=stop)


# --- speech ---


def test_what_it_says_is_what_they_sent_and_words_have_times(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs]
) -> None:
    speech = say(make())
    assert np.array_equal(np.round(speech.samples * 32_768).astype("<i2"), np.frombuffer(pcm(TEXT), "<i2"))
    assert [w.text for w in speech.words] == ["It", "cost", "five", "pounds", "my", "friend"]
    for word in speech.words:
        at = TEXT.index(word.text)
        assert (word.start, word.end) == (at * PER_CHARACTER, (at + len(word.text)) * PER_CHARACTER)
    assert server.spoken == [
        {"text": TEXT, "model_id": "eleven_flash_v2_5", "language_code": "en", "voice": VOICE_IDS["eleven-george"],
         "output_format": "pcm_24000"}
    ]  # fmt: skip


def test_their_own_client_understands_the_server_we_test_with(server: ElevenLabsServer) -> None:
    from elevenlabs.client import ElevenLabs as TheirClient

    with httpx.Client(trust_env=False) as http:
        client = TheirClient(api_key=KEY, base_url=server.url, httpx_client=http)
        assert VOICE_IDS["eleven-george"] in {v.voice_id for v in client.voices.get_all().voices}
        parts = list(
            client.text_to_speech.stream_with_timestamps(
                VOICE_IDS["eleven-george"], text=TEXT, model_id="eleven_flash_v2_5", output_format="pcm_24000"
            )
        )
    assert b"".join(base64.b64decode(part.audio_base_64) for part in parts) == pcm(TEXT)
    assert "".join("".join(part.alignment.characters) for part in parts if part.alignment) == TEXT


@pytest.mark.parametrize(("speed", "sent"), [(1.0, None), (1.1, 1.1), (0.25, 0.7), (4.0, 1.2)])
def test_speed_is_brought_to_what_they_take(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs], speed: float, sent: float | None
) -> None:
    say(make(), speed=speed)
    assert server.spoken[0].get("voice_settings", {}).get("speed") == sent


def test_markup_is_not_read_and_a_model_that_takes_no_language_gets_none(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs]
) -> None:
    say(make(model="eleven_multilingual_v2"), "My [friend](/fɹˈɛnd/).", language="fr-FR")
    assert server.spoken[0]["text"] == "My friend."
    assert "language_code" not in server.spoken[0]


def test_what_holds_nothing_to_speak_costs_nothing(server: ElevenLabsServer, make: Callable[..., ElevenLabs]) -> None:
    assert say(make(), "… !").samples.size == 0
    with pytest.raises(UnitFailed, match="none of ElevenLabs'"):
        say(make(), voice="af_heart")
    assert server.spoken == []


def test_requests_after_each_other_share_a_connection(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs]
) -> None:
    engine = make()
    for _ in range(4):
        say(engine)
    assert len(server.peers) == 1


# --- the renderer around it ---


def test_nothing_is_spoken_at_start_and_voices_are_those_of_the_account(
    server: ElevenLabsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ElevenLabs(ElevenLabsSettings(key=SecretStr(KEY), url=server.url))
    with contextlib.closing(engine):
        info = SpeechRenderer(engine, slots=2).load()
    assert (server.listed, server.spoken) == (1, [])
    assert (info.model, info.device_active, info.probe_xrt) == ("elevenlabs", "remote", REMOTE_XRT)
    assert set(info.voices) == VOICE_IDS.keys() - {NOT_HERE}
    assert VOICE_IDS.keys() == {v.id for v in VOICES.values() if v.model == "elevenlabs"}
    monkeypatch.setenv("CASTLINE_TTS_ENGINE", "elevenlabs")
    monkeypatch.setenv("CASTLINE_ELEVENLABS_KEY", KEY)
    options = SpeechSettings().options()
    assert options["slots"] == 2
    assert KEY not in str(options) + repr(ElevenLabsSettings())


def test_units_do_not_wait_for_each_other(server: ElevenLabsServer, make: Callable[..., ElevenLabs]) -> None:
    server.plan.extend(["slow"])
    renderer = SpeechRenderer(make(), slots=2)
    recipe = {"voice": "eleven-george", "language": "en-GB", "speed": 1.0}
    stop, ended = threading.Event(), []

    def slow() -> None:
        with pytest.raises(EngineStopped):
            renderer.render(UnitRequest(0, "A slow one.", recipe, alone=True), stop)
        ended.append(True)

    thread = threading.Thread(target=slow)
    thread.start()
    wait_until(lambda: len(server.spoken) == 1, 10, "the first request")
    headers = renderer.render(UnitRequest(1, TEXT, recipe, alone=False), NEVER).headers
    assert ended == []
    stop.set()
    thread.join(10)
    assert ended == [True]
    assert (headers["engine"], headers["t"], [w["w"] for w in headers["words"]][:2]) == (
        "elevenlabs",
        TEXT,
        ["It", "cost"],
    )


# --- failures ---


def test_a_key_they_refuse_is_one_line_without_the_key(make: Callable[..., ElevenLabs]) -> None:
    for key, line in (("", "CASTLINE_ELEVENLABS_KEY"), ("sk_wrong_one", "401 invalid_api_key")):
        with pytest.raises(Misconfigured, match=line) as caught:
            make(key=key)
        assert "sk_wrong_one" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_who_is_not_there_or_somebody_else_is_an_engine_error(make: Callable[..., ElevenLabs]) -> None:
    with pytest.raises(EngineError, match="no connection"):
        make(url=f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_work_later_is_asked_again(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs], status: int
) -> None:
    engine = make()
    server.plan.extend([status] * 3)
    assert say(engine).samples.size == len(TEXT) * PER_CHARACTER
    assert len(server.spoken) == 4
    server.plan.extend([status] * 4)
    with pytest.raises(UnitFailed, match=f"{status} as_told: .*the key is \\*\\*\\*") as caught:
        say(engine)
    assert len(server.spoken) == 8
    assert KEY not in str(caught.value)


def test_a_wait_they_ask_for_is_kept_as_long_as_there_is_time(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs]
) -> None:
    engine = make(timeout_s=0.5)
    server.plan.append(429)
    server.retry_after = "7"
    with pytest.raises(UnitFailed, match=r"within 0\.5 s"):
        say(engine)
    assert len(server.spoken) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_will_never_work_is_not_asked_again(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs], status: int
) -> None:
    engine = make()
    server.plan.append(status)
    with pytest.raises(UnitFailed, match=f"ElevenLabs says {status}"):
        say(engine)
    assert len(server.spoken) == 1


@pytest.mark.parametrize(("told", "said"), [("die", "broke off"), ("garbage", "no speech"), ("slow", "within 1 s")])
def test_what_goes_wrong_in_the_middle_fails_the_unit_and_the_next_one_is_spoken(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs], told: str, said: str
) -> None:
    engine = make(timeout_s=1.0)
    server.plan.append(told)
    with pytest.raises(UnitFailed, match=said):
        say(engine)
    assert len(server.spoken) == 1, "what is paid for is not asked for twice here"
    assert say(engine).samples.size == len(TEXT) * PER_CHARACTER


def test_stop_ends_the_request(server: ElevenLabsServer, make: Callable[..., ElevenLabs]) -> None:
    engine = make()
    server.plan.append("slow")
    stop = threading.Event()

    def leave() -> None:
        wait_until(lambda: bool(server.spoken), 10, "a request")
        stop.set()

    threading.Thread(target=leave).start()
    started = time.monotonic()
    with pytest.raises(EngineStopped):
        say(engine, stop=stop)
    assert time.monotonic() - started < 30, "the answer would have taken a minute"
    wait_until(lambda: server.aborted == 1, 10, "the end of the request")


def test_the_key_is_in_no_log(
    server: ElevenLabsServer, make: Callable[..., ElevenLabs], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        engine = make()
        server.plan.extend([429, 401])
        with pytest.raises(UnitFailed):
            say(engine)
    assert "with-timestamps" in caplog.text
    assert KEY not in caplog.text


# --- what else a stream may hold ---


UNEVEN = b"""{"audio_base64": "", "alignment":
{"characters": ["a"], "character_start_times_seconds": [], "character_end_times_seconds": []}}"""


@pytest.mark.parametrize(
    "line",
    [
        b"[]", b"3", b"{}", b"\xff", b"[" * 100_000, b'{"audio_base64": "!"}', b'{"audio_base64": 3}',
        b'{"audio_base64": "", "alignment": {"characters": ["a"]}}', UNEVEN,
    ],
)  # fmt: skip
def test_lines_that_are_no_speech(line: bytes) -> None:
    with pytest.raises(UnitFailed, match="no speech"):
        Listening("a").take(line)


def test_speech_without_times_has_no_words_and_wild_times_stay_within_it() -> None:
    plain = Listening("Hello there")
    plain.take(b'{"audio_base64": "AAABAAIA", "alignment": null}')
    assert (plain.speech().samples.size, plain.speech().words) == (3, ())
    wild = Listening("Hi you")
    wild.take(
        b'{"audio_base64": "AAABAAIA", "alignment": {"characters": ["Hi", " ", "y", "o", "u"],'
        b' "character_start_times_seconds": [-1, 0, 9, 9, 9], "character_end_times_seconds": [8, 0, 9, 9, 1]}}'
    )
    assert [(w.text, w.start, w.end) for w in wild.speech().words] == [("Hi", 0, 3), ("you", 3, 3)]
