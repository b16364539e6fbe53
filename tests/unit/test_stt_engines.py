"""The engine that needs no model, the renderer around any engine, the language of a file, and what is refused."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import sine, wav

from contracts.errors import BadAudio, BadInput, EngineStopped, Misconfigured, ModelMissing, UnitFailed
from workers.engine import EngineInfo, UnitRequest
from workers.stt.codec import decode_piece, encode_piece
from workers.stt.engines import make_engine
from workers.stt.engines.echo import Echo, echo_text
from workers.stt.hearing import Heard, HearOptions, Samples, Segment, Word
from workers.stt.render import Cutting, TranscriptRenderer, build
from workers.stt.settings import HearingSettings

NEVER = threading.Event()
ECHO = {"engine": "echo", "slots": 2, "max_s": 3_600.0, "tone": "", "echo_xrt": None, "echo_poison": ""}
UNIT = json.dumps({"start": 5_000, "end": 7_000, "language": "fr"})


def request(body: bytes, text: str = UNIT, **recipe: Any) -> UnitRequest:
    return UnitRequest(4, text, recipe, alone=False, body=body)


class Linguist(Echo):
    """Hears the languages it was told to, and keeps what it was asked."""

    def __init__(self, *guesses: tuple[str, float]) -> None:
        super().__init__()
        self._guesses = list(guesses)
        self.asked: list[HearOptions] = []

    def check(self, language: str | None, task: str) -> None:
        if task == "translate":
            raise BadInput("no translation", field="task")

    def detect_language(self, samples: Samples) -> tuple[str, float]:
        return self._guesses.pop(0)

    def transcribe(self, samples: Samples, options: HearOptions, stop: threading.Event) -> Heard:
        self.asked.append(options)
        segment = Segment(100, 9_000, "So.", -0.123456, 0.01, 1.0, 0.2)
        return Heard("So.", options.language, (segment,), (Word(100, 400, " So.", 0.98765),) if options.words else ())


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Four times 5 s of sound and 4 s of silence."""
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(np.concatenate([sine(5.0), np.zeros(64_000, np.float32)] * 4)))
    return path


# --- the table ---


def test_engines_by_name() -> None:
    with pytest.raises(Misconfigured, match="faster-whisper, echo"):
        make_engine("dictaphone", {})
    sys.modules.pop("workers.stt.engines.faster_whisper", None)
    assert make_engine("echo", ECHO).devices() == ("cpu", "cpu")
    assert "workers.stt.engines.faster_whisper" not in sys.modules


def test_settings_are_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTLINE_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("CASTLINE_STT_SLOTS", "3")
    options = HearingSettings().options()
    assert json.loads(json.dumps(options)) == options
    assert (options["engine"], options["slots"], options["max_s"]) == ("faster-whisper", 3, 86_400.0)
    assert options["model_dir"] == str(tmp_path / "whisper-base")
    monkeypatch.setenv("CASTLINE_STT_MODEL", "whisper-tiny.en")
    assert HearingSettings().options()["model_dir"] == str(tmp_path / "whisper-tiny.en")


def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    options = {**HearingSettings().options(), "model_dir": str(tmp_path / "whisper-base")}
    with pytest.raises(ModelMissing, match="castline models pull whisper-base"):
        build(options).load()


# --- echo ---


def test_echo_is_its_samples() -> None:
    engine = Echo()
    heard = engine.transcribe(sine(2.0), HearOptions("en", words=True), NEVER)
    assert heard.text == echo_text(sine(2.0))
    assert heard.text.startswith("2000 ms ")
    assert heard.text != echo_text(sine(2.0, hz=441))
    assert "".join(word.word for word in heard.words).strip() == heard.text
    assert (heard.words[0].start_ms, heard.words[-1].end_ms) == (0, 2_000)


def test_echo_takes_its_time_and_can_be_stopped() -> None:
    started = time.monotonic()
    Echo(xrt=20).transcribe(sine(4.0), HearOptions("en"), NEVER)
    assert time.monotonic() - started >= 0.2
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(EngineStopped):
        Echo(xrt=0.01).transcribe(sine(4.0), HearOptions("en"), stop)


def test_echo_dies_of_its_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort() -> None:
        raise SystemExit(6)

    monkeypatch.setattr("workers.stt.engines.echo.os.abort", abort)
    with pytest.raises(SystemExit):
        Echo(poison="arsenic").transcribe(sine(1.0), HearOptions("en", prompt="with arsenic inside"), NEVER)
    with pytest.raises(SystemExit):
        Echo(poison=echo_text(sine(1.0)).split()[-1]).transcribe(sine(1.0), HearOptions("en"), NEVER)
    Echo(poison="arsenic").transcribe(sine(1.0), HearOptions("en", prompt="old lace"), NEVER)


# --- a file becomes pieces ---


