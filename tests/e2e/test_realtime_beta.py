"""The beta's protocol, which many clients speak still: its header, names and shapes; and sound in other formats."""

from __future__ import annotations

import base64
import json
from typing import Any

import av
import numpy as np
import pytest
from llm_script import Attempt, say
from numpy.typing import NDArray
from sounds import sine
from talking import Talk, records_of, sound, talking, text, wave_of
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from workers.tts.engines.tone import tone_frequency

BETA = {"OpenAI-Beta": "realtime=v1"}
REPLY = "The lamp is lit."


def coded(name: str, samples: NDArray[np.float32]) -> bytes:
    """G.711, 8,000 Hz."""
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(np.round(samples * 32_767).astype("<i2")[np.newaxis], "s16", "mono")
    frame.sample_rate = 8_000
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


def decoded(name: str, wave: bytes) -> NDArray[np.float32]:
    decoder: Any = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    frames = decoder.decode(av.Packet(wave))
    samples: NDArray[np.float32] = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return samples / np.float32(32_768)


def samples_of(talk: Talk, response: dict[str, Any]) -> float:
    """How many there are in the reply's cast, at 8,000 Hz."""
    records = records_of(talk.system.url(), "casts", response["castline"]["cast"])
    return float(sum(record.get("n", 0) for record in records)) / 3


def pitch(samples: NDArray[np.float32], rate: int) -> float:
    """Hz of the loudest tone in its first 0.7 s."""
    piece = samples[: round(0.7 * rate)]
    return float(np.argmax(np.abs(np.fft.rfft(piece))) * rate / piece.size)


def receive(socket: Any, kind: str) -> list[dict[str, Any]]:
    """Events up to one of this kind."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != kind:
        found.append(json.loads(socket.recv(30)))
        assert found[-1]["type"] != "error", found[-1]
    return found


@pytest.mark.parametrize("by", ["header", "subprotocol"])
def test_a_beta_client_is_understood(talk: Talk, by: str) -> None:
    """G.711 in and out, by the beta's words alone."""
    prompt = talk.script(Attempt(say(REPLY)))
    talk.ears.will_hear(prompt)
    url = f"ws{talk.system.url().removeprefix('http')}/v1/realtime?model=gpt-4o-realtime-preview"
    protocols = [Subprotocol(p) for p in ("realtime", "openai-insecure-api-key.none", "openai-beta.realtime-v1")]
    how: dict[str, Any] = {"additional_headers": BETA} if by == "header" else {"subprotocols": protocols}
    with connect(url, proxy=None, **how) as socket:
        assert socket.subprotocol == (None if by == "header" else "realtime")
        created, conversation = receive(socket, "conversation.created")
        session = {
            "modalities": ["text", "audio"], "voice": "tone", "input_audio_format": "g711_ulaw",
            "output_audio_format": "g711_alaw", "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 400},
            "max_response_output_tokens": 200,
        }  # fmt: skip
        socket.send(json.dumps({"type": "session.update", "session": session}))
        shown = receive(socket, "session.updated")[-1]["session"]
        wave = coded("pcm_mulaw", sound(1.0, 8_000))
        for at in range(0, len(wave), 800):
            audio = base64.b64encode(wave[at : at + 800]).decode()
            socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        events = receive(socket, "response.done")
    assert created["session"]["modalities"] == ["text", "audio"]
    assert conversation["conversation"]["object"] == "realtime.conversation"
    assert {name: shown[name] for name in session if name not in ("turn_detection", "input_audio_transcription")} == {
        name: value for name, value in session.items() if name not in ("turn_detection", "input_audio_transcription")
    }
    kinds = [event["type"] for event in events]
    assert "conversation.item.created" in kinds
    assert not [kind for kind in kinds if "output_audio" in kind or kind == "conversation.item.added"]
    response = events[-1]["response"]
    assert response["modalities"] == ["text", "audio"]
    assert response["output"][0]["content"] == [{"type": "audio", "transcript": REPLY}]
    assert talk.asked(prompt)["max_tokens"] == 200
    wave = wave_of(events)
    assert abs(len(wave) - samples_of(talk, response)) <= 8
    assert abs(pitch(decoded("pcm_alaw", wave), 8_000) - tone_frequency(REPLY)) < 3


@pytest.mark.parametrize("wave", [{"type": "audio/pcmu"}, {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 8_000}])
def test_any_format_both_ways(talk: Talk, wave: dict[str, Any]) -> None:
    name = {"audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}.get(wave["type"])
    prompt = talk.script(Attempt(say(REPLY)))
    talk.ears.will_hear(prompt)
    with talking(talk.system.url()) as talker:
        session = talker.configure(audio={"input": {"format": wave}, "output": {"format": wave}})
        assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == wave
        samples = sound(1.0, 8_000)
        talker.append(coded(name, samples) if name else np.round(samples * 32_767).astype("<i2").tobytes(), piece=801)
        events = talker.until("response.done")
    assert text(events[-1]["response"]) == REPLY
    got = wave_of(events)
    heard = decoded(name, got) if name else np.frombuffer(got, "<i2").astype(np.float32) / np.float32(32_768)
    assert abs(heard.size - samples_of(talk, events[-1]["response"])) <= 8
    assert abs(pitch(heard, 8_000) - tone_frequency(REPLY)) < 3
    assert abs(float(np.sqrt(np.mean(np.square(heard[:7_200])))) - 0.25 / np.sqrt(2)) < 0.01


@pytest.mark.parametrize("rate", [11_025, 44_100, 48_000])
def test_sound_of_any_rate_is_heard_where_it_was_said(talk: Talk, rate: int) -> None:
    prompt = talk.script(Attempt(say(REPLY)))
    talk.ears.will_hear(prompt)
    count = len(talk.ears.heard)
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"format": {"type": "audio/pcm", "rate": rate}}})
        quiet = np.zeros(2 * rate, np.float32)
        samples = np.concatenate([0.001 * sine(2.0, rate), sound(1.0, rate), quiet])
        talker.append(np.round(samples * 32_767).astype("<i2").tobytes(), piece=1_001)
        assert text(talker.done()) == REPLY
    [order] = talk.ears.heard[count:]
    assert abs(order.start - 1_850) < 200
    assert abs(order.end - 3_100) < 200
