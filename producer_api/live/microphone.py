"""What a client's microphone sends, as PCM: 16 bits, little-endian, 16,000 Hz, mono."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from contracts.errors import BadAudio

RATE = 16_000
SAMPLE_BYTES = 2

AudioFormat = Literal["pcm16", "opus"]


class Microphone:
    """One client's. audio_format `opus`: a message is one packet, without a container, mono or stereo."""

    def __init__(self, audio_format: AudioFormat, sample_rate: int) -> None:
        self._rate = sample_rate
        self._decoder = None
        if audio_format == "opus":
            self._decoder = av.AudioCodecContext.create("opus", "r")
            self._decoder.sample_rate = 48_000
        self._resampler = av.AudioResampler("s16", "mono", RATE)
        self._odd = b""

    def pcm(self, message: bytes) -> bytes:
        """What is ready of it; a sample may be split between two messages. Raises BadAudio."""
        if self._decoder is None:
            data = self._odd + message
            whole = len(data) - len(data) % SAMPLE_BYTES
            self._odd = data[whole:]
            return data[:whole] if self._rate == RATE else self._resampled(_frames(data[:whole], self._rate))
        try:
            return self._resampled(self._decoder.decode(av.Packet(message)))
        except FFmpegError as exc:
            raise BadAudio("A message is no Opus packet.") from exc

    def rest(self) -> bytes:
        """What the resampler has kept back."""
        return b"".join(_bytes(frame) for frame in self._resampler.resample(None))

    def _resampled(self, frames: Iterable[AudioFrame]) -> bytes:
        return b"".join(_bytes(ready) for frame in frames for ready in self._resampler.resample(frame))


def _frames(pcm: bytes, rate: int) -> list[AudioFrame]:
    if not pcm:
        return []
    frame = AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = rate
    return [frame]


def _bytes(frame: AudioFrame) -> bytes:
    return frame.to_ndarray().astype("<i2").tobytes()
