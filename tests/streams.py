"""Audio streams for tests: a source in which no two places are alike, and what libav hears of a stream."""

from __future__ import annotations

import io

import av
import numpy as np
import numpy.typing as npt

from producer_api.audio.encoders import AudioFormat
from producer_api.audio.libav import RATE, Samples

Floats = npt.NDArray[np.float64]
CONTAINERS: dict[str, str] = {"opus": "ogg", "mp3": "mp3", "aac": "aac", "wav": "wav", "flac": "flac"}
DELAYS = {"mp3": 1_105, "aac": 1_024}
"""Samples before the first one at 24 kHz: LAME's 576 and the decoder's 529; the first window of AAC."""


def speechlike(samples: int, seed: int = 1) -> Samples:
    """A gliding harmonic sound under slow gain changes: no two places are alike, so a shift can not hide."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    pitch = 110 + 60 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    gain = 0.15 + 0.1 * np.sin(2 * np.pi * 2.3 * time)
    return np.asarray(voiced * gain + rng.normal(0, 0.003, samples), dtype=np.float32)


def decode(fmt: AudioFormat, stream: bytes) -> Floats:
    """What libav hears, as float64 at the stream's own rate (opus always decodes at 48 kHz)."""
    if fmt == "pcm":
        return np.frombuffer(stream, "<i2") / 32_768
    with av.open(io.BytesIO(stream), "r", format=CONTAINERS[fmt]) as container:
        planes = [_mono(frame) for frame in container.decode(audio=0)]
    return np.concatenate(planes) if planes else np.empty(0)


def _mono(frame: av.AudioFrame) -> Floats:
    plane: Floats = frame.to_ndarray()[0].astype(np.float64)
    return plane / {"s16": 2**15, "s16p": 2**15, "s32": 2**31}.get(frame.format.name, 1)


def heard(fmt: AudioFormat, stream: bytes) -> Floats:
    """Decoded, at 24 kHz: every second sample of opus's 48 kHz lies on a sample of the source."""
    audio = decode(fmt, stream)
    return audio[::2] if fmt == "opus" else audio


def similarity(left: Floats, right: npt.NDArray[np.floating]) -> float:
    """Correlation of two equally long signals."""
    return float(np.dot(left, right) / np.sqrt(np.dot(left, left) * np.dot(right, right)))
