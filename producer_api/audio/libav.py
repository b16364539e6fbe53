"""An audio encoder of libav that eats chunks of any size and gives packets."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext

from contracts.codec import CANONICAL_RATE

RATE = CANONICAL_RATE

Samples = npt.NDArray[np.float32]
"""Mono at RATE, one dimension, full scale = 1.0; louder is clipped."""


def to_s16(samples: Samples) -> npt.NDArray[np.int16]:
    """Little-endian 16 bit; the inverse of dividing by 32,768, so 16-bit audio survives unchanged."""
    scaled = np.rint(samples * np.float32(32_768))
    whole: npt.NDArray[np.int16] = np.clip(scaled, -32_768, 32_767).astype("<i2")
    return whole


class LibavCodec:
    """A libav encoder with frames of a fixed size, fed from chunks of any size."""

    def __init__(
        self, name: str, sample_format: Literal["s16", "s16p", "flt", "fltp"], bit_rate: int | None = None
    ) -> None:
        # create() is typed as any codec context; an audio encoder's name gives an audio one.
        self._context = cast(AudioCodecContext, av.CodecContext.create(name, "w"))
        self._context.sample_rate = RATE
        self._context.layout = "mono"
        self._context.format = sample_format
        self._context.thread_count = 1
        self._context.options = {"flags": "+bitexact"}
        if bit_rate is not None:
            self._context.bit_rate = bit_rate
        self._context.open()
        self._sample_format = sample_format
        self._rest = np.empty(0, np.float32)
        self.fed = 0

    @property
    def used(self) -> bool:
        """True once any sample has come in."""
        return self.fed > 0 or len(self._rest) > 0

    @property
    def extradata(self) -> bytes:
        """The codec's own header."""
        return bytes(self._context.extradata or b"")

    def packets(self, samples: Samples) -> list[bytes]:
        """Packets that are complete now."""
        return [packet for block in self._blocks(samples) for packet in self._encode(block)]

    def flush(self) -> list[bytes]:
        """The last, shorter frame and what the codec looked ahead for."""
        last = self._encode(self._rest) if len(self._rest) else []
        return last + [bytes(p) for p in self._context.encode(None) if p.size]

    def _blocks(self, samples: Samples) -> Iterator[Samples]:
        """Cut into frames; what is over waits for the next chunk."""
        size = self._context.frame_size
        head = min((size - len(self._rest)) % size, len(samples)) if len(self._rest) else 0
        self._rest = np.concatenate([self._rest, samples[:head]])
        if len(self._rest) == size:
            yield self._rest
            self._rest = self._rest[:0]
        body = samples[head:]
        whole = len(body) - len(body) % size
        for at in range(0, whole, size):
            yield body[at : at + size]
        if whole < len(body):
            self._rest = body[whole:].copy()  # a view would keep the whole chunk alive

    def _encode(self, block: Samples) -> list[bytes]:
        plane = block if self._sample_format.startswith("flt") else to_s16(block)
        frame = av.AudioFrame.from_ndarray(plane[np.newaxis, :], format=self._sample_format, layout="mono")
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = self.fed
        self.fed += len(block)
        return [bytes(p) for p in self._context.encode(frame) if p.size]
