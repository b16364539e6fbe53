"""The tone of voice of human speech: as recorded, louder, quieter, faster and slower; and through a real worker."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from sounds import recordings, wav

from contracts.adapters import Address
from load_tests.system import System, system
from workers.stt.decode import decode
from workers.stt.hearing import SAMPLE_RATE, Samples
from workers.stt.prosody import Prosody, ProsodyEar, measure


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    return [np.concatenate(list(decode(path))) for path, _ in recordings()]


def louder(samples: Samples, decibels: float) -> Samples:
    made: Samples = np.clip(samples * np.float32(10 ** (decibels / 20)), -1, 1)
    return made


def faster(samples: Samples, factor: float) -> Samples:
    """At the same pitch, by libav."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono")
    tempo, sink = graph.add("atempo", str(factor)), graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray()[0])
        except av.error.EOFError:
            return np.concatenate(parts)


def measured(samples: Samples) -> Prosody:
    found = measure(samples)
    assert found is not None
    return found


def labels(pieces: list[Samples]) -> list[str]:
    return [found[0] if (found := ProsodyEar().hear(piece)) else "" for piece in pieces]


def test_gain_is_heard_as_loudness_and_as_nothing_else(spoken: list[Samples]) -> None:
    for samples in spoken:
        plain, quiet = measured(samples), measured(louder(samples, -16))
        assert quiet.level_db == pytest.approx(plain.level_db - 16, abs=0.1)
        assert (quiet.pitch_hz, quiet.spread) == (plain.pitch_hz, plain.spread)
        assert quiet.pace == pytest.approx(plain.pace, rel=0.01)
    assert labels([louder(s, 16) for s in spoken]) == ["loud"] * len(spoken)
    assert labels([louder(s, -16) for s in spoken]) == ["quiet"] * len(spoken)


def test_speed_is_heard_as_pace(spoken: list[Samples]) -> None:
    paces = {factor: [measured(faster(s, factor)).pace for s in spoken] for factor in (0.7, 1.0, 1.3, 1.6)}
    print({factor: [round(p) for p in found] for factor, found in paces.items()})  # noqa: T201  shown with a failure
    for slow, fast in zip((0.7, 1.0, 1.3), (1.0, 1.3, 1.6), strict=True):
        assert all(a < b for a, b in zip(paces[slow], paces[fast], strict=True))
    heard = {factor: labels([faster(s, factor) for s in spoken]) for factor in (0.7, 1.0, 1.6)}
    print(heard)  # noqa: T201
    assert heard[0.7].count("calm") >= 3
    assert heard[1.6].count("lively") >= 3
    assert set(heard[0.7]) <= {"calm", ""}
    assert set(heard[1.6]) <= {"lively", ""}
    assert heard[1.0] == [""] * len(spoken), "who reads aloud is neither"


def test_noise_makes_it_unsure_and_not_calm(spoken: list[Samples]) -> None:
    noise = np.random.default_rng(5)
    noisy = [(s + noise.normal(0, 10 ** (-35 / 20), s.size)).astype(np.float32) for s in spoken]
    assert labels(noisy) == [""] * len(spoken)
    assert labels([faster(s, 0.7) for s in noisy]) == [""] * len(spoken)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("tone")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.hearer(CASTLINE_STT_TONE="prosody")
        running.wait_for_workers(1)
        yield running


def segments(running: System, recording: bytes) -> list[dict[str, Any]]:
    with httpx.Client(base_url=running.url(), timeout=60, trust_env=False) as client:
        made = client.post("/v1/transcripts", params={"model": "echo"}, content=io.BytesIO(recording).read()).json()
        text = client.get(f"/v1/transcripts/{made['id']}/records", params={"live": "sse"}).text
    found = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    return [record for record in found if record["e"] == "segment"]


def test_a_worker_that_listens_for_it_says_it_with_every_piece(running: System, spoken: list[Samples]) -> None:
    [loud] = segments(running, wav(louder(spoken[1], 18)))
    assert loud["tone"]["label"] == "loud"
    assert 0.5 <= loud["tone"]["score"] <= 1
    [plain] = segments(running, wav(spoken[2]))
    assert "tone" not in plain


def test_a_worker_with_a_wrong_ear_ends_with_one_line(tmp_path: Path) -> None:
    with system(Address(f"sqlite://{tmp_path}/castline.db", ""), tmp_path) as running:
        worker = running.hearer(CASTLINE_STT_TONE=str(tmp_path / "none.onnx"))
        assert worker.popen is not None
        assert worker.popen.wait(60) == 1
        assert "CASTLINE_STT_TONE is" in worker.log.read_text().strip().splitlines()[-1]
