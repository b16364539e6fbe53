"""What the official client is sent of a real model is understood as well as the model's own sentences."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import jiwer
import numpy as np
import openai
import pytest
from pulling import pull
from streams import Floats, heard

from contracts import text
from contracts.adapters import Address
from contracts.codec import decode_chunk
from load_tests.system import System, system
from producer_api.audio.encoders import AudioFormat
from producer_api.audio.libav import RATE
from workers.engine import UnitRequest
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore
from workers.tts.render import SpeechRenderer

MODEL, EARS = "kokoro-onnx", "whisper-base"
VOICE = "af_heart"
"""`marin` is this one under OpenAI's name."""
STORY = """The river was still frozen when we arrived in March. Nobody knew how long the journey would take, so we
packed bread, candles, and every blanket in the house. My brother walked ahead with the lantern, and I could hear him
singing long after I had lost sight of him. By noon the wind had turned to the south, and by evening the ice began to
move. We slept in a barn that night, and in the morning the water was as wide as a lake."""

pytestmark = [
    pytest.mark.timeout(600),
    # SWIG types of a dependency of faster-whisper
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def models() -> ModelStore:
    pull(MODEL, EARS)
    return ModelStore(ModelSettings().model_dir)


@pytest.fixture(scope="module")
def running(models: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory: Path = tmp_path_factory.mktemp("understood")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.worker(MODEL)
        running.wait_for_workers(1)
        yield running


@pytest.fixture(scope="module")
def whisper(models: ModelStore) -> Any:
    faster_whisper = pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    return faster_whisper.WhisperModel(str(models.path(EARS)), device="cpu", compute_type="int8", local_files_only=True)


@pytest.fixture(scope="module")
def alone(models: ModelStore, whisper: Any) -> float:
    """Word error rate of the units as the model renders them, with nothing of ours around it."""
    from workers.tts.engines.kokoro_onnx import KokoroOnnx

    engine = KokoroOnnx(models.path(MODEL))
    engine.load()
    renderer = SpeechRenderer(engine, slots=1)
    recipe = {"voice": VOICE, "language": "en-US", "speed": 1.0}
    units = text.split_units(text.normalise(STORY), "en-US")
    rendered = [
        renderer.render(UnitRequest(n, unit, recipe, alone=True), threading.Event()) for n, unit in enumerate(units)
    ]
    return errors(whisper, np.concatenate([decode_chunk(output.body) for output in rendered]).astype(np.float64))


def errors(whisper: Any, samples: Floats) -> float:
    """Word error rate of what Whisper hears in it."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate = RATE
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    found, _ = whisper.transcribe(np.concatenate(parts), language="en", condition_on_previous_text=False)
    return float(jiwer.wer(words(STORY), words(" ".join(segment.text for segment in found))))


def words(said: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", said.lower()).split())


@pytest.mark.parametrize("fmt", ["mp3", "aac"])
def test_the_stream_is_understood_as_well_as_the_model_alone(
    running: System, whisper: Any, alone: float, fmt: AudioFormat
) -> None:
    with (
        openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="marin", input=STORY, response_format=fmt
        ) as answer,
    ):
        stream = b"".join(answer.iter_bytes())
    wer = errors(whisper, heard(fmt, stream))
    assert wer <= alone + 0.02
