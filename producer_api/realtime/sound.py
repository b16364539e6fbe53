"""Sound as realtime clients send and get it: PCM of 16 bits, little-endian, or G.711."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from contracts.codec import CANONICAL_RATE
from contracts.errors import BadInput
from producer_api.live.microphone import Microphone
from producer_api.realtime.config import Format, WaveFormat

PIECE_MS = 200
"""Of sound in one event."""
_CODECS: dict[WaveFormat, str] = {"audio/pcmu": "pcm_mulaw", "audio/pcma": "pcm_alaw"}


class Incoming:
    """A client's sound, as 16,000 Hz."""

    def __init__(self, wave: Format) -> None:
        self._microphone = Microphone("pcm16", wave.hz)
        name = _CODECS.get(wave.type)
        self._decoder = cast("AudioCodecContext", av.CodecContext.create(name, "r")) if name else None
        if self._decoder is not None:
            self._decoder.sample_rate = wave.hz
            self._decoder.layout = "mono"

    def pcm(self, audio: object) -> bytes:
        """Of the `audio` of one event: base64. Raises BadInput."""
        try:
            data = base64.b64decode(audio if isinstance(audio, str) else "", validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadInput("audio: not base64.", field="audio") from exc
        if not data:
            raise BadInput("audio: nothing is in it.", field="audio")
        if self._decoder is not None:
            frames = self._decoder.decode(av.Packet(data))
            data = b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in frames)
        return self._microphone.pcm(data)


class Outgoing:
    """Our sound, 24,000 Hz, as the client wants it."""

    def __init__(self, wave: Format) -> None:
        self._encoder = None
        self._resampler = None if wave.hz == CANONICAL_RATE else av.AudioResampler("s16", "mono", wave.hz)
        if (name := _CODECS.get(wave.type)) is not None:
            self._encoder = cast("AudioCodecContext", av.CodecContext.create(name, "w"))
            self._encoder.sample_rate = wave.hz
            self._encoder.layout = "mono"
            self._encoder.format = "s16"
        self._piece = PIECE_MS * CANONICAL_RATE // 1000

    def pieces(self, samples: NDArray[np.float32]) -> list[str]:
        """Base64, PIECE_MS each. samples: shape (n,), -1 to 1."""
        pcm = np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype("<i2")
        made = (self._encoded(pcm[at : at + self._piece]) for at in range(0, pcm.size, self._piece))
        return [base64.b64encode(piece).decode() for piece in made if piece]

    def rest(self) -> list[str]:
        """What the filter has kept back; nothing follows."""
        if self._resampler is None:
            return []
        made = self._converted(self._resampler.resample(None))
        return [base64.b64encode(made).decode()] if made else []

    def _encoded(self, pcm: NDArray[np.int16]) -> bytes:
        if self._resampler is None and self._encoder is None:
            return pcm.tobytes()
        frame = AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = CANONICAL_RATE
        return self._converted([frame] if self._resampler is None else self._resampler.resample(frame))

    def _converted(self, frames: Iterable[AudioFrame]) -> bytes:
        if self._encoder is None:
            return b"".join(ready.to_ndarray().astype("<i2").tobytes() for ready in frames)
        made = b""
        for ready in frames:
            ready.pts = None
            made += b"".join(bytes(packet) for packet in self._encoder.encode(ready))
        return made
