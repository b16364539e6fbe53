"""The engines that need no model, the renderer around any engine, and the parts of Kokoro that are no inference."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.codec import CANONICAL_RATE, decode_chunk
from contracts.errors import EngineDied, EngineError, EngineStopped, Misconfigured, ModelMissing, UnitFailed
from contracts.records import AudioHeaders
from contracts.voices import MODELS, VOICES
from workers.engine import UnitRequest
from workers.engine_process import EngineProcess
from workers.tts.engines import make_engine
from workers.tts.engines.kokoro_lean import LOUDNESS, halves, plan, second_inputs
from workers.tts.engines.kokoro_voices import MAX_TOKENS, STYLE, VoiceFolder, split_phonemes
from workers.tts.engines.tone import SECONDS_PER_CHARACTER, Tone, tone_frequency
from workers.tts.render import SpeechRenderer, build
from workers.tts.speech import SAMPLE_RATE, Samples, Speech, Word

NEVER = threading.Event()
RECIPE = {"voice": "tone", "language": "en-US", "speed": 1.0}


def options(engine: str, **changes: Any) -> dict[str, Any]:
    return {"engine": engine, "slots": 2, "device": "cpu", "model_dir": "/nowhere", "tone_xrt": None, **changes}


def request(text: str, **recipe: Any) -> UnitRequest:
    return UnitRequest(3, text, {**RECIPE, **recipe}, alone=True)


class Scripted:
    """An engine that gives what it is told to."""

    name = "scripted"
    model = "tone"
    remote = False
    quickens = True

    def __init__(self, samples: NDArray[np.float32], voices: tuple[str, ...] = ("tone",)) -> None:
        self._samples = samples
        self._voices = voices

    def load(self) -> None:
        """Nothing."""

    def devices(self) -> tuple[str, str]:
        return "cpu", "cpu"

    def voices(self) -> tuple[str, ...]:
        return self._voices

    def speak(self, text: str, **_: Any) -> Speech:
        return Speech(self._samples)


# --- the table ---


@pytest.mark.parametrize("name", ["tone", "espeak"])
def test_engines_by_name(name: str) -> None:
    engine = make_engine(name, options(name))
    assert engine.name == name
    assert engine.model in MODELS
    engine.load()
    assert set(engine.voices()) == {v.id for v in VOICES.values() if v.model == engine.model}
    assert engine.devices() == ("cpu", "cpu")


def test_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(Misconfigured, match=r"kokoro-onnx, kokoro, elevenlabs, espeak, tone"):
        make_engine("festival", {})


def test_no_engine_is_imported_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("espeak", "kokoro_torch"):
        monkeypatch.delitem(sys.modules, f"workers.tts.engines.{module}", raising=False)
    make_engine("tone", options("tone"))
    assert "workers.tts.engines.espeak" not in sys.modules
    assert "torch" not in sys.modules


# --- tone ---


def say(engine: Any, text: str, voice: str, *, speed: float = 1.0, stop: threading.Event = NEVER) -> Samples:
    samples: Samples = engine.speak(text, voice=voice, language="en-US", speed=speed, quick=False, stop=stop).samples
    return samples


def test_tone_is_its_text() -> None:
    samples = say(Tone(), "Hello there", "tone")
    assert samples.size == round(11 * SECONDS_PER_CHARACTER * SAMPLE_RATE)
    peak = int(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(samples.size)))))
    assert peak * SAMPLE_RATE / samples.size == pytest.approx(tone_frequency("Hello there"), abs=2)
    assert np.array_equal(samples, say(Tone(), "Hello there ", "tone"))
    assert tone_frequency("Hello there") != tone_frequency("Hello there!")
    assert say(Tone(), "Hello there", "tone", speed=2.0).size == samples.size // 2


@pytest.mark.parametrize(("name", "voice"), [("tone", "tone"), ("espeak", "espeak-en-us")])
def test_words_and_pauses_are_in_the_record(name: str, voice: str) -> None:
    renderer = build(options(name))
    renderer.load()
    text = "[pause:400ms]It cost $5, my [friend](/fɹˈɛnd/)! [pause:1s] Did it?"
    headers = renderer.render(request(text, voice=voice), NEVER).headers
    assert headers["t"] == "It cost $5, my friend! Did it?"
    found = headers["words"]
    assert [w["w"] for w in found][-2:] == ["Did", "it"]
    assert [w["w"] for w in found][:2] == ["It", "cost"]
    at = 0
    for word in found:
        at = headers["t"].index(word["w"], at) + len(word["w"])
    assert 400 <= found[0]["s"] <= 600
    assert (
        found[-2]["s"] - next(w for w in found if w["w"] == "friend")["e"] >= 900
    )  # the last one decays into the pause
    edges = [edge for w in found for edge in (w["s"], w["e"])]
    assert edges == sorted(edges)
    assert edges[-1] <= headers["d"]


def test_pauses_of_a_unit_are_bounded() -> None:
    renderer = build(options("tone"))
    output = renderer.render(request("a [pause:9s] b [pause:9s] c [pause:99s] d"), NEVER)
    assert 10_000 <= output.duration_ms <= 11_000


def test_tone_takes_its_time_and_can_be_stopped() -> None:
    started = time.monotonic()
    say(Tone(xrt=10), "x" * 50, "tone")
    assert time.monotonic() - started >= 0.29
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(EngineStopped):
        say(Tone(xrt=0.01), "x" * 50, "tone", stop=stop)


# --- espeak ---


def test_espeak_speaks_at_the_canonical_rate() -> None:
    engine = make_engine("espeak", {})
    engine.load()
    samples = say(engine, "The quick brown fox jumps over the lazy dog.", "espeak-en-us")
    assert 2.0 < samples.size / SAMPLE_RATE < 4.5
    assert 0.1 < float(np.abs(samples).max()) <= 1.0
    assert say(engine, "The quick brown fox jumps over the lazy dog.", "espeak-en-us", speed=2.0).size < samples.size
    assert say(engine, "...", "espeak-en-us").size == 0


def test_resampling_keeps_length_and_pitch() -> None:
    from workers.tts.engines.espeak import to_canonical_rate

    wave = (12_000 * np.sin(2 * np.pi * 1_000 * np.arange(22_050) / 22_050)).astype(np.int16)
    made = to_canonical_rate(wave, 22_050)
    assert made.size == SAMPLE_RATE
    ideal = 12_000 / 32_768 * np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    error = made[2_400:-2_400] - ideal[2_400:-2_400]
    assert float(np.sqrt(np.mean(error**2))) < 1e-3
    assert to_canonical_rate(np.empty(0, np.int16), 22_050).size == 0


def test_espeak_refuses_what_it_can_not() -> None:
    engine = make_engine("espeak", {})
    engine.load()
    with pytest.raises(UnitFailed, match="af_heart"):
        say(engine, "text", "af_heart")
    stop = threading.Event()
    stop.set()
    with pytest.raises(EngineStopped):
        say(engine, "text " * 500, "espeak-en-us", stop=stop)


# --- the renderer ---


@pytest.mark.parametrize(("name", "voice"), [("tone", "tone"), ("espeak", "espeak-en-us")])
def test_render_makes_an_audio_record(name: str, voice: str) -> None:
    renderer = build(options(name))
    info = renderer.load()
    assert (info.name, info.slots, info.device_active) == (name, 2, "cpu")
    assert info.probe_xrt > 1
    output = renderer.render(request("Hello there. ", voice=voice), NEVER)
    assert output.type == "audio"
    headers = AudioHeaders(**output.headers, a=1, w="worker")
    assert (headers.i, headers.t, headers.engine) == (3, "Hello there.", name)
    samples = decode_chunk(output.body)
    assert samples.size == headers.n
    assert headers.d == output.duration_ms == round(1000 * headers.n / CANONICAL_RATE)
    assert headers.g == output.gen_ms >= 1


def test_a_unit_without_speech_is_a_short_silence() -> None:
    renderer = SpeechRenderer(Scripted(np.empty(0, np.float32)), slots=1)
    output = renderer.render(request("..."), NEVER)
    assert output.duration_ms == 200
    assert float(np.abs(decode_chunk(output.body)).max()) < 1e-3


@pytest.mark.parametrize(
    "samples", [np.zeros(9_000), np.array([0.1, math.nan, 0.1]), np.array([0.1, math.inf])], ids=["zeros", "nan", "inf"]
)
def test_broken_output_fails_the_unit(samples: NDArray[np.float64]) -> None:
    with pytest.raises(UnitFailed, match="the model made"):
        SpeechRenderer(Scripted(samples.astype(np.float32)), slots=1).render(request("text"), NEVER)


def test_an_engine_that_speaks_too_short_does_not_start() -> None:
    with pytest.raises(EngineError, match="the probe lasts"):
        SpeechRenderer(Scripted(np.full(48_000, 0.1, np.float32)), slots=1).load()
    with pytest.raises(EngineError, match="no voice"):
        SpeechRenderer(Scripted(np.full(48_000, 0.1, np.float32), voices=()), slots=1).load()


REFUSES = """
from contracts.errors import BadInput
from workers.tts.engines.tone import Tone
from workers.tts.render import SpeechRenderer


