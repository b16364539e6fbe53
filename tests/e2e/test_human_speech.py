"""A human's recordings through the whole system, on Redis and RabbitMQ, with a real model and the official client."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import jiwer
import numpy as np
import openai
import pytest
from pulling import pull
from sounds import recordings, wav
from websockets.sync.client import connect

from contracts.adapters import Address
from load_tests.system import System, system
from workers.stt.decode import decode

MODEL = "whisper-tiny.en"
STORY = """The river was still frozen when we arrived in March. Nobody knew how long the journey would take, so we
packed bread, candles, and every blanket in the house. My brother walked ahead with the lantern, and I could hear him
singing long after I had lost sight of him. By noon the wind had turned to the south; by evening the ice began to move.
We slept in a barn that night, and in the morning the water was as wide as a lake."""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def running(redis_url: str, amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two hearing workers of one slot, and one that speaks."""
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull(MODEL, "kokoro-onnx")
    address = Address(redis_url, amqp_url, f"human-{uuid4().hex[:8]}:")
    settings = {"CASTLINE_STT_MODEL": MODEL, "CASTLINE_STT_SLOTS": "1"}
    with system(address, tmp_path_factory.mktemp("human"), **settings) as running:
        running.front()
        for _ in range(2):
            running.hearer("faster-whisper")
        running.worker("kokoro-onnx")
        running.wait_for_workers(3)
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


@pytest.mark.parametrize("voice", ["af_heart", "bm_george"])
def test_what_a_cast_says_is_understood(running: System, voice: str) -> None:
    with httpx.Client(base_url=running.url(), timeout=120, trust_env=False) as client:
        cast = client.post("/v1/casts", json={"text": STORY, "voice": voice}).json()
        spoken = client.get(cast["links"]["audio"]["opus"]).raise_for_status().content
        made = client.post("/v1/transcripts", content=spoken).json()
        ended = client.get(f"/v1/transcripts/{made['id']}/records", params={"live": "sse"}).text
        assert "event: eos" in ended
        heard = client.get(made["links"]["text"]["txt"]).text
    assert jiwer.wer(words(STORY), words(heard)) <= 0.1


def test_what_a_human_says_now_is_heard_while_he_says_it(running: System) -> None:
    found = recordings()
    pause = np.zeros(16_000, np.float32)
    sounds = [np.concatenate([*decode(path), pause]) for path, _ in found]
    pcm = [np.round(np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes() for sound in sounds]
    texts, partials = [], []
    url = f"ws{running.url().removeprefix('http')}/v1/transcripts/live"
    with connect(url, proxy=None) as socket:
        socket.send(pcm[0][: 2 * 16_000 * 4])
        while (message := json.loads(socket.recv(60)))["e"] != "partial":
            assert message["e"] in ("transcript", "meta")
        partials.append(message)
        socket.send(pcm[0][2 * 16_000 * 4 :])
        for rest in pcm[1:]:
            socket.send(rest)
        socket.send('{"type": "close"}')
        for raw in socket:
            message = json.loads(raw)
            texts += [message["t"]] if message["e"] == "segment" else []
    first, said = words(found[0][1]), words(" ".join(text for _, text in found))
    begun = words(partials[0]["t"]).split()
    assert len(begun) >= 4
    assert jiwer.wer(" ".join(first.split()[: len(begun)]), " ".join(begun)) <= 0.5
    assert len(texts) >= len(found)
    assert jiwer.wer(said, words(" ".join(texts))) <= 0.15