def test_pieces_are_what_is_heard(talk: Path) -> None:
    renderer = build(ECHO)
    assert renderer.load() == EngineInfo("echo", "echo", "cpu", "cpu", (), 2, 10_000.0)
    cutting = renderer.cut(talk, {}, NEVER)
    made = list(cutting)
    assert len(made) == 4
    assert cutting.duration_ms == 36_000
    assert cutting.language == "en"
    for n, piece in enumerate(made):
        assert piece.start_ms == pytest.approx(9_000 * n, abs=250)
        assert piece.end_ms == pytest.approx(9_000 * n + 5_000, abs=250)
        output = renderer.render(request(piece.body, piece.text), NEVER)
        assert output.headers["t"] == echo_text(decode_piece(piece.body))
        assert (output.headers["start"], output.headers["end"]) == (piece.start_ms, piece.end_ms)
        assert output.duration_ms == piece.end_ms - piece.start_ms


def test_silence_has_a_duration_and_no_language(tmp_path: Path) -> None:
    (tmp_path / "silence.wav").write_bytes(wav(np.zeros(160_000, np.float32)))
    cutting = build(ECHO).cut(tmp_path / "silence.wav", {}, NEVER)
    assert list(cutting) == []
    assert (cutting.duration_ms, cutting.language) == (10_000, None)


def test_cutting_can_be_stopped_and_fails_clearly(talk: Path) -> None:
    stop = threading.Event()
    cutting = build(ECHO).cut(talk, {}, stop)
    next(cutting)
    stop.set()
    with pytest.raises(EngineStopped):
        list(cutting)
    with pytest.raises(BadAudio, match="longer"):
        list(build({**ECHO, "max_s": 20.0}).cut(talk, {}, NEVER))


@pytest.mark.parametrize(
    ("guesses", "language"),
    [
        ([("de", 0.9)], "de"),
        ([("de", 0.3), ("nl", 0.8)], "nl"),
        ([("de", 0.3), ("nl", 0.4), ("de", 0.2)], "de"),
    ],
)
def test_the_language_is_detected_once(talk: Path, guesses: list[tuple[str, float]], language: str) -> None:
    cutting = TranscriptRenderer(Linguist(*guesses), 1, 3_600.0).cut(talk, {}, NEVER)
    assert {piece.language for piece in cutting} == {language}
    assert cutting.language == language


def test_a_short_file_of_unsure_language(tmp_path: Path) -> None:
    (tmp_path / "word.wav").write_bytes(wav(sine(1.0)))
    cutting = TranscriptRenderer(Linguist(("cy", 0.2)), 1, 3_600.0).cut(tmp_path / "word.wav", {}, NEVER)
    assert [piece.language for piece in cutting] == ["cy"]


def test_a_language_that_is_given_is_not_detected(talk: Path) -> None:
    cutting = TranscriptRenderer(Linguist(), 1, 3_600.0).cut(talk, {"language": "en-GB"}, NEVER)
    assert {piece.language for piece in cutting} == {"en"}


def test_a_task_is_checked_before_the_file_is_read(tmp_path: Path) -> None:
    for task in ("translate", "sing"):
        with pytest.raises(BadInput) as caught:
            TranscriptRenderer(Linguist(), 1, 1.0).cut(tmp_path / "none", {"task": task}, NEVER)
        assert caught.value.field == "task"


# --- a piece becomes a record ---


def test_a_record_has_the_times_of_the_file() -> None:
    engine = Linguist()
    body = encode_piece(sine(2.0))
    output = TranscriptRenderer(engine, 1, 1.0).render(request(body, words=True), NEVER)
    assert (output.type, output.body, output.duration_ms) == ("segment", b"", 2_000)
    assert output.gen_ms == output.headers["g"] >= 1
    assert output.headers == {
        "i": 4, "start": 5_000, "end": 7_000, "language": "fr", "t": "So.", "engine": "echo", "g": output.gen_ms,
        "segments": [
            {"start": 5_100, "end": 7_000, "t": "So.", "avg_logprob": -0.1235, "no_speech_prob": 0.01,
             "compression_ratio": 1.0, "temperature": 0.2}
        ],
        "words": [{"start": 5_100, "end": 5_400, "t": " So.", "p": 0.988}],
    }  # fmt: skip
    assert json.loads(json.dumps(output.headers)) == output.headers


def test_the_recipe_reaches_the_engine() -> None:
    engine = Linguist()
    renderer = TranscriptRenderer(engine, 1, 1.0)
    recipe: dict[str, Any] = {"language": "de", "prompt": "Frau Müller", "hotwords": "Müller", "temperature": 0.4}
    recipe["words"] = True
    assert "words" not in renderer.render(request(encode_piece(sine(2.0))), NEVER).headers
    renderer.render(request(encode_piece(sine(2.0)), **recipe), NEVER)
    assert engine.asked == [
        HearOptions("fr"),
        HearOptions("de", "transcribe", "Frau Müller", "Müller", temperature=0.4, words=True),
    ]


def test_a_damaged_piece_fails_the_unit() -> None:
    with pytest.raises(UnitFailed, match="not a piece"):
        build(ECHO).render(request(b"nonsense"), NEVER)


def test_cutting_is_an_iterator(talk: Path) -> None:
    cutting = build(ECHO).cut(talk, {}, NEVER)
    assert isinstance(cutting, Cutting)
    assert iter(cutting) is cutting