class Choosy(Tone):
    def speak(self, text, **options):
        if text == "no":
            raise BadInput("This engine does not say no.")
        return super().speak(text, **options)


def build(options):
    return SpeechRenderer(Choosy(), slots=1)
"""


async def test_what_an_engine_refuses_is_a_failed_unit_and_the_engine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "choosy.py").write_text(REFUSES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    engine = EngineProcess("choosy:build", {}, 60)
    try:
        await engine.start()
        with pytest.raises(UnitFailed, match="does not say no"):
            await engine.render(request("no"), asyncio.Event())
        assert (await engine.render(request("yes"), asyncio.Event())).type == "audio"
        assert engine.starts == 1
    finally:
        await engine.close()


DIES = """
import os
from workers.engine import EngineInfo

class Dies:
    def load(self):
        return EngineInfo("dies", "", "cpu", "cpu", (), 2, 1.0)

    def render(self, request, stop):
        if request.text == "die":
            os._exit(1)
        stop.wait()

def build(options):
    return Dies()
"""


async def test_a_unit_knows_whether_others_were_in_the_engine_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    engine = EngineProcess("dies:build", {}, 60)
    try:
        await engine.start()
        both = [engine.render(request(text), asyncio.Event()) for text in ("wait", "die")]
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(first, EngineDied)
        assert isinstance(second, EngineDied)
        assert (first.beside, second.beside) == (1, 1)
        with pytest.raises(EngineDied) as alone:
            await engine.render(request("die"), asyncio.Event())
        assert alone.value.beside == 0
    finally:
        await engine.close()


def test_pause_follows_the_speed() -> None:
    renderer = build(options("tone"))
    slow = renderer.render(request("Hello.", speed=0.5), NEVER)
    assert slow.duration_ms == pytest.approx(2 * 6 * 60 + 2 * 280, abs=40)


# --- kokoro, without its model ---


def test_missing_models_say_what_to_do(tmp_path: Path) -> None:
    for name in ("kokoro-onnx", "kokoro"):
        with pytest.raises(ModelMissing, match="castline models pull"):
            make_engine(name, options(name, model_dir=str(tmp_path))).load()


def voice_file(folder: Path, name: str, value: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.full((MAX_TOKENS, STYLE), value, "<f4").tofile(folder / f"{name}.bin")


def test_voices_and_mixes(tmp_path: Path) -> None:
    voice_file(tmp_path, "af_heart", 1.0)
    voice_file(tmp_path, "af_sky", 4.0)
    (tmp_path / "am_adam.bin").write_bytes(b"cut off")
    (tmp_path / "stranger.bin").write_bytes(b"")
    folder = VoiceFolder(tmp_path)
    assert folder.names == ("af_heart", "af_sky")
    assert folder.style("af_heart(2)+af_sky(1)") == pytest.approx(np.full((MAX_TOKENS, STYLE), 2.0))
    with pytest.raises(UnitFailed, match="am_adam"):
        folder.style("am_adam")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab ,.", max_size=2_000))
def test_long_phonemes_are_split_without_loss(spelled: str) -> None:
    parts = split_phonemes(spelled)
    assert all(0 < len(part) <= MAX_TOKENS for part in parts)
    assert "".join(parts).replace(" ", "") == spelled.replace(" ", "")


def test_long_phonemes_are_split_at_the_last_mark() -> None:
    spelled = "a" * 300 + ". " + "b" * 100 + ", " + "c c" * 100
    assert split_phonemes(spelled)[0] == "a" * 300 + ". " + "b" * 100 + ","


def test_plan_leaves_out_silence_and_accounts_for_it() -> None:
    loudness = np.full(160, -9.5, np.float32)
    loudness[30:110] = 7.0
    chosen = plan(loudness)
    assert chosen.frames.tolist() == [0, 1, *range(12, 59), 78, 79]
    assert chosen.weights.sum() == pytest.approx(80)
    assert chosen.weights[[1, 2]].tolist() == [6.0, 6.0]
    features = np.arange(80, dtype=np.float32).reshape(1, 1, 80)
    inputs = second_inputs(features, loudness[np.newaxis], loudness[np.newaxis], chosen)
    assert inputs[LOUDNESS].shape == (1, 2 * chosen.frames.size)
    assert inputs["weights_120"].shape == (120 * chosen.frames.size + 1, 1)
    assert all(float(inputs[f"weights_{rate}"].sum()) == pytest.approx(1, abs=1e-4) for rate in (1, 2, 20, 120))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-12, 10, width=32), min_size=1, max_size=60))
def test_plan_never_drops_sound(frames: list[float]) -> None:
    loudness = np.repeat(np.array(frames, np.float32), 2)
    chosen = plan(loudness)
    audible = np.flatnonzero(loudness > loudness.max() - 14) // 2
    assert set(range(int(audible[0]), int(audible[-1]) + 1)) <= set(chosen.frames.tolist())
    assert chosen.weights.sum() == pytest.approx(len(frames))
    assert (np.diff(chosen.frames) > 0).all()


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 20])
def test_damaged_models_are_value_errors(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ONNX model|cut off"):
        halves(data)


# --- kokoro on torch: the adapter's own logic, on fakes of `torch` and `kokoro`; no weights are on this machine ---


class FakeTensor:
    def __init__(self, array: NDArray[np.float32]) -> None:
        self.array = array

    def to(self, device: str) -> FakeTensor:
        return self

    def __getitem__(self, rows: slice) -> FakeTensor:
        return FakeTensor(self.array[rows])

    def detach(self) -> FakeTensor:
        return self

    cpu = detach

    def numpy(self) -> NDArray[np.float32]:
        return self.array


class FakeModel:
    vocab = dict.fromkeys("hˈələOwɜɹd ,.!", 1)

    def __init__(self, config: str, model: str) -> None:
        self.paths = (config, model)
        self.heard: list[tuple[str, tuple[int, ...], float]] = []

    def to(self, device: str) -> FakeModel:
        return self

    def eval(self) -> FakeModel:
        return self

    def __call__(self, spelled: str, style: FakeTensor, speed: float, *, return_output: bool) -> SimpleNamespace:
        assert return_output
        self.heard.append((spelled, style.array.shape, speed))
        if speed > 3:
            raise RuntimeError("CUDA out of memory")
        frames = np.ones(len(spelled) + 2, np.float32)
        return SimpleNamespace(
            audio=FakeTensor(np.full(600 * frames.size, 0.2, np.float32)), pred_dur=FakeTensor(frames)
        )


@pytest.fixture
def torch_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("espeakng_loader")
    for name in ("kokoro-v1_0.pth", "config.json"):
        (tmp_path / name).write_bytes(b"x")
    voice_file(tmp_path / "voices", "af_heart", 1.0)
    torch, kokoro = ModuleType("torch"), ModuleType("kokoro")
    vars(torch).update(
        cuda=SimpleNamespace(is_available=lambda: False),
        from_numpy=FakeTensor,
        inference_mode=threading.Lock,
    )
    vars(kokoro).update(KModel=FakeModel)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "kokoro", kokoro)
    engine = make_engine("kokoro", options("kokoro", model_dir=str(tmp_path), device="cuda"))
    engine.load()
    return engine


def test_torch_engine_speaks_through_the_package(torch_engine: Any) -> None:
    assert torch_engine.devices() == ("cuda", "cpu")
    assert torch_engine.voices() == ("af_heart",)
    speech = torch_engine.speak("Hello world!", voice="af_heart", language="en-US", speed=1.0, quick=False, stop=NEVER)
    assert speech.samples.size == 600 * (len("həlˈO wˈɜɹld!") + 2)
    assert speech.words == (Word("Hello", 600, 3_600), Word("world", 4_200, 7_800))
    spelled, style, speed = torch_engine._model.heard[0]
    assert (spelled, style, speed) == ("həlˈO wˈɜɹld!", (1, STYLE), 1.0)
    assert torch_engine._model.paths[0].endswith("config.json")
    assert say(torch_engine, "…", "af_heart").size == 0


def test_torch_engine_fails_and_stops(torch_engine: Any) -> None:
    with pytest.raises(UnitFailed, match="out of memory"):
        say(torch_engine, "Hello world!", "af_heart", speed=4.0)
    stop = threading.Event()
    stop.set()
    with pytest.raises(EngineStopped):
        say(torch_engine, "Hello world!", "af_heart", stop=stop)


def test_torch_engine_knows_its_devices() -> None:
    with pytest.raises(Misconfigured, match="mps"):
        make_engine("kokoro", options("kokoro", device="abacus"))
