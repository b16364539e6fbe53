"""HLS: segments decode to the sample, alone and joined; the playlist says what there is; segments are made once."""

from __future__ import annotations

import asyncio
import io
import struct
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

from contracts.errors import UnknownLog
from contracts.ports import LogStatus, Page
from contracts.records import Record
from producer_api.audio import fragments
from producer_api.audio.hls import SegmentCache, playlist
from producer_api.audio.libav import RATE, to_s16
from producer_api.audio.sounds import Sound, SoundIndex, Sounds

LENGTHS = (1, 15, 2303, 2304, 2305, 28_800, 100_003)


def noise(samples: int, seed: int) -> npt.NDArray[np.float32]:
    return (0.5 * np.random.default_rng(seed).uniform(-1, 1, samples)).astype(np.float32)


def decoded(file: bytes) -> tuple[int, npt.NDArray[np.int16]]:
    """First pts, in samples, and the samples."""
    with av.open(io.BytesIO(file), "r") as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts is not None
    assert frames[0].time_base == Fraction(1, RATE)
    return frames[0].pts, np.concatenate([frame.to_ndarray()[0] for frame in frames])


def box(segment: bytes, name: bytes) -> bytes:
    """Content of the first box of this name, behind version and flags."""
    at = segment.index(name)
    (size,) = struct.unpack(">I", segment[at - 4 : at])
    return segment[at + 8 : at - 4 + size]


@pytest.mark.parametrize("start", [0, 7, 3_600 * RATE, 2**33 + 1])
def test_each_segment_decodes_alone_and_says_where_it_begins(start: int) -> None:
    for n in LENGTHS:
        samples = noise(n, n)
        segment = fragments.media_segment(samples, start, 9)
        at, heard = decoded(fragments.init_segment() + segment)
        assert at == start
        assert np.array_equal(heard, to_s16(samples))
        assert struct.unpack(">Q", box(segment, b"tfdt")) == (start,)
        assert struct.unpack(">I", box(segment, b"mfhd")) == (9,)
        assert fragments.media_segment(samples, start, 9) == segment, "the same samples, the same bytes"


def test_joined_segments_are_the_samples_joined() -> None:
    pieces = [noise(n, n) for n in LENGTHS]
    file, start = fragments.init_segment(), 0
    for number, piece in enumerate(pieces):
        file += fragments.media_segment(piece, start, number + 1)
        start += len(piece)
    _, heard = decoded(file)
    assert np.array_equal(heard, to_s16(np.concatenate(pieces)))


def test_a_long_record_is_cut_and_none_is_longer_than_the_target() -> None:
    for n in (0, 1, RATE * fragments.SEGMENT_S, RATE * fragments.SEGMENT_S + 1, RATE * 95 + 3):
        cut = fragments.cut(n)
        assert sum(end - begin for begin, end in cut) == n
        assert all(0 < end - begin <= RATE * fragments.SEGMENT_S for begin, end in cut)
        assert [begin for begin, _ in cut[1:]] == [end for _, end in cut[:-1]]
        assert len(cut) <= fragments.MAX_PARTS
    assert len(fragments.cut(RATE * 95)) == 10


def test_the_playlist_names_what_there_is() -> None:
    sounds = Sounds("49a4f359", [Sound(1, RATE), Sound(3, 25 * RATE)])
    lines = playlist(sounds).splitlines()
    assert lines[:4] == ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:10", "#EXT-X-PLAYLIST-TYPE:EVENT"]
    assert '#EXT-X-MAP:URI="hls/init.mp4"' in lines
    assert lines[-8:] == [
        "#EXTINF:1.000000,", "hls/49a4f359-1-0-0.m4s",
        "#EXTINF:8.333333,", f"hls/49a4f359-3-0-{RATE}.m4s",
        "#EXTINF:8.333333,", f"hls/49a4f359-3-1-{RATE + 200_000}.m4s",
        "#EXTINF:8.333333,", f"hls/49a4f359-3-2-{RATE + 400_000}.m4s",
    ]  # fmt: skip
    sounds.closed = True
    assert playlist(sounds).splitlines() == [*lines, "#EXT-X-ENDLIST"]


class Log:
    """A LogReader of one log of a few records per page."""

    def __init__(self) -> None:
        self.epoch = "aa"
        self.records = [Record(0, "meta")]
        self.reads: list[int] = []

    def speak(self, *samples: int) -> None:
        for n in samples:
            self.records.append(Record(len(self.records), "audio", {"n": n}))

    async def status(self, job: str) -> LogStatus | None:
        raise NotImplementedError

    async def read(self, job: str, start: int, *, max_records: int = 2, max_bytes: int = 0) -> Page | None:
        await asyncio.sleep(0)
        self.reads.append(start)
        if job != "known":
            return None
        records = self.records[start : start + max_records]
        end = start + len(records)
        return Page(self.epoch, records, end, closed=self.records[-1].terminal and end >= len(self.records))


async def test_sounds_are_read_once_and_then_only_what_is_new() -> None:
    log = Log()
    log.speak(10, 20, 30)
    index = SoundIndex(log)
    first, second = await asyncio.gather(index.of("known"), index.of("known"))
    assert first is second
    assert (first.samples, first.closed) == (60, False)
    assert sorted(set(log.reads)) == [0, 2, 4]
    assert log.reads.count(0) == 1
    log.records.append(Record(4, "skip", {"i": 3}))
    log.speak(40)
    log.records.append(Record(6, "eos"))
    log.reads.clear()
    assert (await index.of("known")).heard == [Sound(1, 10), Sound(2, 20), Sound(3, 30), Sound(5, 40)]
    assert first.closed
    assert min(log.reads) == 4


async def test_sounds_of_another_incarnation_are_others() -> None:
    log = Log()
    log.speak(10, 20, 30)
    index = SoundIndex(log)
    await index.of("known")
    log.epoch, log.records = "bb", log.records[:1]
    log.speak(5)
    assert await index.of("known") == Sounds("bb", [Sound(1, 5)], closed=False, next_seq=2)
    with pytest.raises(UnknownLog):
        await index.of("unknown")


async def test_a_segment_is_made_once_and_old_ones_go() -> None:
    cache = SegmentCache(limit_bytes=25)
    made: list[int] = []

    def make(n: int) -> bytes:
        made.append(n)
        return bytes(10)

    await asyncio.gather(*(cache.get(0, lambda: make(0)) for _ in range(20)))
    assert made == [0]
    for n in (1, 0, 2, 0, 1):
        await cache.get(n, lambda n=n: make(n))  # type: ignore[misc]
    assert made == [0, 1, 2, 1], "1 was the one not asked for lately when 2 came"


async def test_what_could_not_be_made_is_tried_again() -> None:
    cache = SegmentCache()

    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await cache.get("a", fail)
    assert await cache.get("a", lambda: b"yes") == b"yes"
