"""One continuous encoder per response: chunks of a cast in, one gapless stream out.

An encoder per sentence would add its delay and its padding to every seam (67 ms per sentence with MP3). Here one codec
lives as long as the response, so the decoded stream is the concatenation of the chunks: to the sample for wav, pcm and
flac; to the sample in length and place for opus; behind one encoder delay, once, for mp3 and aac.

Everything blocks and holds the CPU: call it in a worker thread, one thread at a time per encoder. Memory does not
grow with the length. The same chunks give the same bytes; a feed ends a page, so other groupings of the same samples
give other opus bytes, but the same decoded audio.
"""

from __future__ import annotations

import struct
from typing import Literal, Protocol, get_args

import numpy as np

from contracts.errors import BadInput
from producer_api.audio.libav import RATE, LibavCodec, Samples, to_s16
from producer_api.audio.ogg import OggPages, opus_tags, page_groups

OPUS_BIT_RATE = 48_000
"""The stored chunks are Opus already; the second generation gets some bits more than speech alone would need."""
MP3_BIT_RATE = 64_000
AAC_BIT_RATE = 64_000

AudioFormat = Literal["opus", "mp3", "aac", "wav", "flac", "pcm"]
AUDIO_FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
CONTENT_TYPES: dict[AudioFormat, str] = {
    "opus": "audio/ogg; codecs=opus",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "pcm": f"audio/pcm; rate={RATE}; channels=1",
}

_MP3_FRAME_SAMPLES = 576
_MP3_FRAME_BYTES = _MP3_FRAME_SAMPLES * MP3_BIT_RATE // RATE // 8
_MP3_MORE_FRAMES = 2
"""What is flushed behind the last samples, for the delay of the encoder and of decoders."""
_UNKNOWN_SIZE = 0xFFFFFFFF
_WAV_HEADER = 44
_OPUS_PACKETS_PER_PAGE = 50
"""One second: RFC 7845 asks for no more."""
_OPUS_TICKS = 48_000 // RATE
_FLAC_MAX_SAMPLES = 2**36
_ADTS_HEADER = 7
_ADTS_PLAIN = 0xFFF1_5840_001F_FC
"""MPEG-4 AAC-LC, 24 kHz, mono, no checksum, buffer fullness not said; the length of the frame is still to come."""


class Encoder(Protocol):
    """start() once, feed() any number of times, finish() once; the bytes concatenated are the stream."""

    @property
    def content_type(self) -> str:
        """For the Content-Type header."""
        ...

    def start(self) -> bytes:
        """The header of the stream; may be empty."""
        ...

    def feed(self, samples: Samples) -> bytes:
        """What can be heard now; at most 0.1 s of what was fed stays inside until the next call."""
        ...

    def finish(self) -> bytes:
        """What was still inside, and the end of the stream. Raises ValueError if total_samples was a false promise."""
        ...


def make_encoder(fmt: AudioFormat, total_samples: int | None = None) -> Encoder:
    """A fresh encoder. total_samples: when the length is known, wav and flac say it in their header.

    Raises BadInput for a format nobody speaks, ValueError for a negative length.
    """
    if total_samples is not None and total_samples < 0:
        raise ValueError(f"total_samples is {total_samples}")
    match fmt:
        case "opus":
            return OpusEncoder()
        case "mp3":
            return Mp3Encoder()
        case "aac":
            return AacEncoder()
        case "flac":
            return FlacEncoder(total_samples)
        case "wav":
            return WavEncoder(total_samples)
        case "pcm":
            return PcmEncoder()
    raise BadInput(f"There is no audio format {fmt!r}; known: {', '.join(AUDIO_FORMATS)}.", field="format")


