"""FLAC in fragmented MP4: segments that decode to exactly the samples that went in, each by itself.

FLAC has neither delay nor padding and carries nothing from frame to frame, so a segment needs no other one: it says
where it begins (`tfdt`), and players join segments without a gap. Chromium, Firefox, Safari and Android play it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer

from producer_api.audio.libav import RATE, Samples, to_s16

SEGMENT_S = 10
"""No segment is longer: a record that is, becomes several."""
MAX_PARTS = 64
INIT_TYPE = SEGMENT_TYPE = "audio/mp4"


def cut(samples: int) -> list[tuple[int, int]]:
    """(begin, end) of the segments of a record of so many samples, about equally long; none if it is empty."""
    count = -(-samples // (SEGMENT_S * RATE))
    edges = [samples * n // count for n in range(count + 1)] if count else [0]
    return list(pairwise(edges))


def number(seq: int, part: int) -> int:
    """Of a segment of record `seq`: they grow along a cast, and MP4 has 31 bits for them."""
    return (seq * MAX_PARTS + part) % 2**31


@lru_cache(maxsize=1)
def init_segment() -> bytes:
    """`ftyp` and `moov`: the same for every cast."""
    file = io.BytesIO()
    with _container(file, 1) as container:
        _stream(container)
        container.start_encoding()
        return file.getvalue()


def media_segment(samples: Samples, start: int, number: int) -> bytes:
    """`moof` and `mdat` of samples that begin at sample `start` of the cast. number: grows from one to the next."""
    file = io.BytesIO()
    with _container(file, number) as container:
        stream = _stream(container)
        container.start_encoding()
        head = file.tell()
        for frame in _frames(to_s16(samples), start, stream.codec_context.frame_size):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()[head:]


def _container(file: io.BytesIO, number: int) -> OutputContainer:
    options = {
        "movflags": "+cmaf+empty_moov+default_base_moof+frag_discont+skip_trailer",  # frag_discont: tfdt is the pts
        "fragment_index": str(number),
        "use_editlist": "0",
        "fflags": "+bitexact",
    }
    return av.open(file, "w", format="mp4", options=options)


def _stream(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("flac", rate=RATE, layout="mono")
    context = stream.codec_context
    context.format = "s16"
    context.thread_count = 1
    context.options = {"flags": "+bitexact"}
    context.time_base = stream.time_base = Fraction(1, RATE)
    context.open()
    return stream


def _frames(pcm: npt.NDArray[np.int16], start: int, size: int) -> Iterator[av.AudioFrame]:
    for at in range(0, len(pcm), size):
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, at : at + size], format="s16", layout="mono")
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = start + at
        yield frame
