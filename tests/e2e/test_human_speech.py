"""A human's recordings through the whole system, on Redis and RabbitMQ, with a real model and the official client."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import jiwer
import numpy as np
import openai
import pytest
from sounds import recordings, wav

from contracts.adapters import Address
from load_tests.system import System, system
from workers.stt.decode import decode

MODEL = "whisper-tiny.en"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running(redis_url: str, amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two hearing workers of one slot."""
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pulled = subprocess.run([sys.executable, "-m", "workers.models", "pull", MODEL], check=False, capture_output=True)
    if pulled.returncode:
        why = f"NOT TESTED: {MODEL} is not to be had: {pulled.stderr.decode()}"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    address = Address(redis_url, amqp_url, f"human-{uuid4().hex[:8]}:")
    settings = {"CASTLINE_STT_MODEL": MODEL, "CASTLINE_STT_SLOTS": "1"}
    with system(address, tmp_path_factory.mktemp("human"), **settings) as running:
        running.front()
        for _ in range(2):
            running.hearer("faster-whisper")
        running.wait_for_workers(2)
        yield running


def words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower().replace("mr.", "mister")).split())


def test_what_a_human_said_is_heard(running: System) -> None:
    found = recordings()
    pause = np.zeros(8_000, np.float32)
    sound = np.concatenate([np.concatenate([*decode(path), pause]) for path, _ in found])
    with openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client:
        made = client.audio.transcriptions.create(
            file=("five.wav", io.BytesIO(wav(sound))), model="whisper-1", response_format="verbose_json",
            timestamp_granularities=["word"],
        )  # fmt: skip
    said = words(" ".join(text for _, text in found))
    assert jiwer.wer(said, words(made.text)) <= 0.15
    assert made.language == "en"
    assert made.words
    starts = [word.start for word in made.words]
    assert starts == sorted(starts)
    assert 0 < starts[0] < starts[-1] < sound.size / 16_000


def test_any_container_gives_the_same_words(running: System, tmp_path: Path) -> None:
    import av

    path, text = recordings()[0]
    other = tmp_path / "speech.mp3"
    with av.open(str(path)) as given, av.open(str(other), "w") as made:
        stream = made.add_stream("libmp3lame", rate=16_000)
        for frame in given.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    with openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client:
        heard = client.audio.transcriptions.create(file=other, model="whisper-1", response_format="text")
    assert jiwer.wer(words(text), words(heard)) <= 0.2
