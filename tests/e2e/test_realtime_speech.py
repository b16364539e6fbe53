"""Real models in a chat: a human asks, Whisper hears, SmolLM2 answers, Kokoro speaks; Whisper understands it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import jiwer
import numpy as np
import openai
import pytest
from completions import write_config
from llm_server import ALIAS, smollm2
from pulling import pull
from sounds import recordings, wav
from talking import RATE, pcm16, talking, text, wave_of

from contracts.adapters import Address
from load_tests.system import System, system
from workers.stt.decode import decode

EARS, MODEL = "whisper-tiny.en", "smollm2-135m"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running(redis_url: str, amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One worker of each kind."""
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull(EARS, "kokoro-onnx")
    directory = tmp_path_factory.mktemp("chat")
    command = [sys.executable, "-m", "workers.models", "pull", MODEL, "--dir", str(directory)]
    pulled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert pulled.returncode == 0, pulled.stderr
    [weights] = (directory / MODEL).glob("*.gguf")
    address = Address(redis_url, amqp_url, f"chat-{uuid4().hex[:8]}:")
    with smollm2(weights, directory / "server.log") as url, system(address, directory) as running:
        running.front()
        upstreams = {"llama": {"url": url, "parallel": 2}}
        running.proxy(write_config(directory / "llm.yaml", upstreams, {"local": [("llama", ALIAS)]}))
        running.hearer("faster-whisper", CASTLINE_STT_MODEL=EARS, CASTLINE_STT_SLOTS="1")
        running.worker("kokoro-onnx", CASTLINE_TTS_SLOTS="1")
        running.wait_for_workers(2)
        yield running


def words(said: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", said.lower().replace("mr.", "mister")).split())


def test_a_human_is_answered_and_the_answer_is_understood(running: System) -> None:
    path, said = recordings()[0]
    question = np.concatenate([*decode(path), np.zeros(16_000, np.float32)])
    with talking(running.url(), tone=False, timing="1") as talker:
        wave = {"type": "audio/pcm", "rate": 16_000}
        talker.configure(
            instructions="Say what you think of it, in several sentences.", max_output_tokens=40,
            audio={"input": {"format": wave, "transcription": {"model": "whisper-1", "language": "en"}}},
        )  # fmt: skip
        talker.append(pcm16(question))
        heard = talker.next("conversation.item.input_audio_transcription.completed", timeout_s=120)["transcript"]
        while not talker.events or talker.events[-1]["type"] != "response.done":
            assert talker.receive(120)["type"] != "error"
        response = talker.events[-1]["response"]
        timing = talker.next("castline.timing")
    answer = np.frombuffer(wave_of(talker.events), "<i2").astype(np.float32) / np.float32(32_768)
    file = ("answer.wav", io.BytesIO(wav(answer, RATE)))
    with openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0, timeout=120) as client:
        understood = client.audio.transcriptions.create(file=file, model="whisper-1", response_format="text")
    asked_error = jiwer.wer(words(said), words(heard))
    answer_error = jiwer.cer(words(text(response)), words(understood))  # whatever it was: one word may be half of it
    sys.stdout.write(
        f"heard {heard!r} (WER {asked_error:.2f}); said {text(response)!r}, {answer.size / RATE:.1f} s; "
        f"understood {understood!r} (CER {answer_error:.2f}); {timing}\n"
    )
    assert asked_error <= 0.2
    assert response["status"] in ("completed", "incomplete")
    assert float(np.sqrt(np.mean(np.square(answer)))) > 0.01
    assert answer_error <= 0.15