def stream_bytes(fmt: AudioFormat, samples: int) -> int | None:
    """Length of the whole stream of so many samples; None where only encoding it tells."""
    if fmt == "mp3":
        return _MP3_FRAME_BYTES * (-(-samples // _MP3_FRAME_SAMPLES) + _MP3_MORE_FRAMES) if samples else 0
    if fmt in ("wav", "pcm"):
        return 2 * samples + (_WAV_HEADER if fmt == "wav" else 0)
    return None


class PcmEncoder:
    """Bare samples, s16 little-endian: for clients that know the rate."""

    content_type = CONTENT_TYPES["pcm"]

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def feed(self, samples: Samples) -> bytes:
        """All of it, at once."""
        return to_s16(samples).tobytes()

    def finish(self) -> bytes:
        """Nothing."""
        return b""


class WavEncoder:
    """s16 behind a RIFF header: exact when the length is known, "until the end" (all ones) when it is not."""

    content_type = CONTENT_TYPES["wav"]

    def __init__(self, total_samples: int | None = None) -> None:
        self._promised = total_samples
        self._fed = 0

    def start(self) -> bytes:
        """44 bytes."""
        data = _UNKNOWN_SIZE if self._promised is None else 2 * self._promised
        if data + _WAV_HEADER - 8 > _UNKNOWN_SIZE:
            data = _UNKNOWN_SIZE  # more than 24 hours: RIFF can not count it, players read to the end
        riff = _UNKNOWN_SIZE if data == _UNKNOWN_SIZE else data + _WAV_HEADER - 8
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
        return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data)

    def feed(self, samples: Samples) -> bytes:
        """All of it, at once."""
        self._fed += len(samples)
        return to_s16(samples).tobytes()

    def finish(self) -> bytes:
        """Nothing. Raises ValueError."""
        _check_promise(self._promised, self._fed)
        return b""


class Mp3Encoder:
    """MPEG-2 layer III, constant bit rate, no Xing frame: Firefox trims wrongly by it, and its totals come too late."""

    content_type = CONTENT_TYPES["mp3"]

    def __init__(self) -> None:
        self._codec = LibavCodec("libmp3lame", "s16p", MP3_BIT_RATE)

    def start(self) -> bytes:
        """Nothing: every frame has its own header."""
        return b""

    def feed(self, samples: Samples) -> bytes:
        """Frames of 24 ms."""
        return b"".join(self._codec.packets(samples))

    def finish(self) -> bytes:
        """The last frames."""
        return b"".join(self._codec.flush())


class AacEncoder:
    """AAC-LC in ADTS: each frame of 43 ms has its own header, so a decoder may join anywhere."""

    content_type = CONTENT_TYPES["aac"]

    def __init__(self) -> None:
        self._codec = LibavCodec("aac", "fltp", AAC_BIT_RATE)

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def feed(self, samples: Samples) -> bytes:
        """Frames that are complete; the codec looks one ahead."""
        return b"".join(map(_adts, self._codec.packets(samples)))

    def finish(self) -> bytes:
        """The last frames."""
        return b"".join(map(_adts, self._codec.flush()))


def _adts(frame: bytes) -> bytes:
    """ISO 14496-3, 1.A.2: the header has the length of the frame, itself included, in bits 30 to 42."""
    return (_ADTS_PLAIN | (len(frame) + _ADTS_HEADER) << 13).to_bytes(_ADTS_HEADER, "big") + frame


class FlacEncoder:
    """FLAC, s16, as a bare stream: STREAMINFO, then frames. Length zero in STREAMINFO means "not known"."""

    content_type = CONTENT_TYPES["flac"]

    def __init__(self, total_samples: int | None = None) -> None:
        self._codec = LibavCodec("flac", "s16")
        self._promised = total_samples

    def start(self) -> bytes:
        """The marker and STREAMINFO, the only metadata block."""
        info = bytearray(self._codec.extradata)
        if self._promised is not None and self._promised < _FLAC_MAX_SAMPLES:
            packed = int.from_bytes(info[10:18], "big") | self._promised  # its low 36 bits are the length, and zero
            info[10:18] = packed.to_bytes(8, "big")
        return b"fLaC" + bytes([0x80]) + len(info).to_bytes(3, "big") + bytes(info)

    def feed(self, samples: Samples) -> bytes:
        """Frames of 96 ms."""
        return b"".join(self._codec.packets(samples))

    def finish(self) -> bytes:
        """The last, shorter frame. Raises ValueError."""
        last = b"".join(self._codec.flush())
        _check_promise(self._promised, self._codec.fed)
        return last


class OpusEncoder:
    """Ogg-Opus: pages of at most a second, one more at the end of every feed; trimmed to the sample at both ends."""

    content_type = CONTENT_TYPES["opus"]

    def __init__(self) -> None:
        self._codec = LibavCodec("libopus", "flt", OPUS_BIT_RATE)
        self._pages = OggPages()
        self._packets = 0

    def start(self) -> bytes:
        """OpusHead and OpusTags, each on a page of its own as RFC 7845 wants."""
        return self._pages.page([self._codec.extradata], 0) + self._pages.page([opus_tags("castline")], 0)

    def feed(self, samples: Samples) -> bytes:
        """Packets of 20 ms, all on pages that are complete."""
        groups = page_groups(self._codec.packets(samples), _OPUS_PACKETS_PER_PAGE)
        return b"".join(self._pages.page(group, self._granule(len(group))) for group in groups)

    def finish(self) -> bytes:
        """The last page; its position cuts the padding of the last packet off."""
        pre_skip = int.from_bytes(self._codec.extradata[10:12], "little")
        silent = not self._codec.used
        if silent:
            self._codec.packets(np.zeros(1, np.float32))  # no decoder opens a stream without any packet
        *before, last = page_groups(self._codec.flush(), _OPUS_PACKETS_PER_PAGE) or [[]]
        pages = [self._pages.page(group, self._granule(len(group))) for group in before]
        end = pre_skip + (0 if silent else _OPUS_TICKS * self._codec.fed)
        return b"".join([*pages, self._pages.page(last, end, last=True)])

    def _granule(self, packets: int) -> int:
        self._packets += packets
        return self._packets * 960


def _check_promise(promised: int | None, fed: int) -> None:
    if promised is not None and promised != fed:
        raise ValueError(f"{fed} samples were fed after a header that says {promised}")
