"""The canonical codec: exact lengths, the same bytes every time, recognisable sound, clear refusals."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from contracts.codec import CANONICAL_RATE, MalformedChunk, decode_chunk, encode_chunk


def speechlike(samples: int) -> NDArray[np.float32]:
    """A gliding harmonic sound under slow gain changes."""
    time = np.arange(samples) / CANONICAL_RATE
    phase = 2 * np.pi * np.cumsum(140 + 50 * np.sin(2 * np.pi * 0.7 * time)) / CANONICAL_RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    return np.asarray(voiced * (0.15 + 0.1 * np.sin(2 * np.pi * 2.3 * time)), np.float32)


@pytest.mark.parametrize("size", [1, 2, 155, 156, 157, 479, 480, 481, 961, 4_801, 24_000, 71_999])
def test_length_is_exact(size: int) -> None:
    samples = decode_chunk(encode_chunk(speechlike(size)))
    assert samples.dtype == np.float32
    assert samples.shape == (size,)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 6_000))
def test_length_is_exact_for_any_size(size: int) -> None:
    assert decode_chunk(encode_chunk(speechlike(size))).size == size


@pytest.mark.parametrize("size", [1, 481, 30_001])
def test_plain_libav_gives_the_same_length(size: int) -> None:
    with av.open(io.BytesIO(encode_chunk(speechlike(size))), "r") as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) * CANONICAL_RATE == size * frames[0].sample_rate


def test_same_samples_same_bytes() -> None:
    samples = speechlike(20_000)
    assert encode_chunk(samples) == encode_chunk(samples.copy())


def test_sound_survives_in_place() -> None:
    samples = speechlike(48_000)
    decoded = decode_chunk(encode_chunk(samples))
    lags = range(-3, 4)
    match = [float(np.dot(samples[10:-10], np.roll(decoded, lag)[10:-10])) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1
    assert float(np.corrcoef(samples, decoded)[0, 1]) > 0.97


def test_louder_than_full_scale_is_clipped() -> None:
    assert float(np.abs(decode_chunk(encode_chunk(speechlike(4_800) * 50))).max()) <= 1.0


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 5)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_what_it_does_not_encode(samples: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="samples"):
        encode_chunk(samples.astype(np.float32))


def test_damage_is_noticed() -> None:
    whole = encode_chunk(speechlike(30_000))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x55
    bad = [b"", b"nonsense", b"OggS", whole[:-1], whole[: len(whole) // 2], whole + b"x", whole + whole, bytes(flipped)]
    for data in bad:
        with pytest.raises(MalformedChunk):
            decode_chunk(data)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    chunk = bytearray(encode_chunk(speechlike(5_000)))
    for _ in range(data.draw(st.integers(1, 8))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    try:
        samples = decode_chunk(bytes(chunk))
    except MalformedChunk:
        return
    assert samples.ndim == 1
