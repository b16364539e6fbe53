"""What hears the tone of voice: prosody of sounds that are known, and a classifier in an ONNX file made here."""

from __future__ import annotations

import json
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import voice

from contracts.errors import Misconfigured, ModelMissing
from contracts.records import SegmentHeaders
from workers.engine import UnitRequest
from workers.stt.codec import encode_piece
from workers.stt.hearing import SAMPLE_RATE, Samples
from workers.stt.prosody import ProsodyEar, measure
from workers.stt.render import TranscriptRenderer, build
from workers.stt.tone import make_tone

ECHO = {"engine": "echo", "slots": 1, "max_s": 60.0, "tone": "", "echo_xrt": None, "echo_poison": ""}
LABELS = ("angry", "happy", "sad")


# --- prosody ---


@pytest.mark.parametrize("hz", [90.0, 150.0, 220.0, 310.0])
def test_pitch_is_that_of_the_sound_and_not_an_octave_off(hz: float) -> None:
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sum([np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 12)], axis=0)
    found = measure((0.1 * sound).astype(np.float32))
    assert found is not None
    assert found.pitch_hz == pytest.approx(hz, rel=0.02)
    assert found.spread < 0.5


def test_what_moves_is_measured() -> None:
    found = measure(voice(4.0))
    assert found is not None
    assert 100 <= found.pitch_hz <= 160
    assert 6 <= found.spread <= 9, "from 100 to 160 Hz are 8 semitones"
    assert found.seconds == pytest.approx(4.0, abs=0.1)
    assert measure(0.1 * voice(4.0)).level_db == pytest.approx(found.level_db - 20, abs=0.1)  # type: ignore[union-attr]


def test_what_holds_no_voice_has_no_tone() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
    for sound in (noise, np.zeros_like(noise), noise[:0], noise[:100], voice(0.5)):
        assert ProsodyEar().hear(sound) is None


def test_loud_and_quiet_grow_with_the_distance() -> None:
    ear = ProsodyEar()
    scores = []
    for gain in (2.6, 8.0):
        label, score = ear.hear(np.clip(gain * voice(3.0), -1, 1)) or ("", 0.0)
        assert label == "loud"
        scores.append(score)
    assert 0.5 <= scores[0] < scores[1] <= 1
    assert (ear.hear(0.01 * voice(3.0)) or ("", 0))[0] == "quiet"


# --- a classifier ---


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer, all of whose sizes are below 128 or 16,384."""

    def varint(n: int) -> bytes:
        return bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, rows: list[list[float]]) -> bytes:
    """A float32 TensorProto."""
    data = b"".join(struct.pack("<f", x) for row in rows for x in row)
    dims = field(1, len(rows)) + field(1, len(rows[0]))
    return field(5, dims + field(2, 1) + field(8, name.encode()) + field(9, data))


def value(number: int, name: str, *sizes: int | str) -> bytes:
    """An input or output of float32; a size that is a text may be any."""
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size.encode())) for size in sizes)
    return field(number, field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dims))))


def node(op: str, inputs: tuple[str, ...], output: str) -> bytes:
    return field(1, b"".join(field(1, i.encode()) for i in inputs) + field(2, output.encode()) + field(4, op.encode()))


def classifier(path: Path, labels: tuple[str, ...] = LABELS) -> str:
    """logits = mean |sample| x (40, 0, -40) + (-10, 0, 10): loud is the first label, quiet the last."""
    graph = (
        node("Abs", ("samples",), "size")
        + node("ReduceMean", ("size",), "level")
        + node("MatMul", ("level", "slope"), "sloped")
        + node("Add", ("sloped", "offset"), "logits")
        + field(2, b"ears")
        + tensor("slope", [[40.0, 0.0, -40.0]])
        + tensor("offset", [[-10.0, 0.0, 10.0]])
        + value(11, "samples", 1, "n")
        + value(12, "logits", 1, 3)
    )
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13)))
    path.with_suffix(".txt").write_text("".join(f"{label}\n" for label in labels))
    return str(path)


@pytest.fixture
def onnx() -> None:
    pytest.importorskip("onnxruntime", reason="NO EARS: pip install castline[stt]")


def segment(samples: Samples, tone: str, **spoken: Any) -> SegmentHeaders:
    renderer = build({**ECHO, "tone": tone})
    renderer.load()
    order: dict[str, Any] = {"start": 0, "end": samples.size // 16, "language": "en"}
    body = encode_piece(samples)
    if spoken:
        order["spoken"] = {"blob": "b", "parts": [0], **spoken}
        body = np.round(samples * 32_767).astype("<i2").tobytes()
    request = UnitRequest(0, json.dumps(order), {}, alone=False, body=body)
    return SegmentHeaders(**renderer.render(request, threading.Event()).headers, a=1, w="w")


@pytest.mark.usefixtures("onnx")
def test_a_classifier_says_its_label(tmp_path: Path) -> None:
    path = classifier(tmp_path / "ears.onnx")
    loud, quiet = segment(np.full(32_000, 0.9, np.float32), path, interim=False), segment(0.1 * voice(2.0), path)
    assert loud.tone is not None
    assert quiet.tone is not None
    assert (loud.tone.label, quiet.tone.label) == ("angry", "sad")
    assert loud.tone.score == pytest.approx(1 / (1 + np.exp(-26) + np.exp(-52)), abs=1e-3)


@pytest.mark.usefixtures("onnx")
def test_nobody_is_told_of_a_text_for_the_moment_or_of_silence(tmp_path: Path) -> None:
    path = classifier(tmp_path / "ears.onnx")
    assert segment(voice(2.0), path, interim=True).tone is None
    assert segment(np.zeros(32_000, np.float32), path, interim=False).tone is None
    assert segment(voice(2.0), "").tone is None


@pytest.mark.usefixtures("onnx")
def test_what_can_not_be_an_ear_is_refused_in_one_line(tmp_path: Path) -> None:
    from workers.stt.engines.echo import Echo

    def line(setting: str, error: type[Exception]) -> str:
        with pytest.raises(error) as caught:
            TranscriptRenderer(Echo(), 1, 1.0, make_tone(setting)).load()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert 'is "", prosody, or an ONNX file' in line("phrenology", ModelMissing)
    path = classifier(tmp_path / "ears.onnx", ("one", "two"))
    assert "gives [1, 3] numbers" in line(path, Misconfigured)
    (tmp_path / "ears.txt").unlink()
    assert "there is no" in line(path, ModelMissing)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "bad.txt").write_text("one\n")
    assert "takes no samples" in line(str(tmp_path / "bad.onnx"), Misconfigured)


def test_prosody_is_in_the_record() -> None:
    quiet = segment(0.03 * voice(3.0), "prosody")
    assert quiet.tone is not None
    assert quiet.tone.label == "quiet"
