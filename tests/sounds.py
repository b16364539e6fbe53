"""Sounds for tests: synthetic files of any container, and recordings of human speech with their texts."""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from load_tests.services import install

RECORDINGS = Path("/usr/share/pocketsphinx/test/data/librivox")
PACKAGE = "pocketsphinx-testdata"


def recordings() -> list[tuple[Path, str]]:
    """Five sentences read by a human, 24.7 s, 16 kHz: (file, text). Installs the Debian package where it may."""
    if not RECORDINGS.is_dir():
        install(PACKAGE)
    if not RECORDINGS.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have the Debian package {PACKAGE}")
        pytest.skip(f"NOT TESTED: {PACKAGE} is not on this machine (Debian: apt-get install {PACKAGE})")
    lines = (RECORDINGS / "transcription").read_text().splitlines()
    found = [re.fullmatch(r"<s> (.*?) *</s> \((.*)\)", line) for line in lines]
    return [(RECORDINGS / f"{m[2]}.wav", m[1]) for m in found if m]


def sine(seconds: float, rate: int = 16_000, hz: float = 440.0) -> NDArray[np.float32]:
    """Half of full scale, shape (n,)."""
    wave: NDArray[np.float32] = (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("f4")
    return wave


def voice(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    """What voice detectors take for speech, shape (n,): a vowel of changing pitch, four syllables a second."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 1.7 * t)) / rate
    sound = np.zeros_like(t)
    for k in range(1, 25):
        formants = np.exp(-(((130 * k - 700) / 400) ** 2)) + 0.5 * np.exp(-(((130 * k - 1_800) / 500) ** 2))
        sound += formants * np.sin(k * phase)
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)
    whole: NDArray[np.float32] = (0.5 * sound / np.abs(sound).max()).astype(np.float32)
    return whole


def wav(samples: NDArray[np.float32], rate: int = 16_000, channels: int = 1, bits: int = 16) -> bytes:
    """The same on every channel. bits: 8, 16, or 32 for float."""
    data = {
        8: lambda: np.round(samples * 127 + 128).astype("u1"),
        16: lambda: np.round(samples * 32_767).astype("<i2"),
        32: lambda: samples.astype("<f4"),
    }[bits]()
    body = np.repeat(data, channels).tobytes()
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 3 if bits == 32 else 1, channels, rate, min(rate * frame, 2**32 - 1), frame, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def encoded(
    samples: NDArray[np.float32], container: str, codec: str, *, rate: int = 16_000, layout: str = "mono",
    video: bool = False,
) -> bytes:  # fmt: skip
    """Any container and codec of libav, with a black picture in front of it where a video is wanted."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        picture: Any = None
        if video:
            picture = out.add_stream("mpeg4", rate=5)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream: Any = out.add_stream(codec, rate=rate, layout=layout)
        if picture is not None:
            for _ in range(5):
                out.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
            out.mux(picture.encode(None))
        size = stream.codec_context.frame_size or 1_024
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, size)
        for at in range(0, samples.size, 16_384):
            part = np.ascontiguousarray(samples[np.newaxis, at : at + 16_384])
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return file.getvalue()
