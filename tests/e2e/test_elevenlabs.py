"""A real worker process with the engine that speaks in another's cloud, on real casts; the cloud is tones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
import pytest
from elevenlabs_server import KEY, NOT_HERE, PER_CHARACTER, ElevenLabsServer, elevenlabs

from contracts.adapters import Address
from load_tests.services import wait_until
from load_tests.system import System, system
from workers.tts.engines.elevenlabs import VOICE_IDS
from workers.tts.engines.tone import tone_frequency
from workers.tts.speech import SAMPLE_RATE

STORY = "The keeper lit the lamp. Nobody had come that way for years! Would anyone come now?"


@pytest.fixture(scope="module")
def server() -> Iterator[ElevenLabsServer]:
    with elevenlabs() as served:
        yield served


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path, server: ElevenLabsServer) -> Iterator[System]:
    settings = {"CASTLINE_ELEVENLABS_KEY": KEY, "CASTLINE_ELEVENLABS_URL": server.url}
    with system(each_store, directory, **settings) as running:
        running.front()
        before = len(server.spoken)
        running.worker("elevenlabs")
        running.wait_for_workers(1)
        assert len(server.spoken) == before, "a start costs nothing"
        yield running


@pytest.fixture
def client(running: System, server: ElevenLabsServer) -> Iterator[httpx.Client]:
    server.spoken.clear()
    server.aborted = 0
    with httpx.Client(base_url=running.url(), timeout=60, trust_env=False) as client:
        yield client


def records(client: httpx.Client, cast: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them, once it has ended."""
    text = client.get(f"/v1/casts/{cast['id']}/records", params={"live": "sse"}).text
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines]


def test_a_cast_is_spoken_with_its_words(running: System, server: ElevenLabsServer, client: httpx.Client) -> None:
    text = f"{STORY} {uuid4().hex}."
    cast = client.post("/v1/casts", json={"text": text, "voice": "eleven-george"}).raise_for_status().json()
    meta, *audio, eos = records(client, cast)
    assert (meta["model"], meta["voice"], meta["language"]) == ("elevenlabs", "eleven-george", "en-GB")
    assert (eos["e"], eos["skipped"]) == ("eos", 0)
    assert {record["engine"] for record in audio} == {"elevenlabs"}
    assert " ".join(record["t"].strip() for record in audio) == text
    assert sorted(said["text"] for said in server.spoken) == sorted(record["t"] for record in audio)
    assert {said["voice"] for said in server.spoken} == {VOICE_IDS["eleven-george"]}
    for record in audio:
        assert abs(record["d"] - 60 * len(record["t"])) <= 400  # the pause behind it is ours
        for word in record["words"]:
            assert abs(word["s"] - 60 * record["t"].index(word["w"])) <= 100
    sound = np.frombuffer(client.get(cast["links"]["audio"]["wav"]).content[44:], "<i2").astype(np.float64)
    first = sound[2 * PER_CHARACTER : 12 * PER_CHARACTER]
    peak = int(np.argmax(np.abs(np.fft.rfft(first * np.hanning(first.size))))) * SAMPLE_RATE / first.size
    assert abs(peak - tone_frequency(audio[0]["t"])) < 5


def test_what_breaks_off_is_spoken_again_by_the_shell_and_what_is_too_much_waits(
    server: ElevenLabsServer, client: httpx.Client
) -> None:
    server.plan.extend(["die", 429, 503])
    cast = client.post("/v1/casts", json={"text": f"Once more {uuid4().hex}.", "voice": "eleven-sarah"}).json()
    _, audio, eos = records(client, cast)
    assert (audio["e"], audio["a"], eos["e"]) == ("audio", 2, "eos")
    assert len(server.spoken) == 4


def test_a_cancelled_cast_ends_the_request(server: ElevenLabsServer, client: httpx.Client) -> None:
    server.plan.append("slow")
    cast = client.post("/v1/casts", json={"text": f"Slowly {uuid4().hex}.", "voice": "eleven-sarah"}).json()
    wait_until(lambda: bool(server.spoken), 30, "the request")
    client.delete(f"/v1/casts/{cast['id']}").raise_for_status()
    wait_until(lambda: server.aborted == 1, 30, "the end of the request")
    assert len(server.spoken) == 1


def test_voices_are_available_that_the_account_has(client: httpx.Client) -> None:
    voices = client.get("/v1/voices").json()["voices"]
    here = {v["id"] for v in voices if v["available"]}
    assert here == VOICE_IDS.keys() - {NOT_HERE}


def test_the_key_is_seen_nowhere(running: System, client: httpx.Client) -> None:
    worker = running.workers[0]
    process = psutil.Process(worker.pid)
    commands = [" ".join(one.cmdline()) for one in (process, *process.children(recursive=True))]
    assert any("workers.tts.render:build" in command for command in commands)
    assert KEY not in " ".join(commands)
    cast = client.post("/v1/casts", json={"text": f"No key {uuid4().hex}.", "voice": "eleven-sarah"}).json()
    assert KEY not in json.dumps(records(client, cast))
    for process_log in (*running.fronts, *running.workers):
        assert KEY not in process_log.log.read_text()


def test_a_wrong_key_is_one_line_and_an_exit(tmp_path: Path, server: ElevenLabsServer) -> None:
    environment = {
        **os.environ, "CASTLINE_STORE": f"sqlite://{tmp_path}/castline.db", "CASTLINE_BROKER": "",
        "CASTLINE_TTS_ENGINE": "elevenlabs", "CASTLINE_ELEVENLABS_URL": server.url,
        "CASTLINE_ELEVENLABS_KEY": "sk_no_such_key",
    }  # fmt: skip
    command = [sys.executable, "-m", "workers.tts"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("worker of pool")
    assert "ElevenLabs says 401 invalid_api_key" in last
    assert "sk_no_such_key" not in ended.stderr + ended.stdout
