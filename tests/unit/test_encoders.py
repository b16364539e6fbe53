"""The continuous encoders: what a decoder hears is the chunks, joined, and nothing else."""

from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import DELAYS, decode, heard, similarity, speechlike

from contracts.errors import BadInput
from producer_api.audio.encoders import AUDIO_FORMATS, CONTENT_TYPES, AudioFormat, Encoder, make_encoder, stream_bytes
from producer_api.audio.libav import RATE, Samples, to_s16
from producer_api.audio.ogg import OggPages, checksum, page_groups


def split(samples: Samples, sizes: Sequence[int]) -> list[Samples]:
    """Cut at the running sums of sizes; the rest is the last piece."""
    return list(np.split(samples, np.cumsum(sizes)[np.cumsum(sizes) < len(samples)]))


def encode(fmt: AudioFormat, chunks: Sequence[Samples], total_samples: int | None = None) -> bytes:
    """A whole stream."""
    encoder = make_encoder(fmt, total_samples)
    return b"".join([encoder.start(), *map(encoder.feed, chunks), encoder.finish()])


@pytest.mark.parametrize("fmt", ["wav", "flac", "pcm"])
def test_lossless_formats_give_back_every_sample(fmt: AudioFormat) -> None:
    source = speechlike(100_003)
    stream = encode(fmt, split(source, [1, 2_303, 24_000, 7, 50_000]))
    assert np.array_equal(decode(fmt, stream), to_s16(source) / 32_768)


@pytest.mark.parametrize("samples", [1, 155, 156, 157, 323, 324, 325, 479, 480, 481, 24_000, 100_003])
def test_opus_keeps_length_to_the_sample(samples: int) -> None:
    stream = encode("opus", split(speechlike(samples), [100, 5_000]))
    assert len(decode("opus", stream)) == 2 * samples


def test_opus_keeps_the_place_of_every_sample() -> None:
    source = speechlike(72_000)
    audio = heard("opus", encode("opus", split(source, [24_000, 11_111])))
    shifted = {lag: similarity(audio[100 + lag : 71_900 + lag], source[100:71_900]) for lag in range(-3, 4)}
    assert max(shifted, key=lambda lag: shifted[lag]) == 0
    assert shifted[0] > 0.99


@pytest.mark.parametrize(("fmt", "frame"), [("mp3", 576), ("aac", 1_024)])
def test_a_delay_comes_once(fmt: AudioFormat, frame: int) -> None:
    source = speechlike(120_000)
    chunks = split(source, [24_000] * 4)
    audio = decode(fmt, encode(fmt, chunks))
    assert len(audio) - len(source) < 3 * frame  # delay and padding of one encoder, not of five
    start = 0
    for chunk in chunks:
        at = DELAYS[fmt] + start
        assert similarity(audio[at : at + len(chunk)], chunk) > 0.99
        start += len(chunk)


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_seams_add_neither_silence_nor_clicks(fmt: AudioFormat) -> None:
    source = speechlike(96_000)
    seams = [17_000, 40_000, 71_234]
    pieces = split(source, np.diff([0, *seams]).tolist())
    audio = heard(fmt, encode(fmt, pieces))
    delay = DELAYS.get(fmt, 0)
    error = audio[delay : delay + len(source)] - source
    usual = np.sqrt(np.mean(error[2_400:-2_400] ** 2))
    for seam in seams:
        assert np.sqrt(np.mean(error[seam - 240 : seam + 240] ** 2)) < 4 * usual + 1e-4
        around = audio[delay + seam - 240 : delay + seam + 240]
        assert np.sqrt(np.mean(around**2)) > 0.5 * np.sqrt(np.mean(source[seam - 240 : seam + 240] ** 2))


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_the_same_chunks_give_the_same_bytes(fmt: AudioFormat) -> None:
    chunks = split(speechlike(50_000), [9_999, 20_000])
    assert encode(fmt, chunks) == encode(fmt, chunks)


@settings(max_examples=25, deadline=None)
@given(fmt=st.sampled_from(AUDIO_FORMATS), sizes=st.lists(st.integers(0, 9_000), max_size=12))
def test_grouping_does_not_change_the_audio(fmt: AudioFormat, sizes: list[int]) -> None:
    source = speechlike(30_001)
    assert np.array_equal(decode(fmt, encode(fmt, split(source, sizes))), decode(fmt, encode(fmt, [source])))


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_a_follower_hears_every_feed_at_once(fmt: AudioFormat) -> None:
    """After each feed the bytes so far decode to all but the last tenth of a second of what was fed."""
    source = speechlike(96_000)
    encoder = make_encoder(fmt)
    stream, fed = encoder.start(), 0
    for chunk in split(source, [12_000, 12_000, 36_000, 24_000]):
        stream += encoder.feed(chunk)
        fed += len(chunk)
        assert len(heard(fmt, stream)) >= fed - RATE // 10


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_a_cast_without_audio_is_a_valid_stream(fmt: AudioFormat) -> None:
    if fmt in ("mp3", "aac", "pcm"):
        assert encode(fmt, []) == b""
    else:
        assert len(decode(fmt, encode(fmt, []))) == 0


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_content_type(fmt: AudioFormat) -> None:
    assert make_encoder(fmt).content_type == CONTENT_TYPES[fmt]


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_works_in_a_worker_thread(fmt: AudioFormat) -> None:
    chunks = split(speechlike(48_000), [24_000])
    with ThreadPoolExecutor(2) as pool:
        streams = list(pool.map(lambda _: encode(fmt, chunks), range(4)))
    assert set(streams) == {encode(fmt, chunks)}


