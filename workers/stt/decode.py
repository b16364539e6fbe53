"""Audio out of any container libav reads, in bounded memory: mono, 16 kHz, as a stream of blocks.

What clients send is not to be trusted. The file is read through a Python file object and libav may open nothing else:
a playlist in disguise names files and hosts of its choice. Rates and channels are bounded because one small packet at
1 Hz would resample to gigabytes, and the length is, because a few bytes of FLAC can stand for hours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
from av.error import FFmpegError

from contracts.errors import BadAudio
from workers.stt.hearing import SAMPLE_RATE, Samples

logger = logging.getLogger(__name__)

BLOCK = 16_384
"""Samples of a block: 1.024 s, 32 frames of the voice detector."""
DEFAULT_MAX_S = 24 * 3_600.0
RATES = range(4_000, 768_001)
MAX_CHANNELS = 64
_JUMP_S = 0.25
"""A step of the timestamps that is longer is a hole in the file, and no rounding."""
_MAX_HOLE_S = 3_600.0
"""Timestamps that jump further are wrong, or wrapped around."""


def decode(path: Path, max_s: float = DEFAULT_MAX_S) -> Iterator[Samples]:
    """Blocks of BLOCK samples, the last one shorter. The first audio stream; channels are mixed; holes are silence.

    A damaged file gives what can be decoded of it. Raises BadAudio for nothing that can, for audio longer than max_s
    (after the blocks before that), for absurd rates and channels; OSError when the file can not be read.
    """
    if path.stat().st_size == 0:
        raise BadAudio("The file is empty.")
    total = 0
    for block in _blocks(_samples(path, max_s)):
        total += block.size
        if total > max_s * SAMPLE_RATE:
            raise BadAudio(f"The audio is longer than the limit of {max_s / 3_600:g} hours.")
        yield block
    if total == 0:
        raise BadAudio("The file holds no audio that can be decoded.")


def _blocks(parts: Iterator[Samples]) -> Iterator[Samples]:
    waiting: list[Samples] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += part.size
        if size < BLOCK:
            continue
        joined = np.concatenate(waiting)
        whole = size - size % BLOCK
        for at in range(0, whole, BLOCK):
            yield joined[at : at + BLOCK]
        waiting, size = [joined[whole:]], size - whole
    if size:
        yield np.concatenate(waiting)


def _samples(path: Path, max_s: float) -> Iterator[Samples]:
    with path.open("rb") as file:
        try:
            container = av.open(
                file, "r", metadata_errors="ignore", options={"protocol_whitelist": "data"}, io_open=_refuse
            )
        except FFmpegError as exc:
            raise BadAudio("The file is no audio or video that can be read.") from exc
        with container:
            if not container.streams.audio:
                raise BadAudio("The file holds no audio.")
            yield from _heard(container, container.streams.audio[0], max_s)


def _refuse(url: str, _flags: int, _options: object) -> NoReturn:
    logger.warning("an upload names another file", extra={"url": url})
    raise BadAudio("The file is a list of other files; send the audio itself.")


def _heard(container: av.container.InputContainer, stream: av.AudioStream, max_s: float) -> Iterator[Samples]:
    """Resampled parts, with silence where the timestamps say that something is missing."""
    start = (container.start_time or 0) / av.time_base
    mixer = _Mixer()
    made = 0  # samples
    for frame in _frames(container, stream):
        if frame.time is not None:
            hole = frame.time - start - made / SAMPLE_RATE
            if not -_JUMP_S <= hole <= _MAX_HOLE_S:
                start += hole
            elif hole > _JUMP_S:
                missing = round(min(hole, max_s) * SAMPLE_RATE)
                made += missing
                yield from _silence(missing)
        # Counted before the resampler's delay: what it holds back comes with the next frame.
        made += round(frame.samples * SAMPLE_RATE / frame.sample_rate)
        yield from mixer.mix(frame)
    yield from mixer.end()


def _silence(count: int) -> Iterator[Samples]:
    for at in range(0, count, BLOCK):
        yield np.zeros(min(BLOCK, count - at), np.float32)


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """What can be decoded: a damaged packet is left out, a damaged container ends it."""
    packets = container.demux(stream)
    damaged = 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except FFmpegError as exc:
            logger.info("the container is damaged; what came before counts", extra={"error": str(exc)})
            break
        try:
            frames = packet.decode()
        except FFmpegError:
            damaged += 1
            continue
        for frame in frames:
            if frame.samples:
                yield frame
    if damaged:
        logger.info("damaged packets were left out", extra={"packets": damaged})


class _Mixer:
    """Mono at 16 kHz of frames whose format, layout and rate may change on the way."""

    def __init__(self) -> None:
        self._shape: tuple[str, str, int] | None = None
        self._resample: Callable[[av.AudioFrame | None], list[av.AudioFrame]] | None = None

    def mix(self, frame: av.AudioFrame) -> Iterator[Samples]:
        """Raises BadAudio for rates and channels out of bounds."""
        _check(frame)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.end()
            # 16-bit, because libswresample mixes without overflow to integers only; as faster-whisper does, too.
            self._resample = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE).resample
            self._shape = shape
        frame.pts = None
        yield from self._pull(frame)

    def end(self) -> Iterator[Samples]:
        """What the resampler still holds."""
        if self._resample is not None:
            yield from self._pull(None)

    def _pull(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        assert self._resample is not None  # noqa: S101  both callers have seen to it
        try:
            mixed = self._resample(frame)
        except (FFmpegError, ValueError) as exc:
            raise BadAudio("The audio has a layout of channels that can not be mixed.") from exc
        for part in mixed:
            yield part.to_ndarray()[0].astype(np.float32) / np.float32(32_768)


def _check(frame: av.AudioFrame) -> None:
    if frame.sample_rate not in RATES:
        raise BadAudio(f"The audio has {frame.sample_rate:,} samples per second; it takes 4,000 to 768,000.")
    if not 1 <= frame.layout.nb_channels <= MAX_CHANNELS:
        raise BadAudio(f"The audio has {frame.layout.nb_channels:,} channels; the limit is {MAX_CHANNELS}.")