@pytest.mark.parametrize("fmt", AUDIO_FORMATS)
def test_memory_does_not_grow_with_the_length(fmt: AudioFormat) -> None:
    encoder = make_encoder(fmt)
    encoder.start()
    chunk = speechlike(RATE)
    _feed(encoder, chunk, times=5)
    tracemalloc.start()
    try:
        _feed(encoder, chunk, times=5)
        early = tracemalloc.get_traced_memory()[0]
        _feed(encoder, chunk, times=40)
        assert tracemalloc.get_traced_memory()[0] - early < 16_000  # one FLAC frame may wait; 40 s are 3.8 MB
    finally:
        tracemalloc.stop()


def _feed(encoder: Encoder, chunk: Samples, *, times: int) -> None:
    for _ in range(times):
        encoder.feed(chunk)


def test_the_chunk_is_not_kept_alive() -> None:
    """What waits for the next frame is a copy: reusing the buffer must not change what is heard."""
    buffer = speechlike(1_000)
    encoder = make_encoder("flac")
    stream = encoder.start() + encoder.feed(buffer)
    kept = to_s16(buffer) / 32_768
    buffer[:] = 0
    assert np.array_equal(decode("flac", stream + encoder.finish()), kept)


@pytest.mark.parametrize("value", [-7.0, -1.0, 1.0, 7.0, np.inf])
def test_too_loud_is_clipped_not_wrapped(value: float) -> None:
    loud = to_s16(np.full(3, value, np.float32))
    assert loud.tolist() == [32_767 if value > 0 else -32_768] * 3


def test_16_bit_audio_survives_unchanged() -> None:
    every = np.arange(-32_768, 32_768, dtype=np.int16)
    assert np.array_equal(to_s16(every.astype(np.float32) / np.float32(32_768)), every)


def test_wav_says_its_length_when_it_is_known() -> None:
    stream = encode("wav", [speechlike(1_000)], total_samples=1_000)
    assert len(stream) == 44 + 2_000
    assert struct.unpack_from("<I", stream, 4)[0] == len(stream) - 8
    assert struct.unpack_from("<I", stream, 40)[0] == 2_000


@pytest.mark.parametrize("total", [None, 2**31])
def test_wav_of_unknown_or_uncountable_length_reads_to_the_end(total: int | None) -> None:
    header = make_encoder("wav", total).start()
    assert struct.unpack_from("<I", header, 4)[0] == struct.unpack_from("<I", header, 40)[0] == 0xFFFFFFFF


def test_flac_says_its_length_when_it_is_known() -> None:
    source = speechlike(70_000)
    with av.open(io.BytesIO(encode("flac", [source], total_samples=70_000))) as container:
        stream = container.streams.audio[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == pytest.approx(70_000 / RATE)


@pytest.mark.parametrize("fmt", ["wav", "flac"])
def test_a_broken_promise_of_length_is_an_error(fmt: AudioFormat) -> None:
    encoder = make_encoder(fmt, 10)
    encoder.start()
    encoder.feed(speechlike(9))
    with pytest.raises(ValueError, match="9 samples were fed"):
        encoder.finish()


def test_negative_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="-1"):
        make_encoder("wav", -1)


def test_unknown_format_names_the_known_ones() -> None:
    bad: Callable[[str], Encoder] = make_encoder  # type: ignore[assignment]  # what a route may pass on
    with pytest.raises(BadInput, match="known: opus, mp3") as raised:
        bad("ogg-vorbis")
    assert raised.value.field == "format"


def _pages(stream: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(flags, granule, number, page) of every Ogg page; the stream must be made of nothing else."""
    while stream:
        magic, _, flags, granule, _, number = struct.unpack_from("<4sBBqII", stream)
        assert magic == b"OggS"
        count = stream[26]
        size = 27 + count + sum(stream[27 : 27 + count])
        yield flags, granule, number, stream[:size]
        stream = stream[size:]


def test_ogg_pages_are_numbered_sealed_and_ended_once() -> None:
    pages = list(_pages(encode("opus", split(speechlike(60_000), [10, 30_000]))))
    assert [number for _, _, number, _ in pages] == list(range(len(pages)))
    assert [flags for flags, *_ in pages] == [2, *[0] * (len(pages) - 2), 4]
    granules = [granule for _, granule, _, _ in pages]
    assert granules == sorted(granules)
    assert granules[-1] == 312 + 2 * 60_000
    for *_, page in pages:
        assert page[22:26] == struct.pack("<I", checksum(page[:22] + bytes(4) + page[26:]))


def test_checksum_is_the_bitwise_definition() -> None:
    data = bytes(range(256)) * 3
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    assert checksum(data) == crc


@given(st.lists(st.binary(max_size=1_275), max_size=80), st.integers(1, 60))
def test_page_groups_keep_order_and_fit(packets: list[bytes], per_page: int) -> None:
    groups = page_groups(packets, per_page)
    assert [packet for group in groups for packet in group] == packets
    pages = OggPages()
    for group in groups:
        assert 0 < len(group) <= per_page
        pages.page(group, 0)  # raises when it does not fit


def test_a_page_that_can_not_hold_its_packets_is_an_error() -> None:
    with pytest.raises(ValueError, match="256 segments"):
        OggPages().page([bytes(255 * 255)], 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3_000), st.integers(1, 40))
def test_the_length_of_a_stream_is_known_before_it_is_made(rest: int, frames: int) -> None:
    """RSS names it, and HEAD; around every edge of a frame, and away from them."""
    for samples in (rest, 576 * frames - 1, 576 * frames, 576 * frames + 1):
        chunks = [speechlike(samples)] if samples else []
        for fmt in ("mp3", "wav", "pcm"):
            assert stream_bytes(fmt, samples) == len(encode(fmt, chunks)), (fmt, samples)
    assert [stream_bytes(fmt, rest) for fmt in ("opus", "flac")] == [None, None]
