"""Pieces: nothing said is lost or heard twice, none is too long, the same file gives the same ones."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sounds import recordings, sine

from workers.stt.codec import MalformedPiece, decode_piece, encode_piece
from workers.stt.cut import APART, BLIP, FIRST, FRAME_MS, LONGEST, PADDING, PAUSE, TAIL, Piece, cut, without_rest
from workers.stt.decode import decode
from workers.stt.engines.echo import Loudness
from workers.stt.hearing import FRAME, PER_MS, Samples

SLACK = PADDING * FRAME_MS


class Scripted:
    """A detector that says what it was told."""

    def __init__(self, probabilities: NDArray[np.float32]) -> None:
        self._left = probabilities

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        now, self._left = self._left[: len(frames)], self._left[len(frames) :]
        return now


def runs(*lengths: int) -> NDArray[np.float32]:
    """Frames of silence, speech, silence, … in turn."""
    return np.concatenate([np.full(n, float(i % 2), np.float32) for i, n in enumerate(lengths)])


def noise(frames: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.1, 0.1, frames * FRAME).astype(np.float32)


def pieces(probabilities: NDArray[np.float32], samples: Samples | None = None) -> list[Piece]:
    """What comes out; it is checked on the way."""
    samples = noise(len(probabilities)) if samples is None else samples
    made = list(cut([samples], Scripted(probabilities)))
    until = 0
    for n, piece in enumerate(made):
        assert piece.start_ms >= until
        assert 0 < piece.end_ms - piece.start_ms <= ((LONGEST if n else FIRST) + PADDING) * FRAME_MS
        at = piece.start_ms * PER_MS
        assert np.array_equal(piece.samples, samples[at : at + piece.samples.size])
        assert piece.end_ms == piece.start_ms + piece.samples.size // PER_MS
        until = piece.end_ms
    return made


def spans(made: list[Piece]) -> list[tuple[int, int]]:
    return [(p.start_ms, p.end_ms) for p in made]


def test_silence_gives_no_pieces() -> None:
    assert pieces(runs(2_000)) == []
    assert list(cut([], Loudness())) == []
    assert list(cut([np.zeros(100_000, np.float32)], Loudness())) == []


def test_padding_and_clicks() -> None:
    assert spans(pieces(runs(50, 60, 150))) == [(50 * FRAME_MS - SLACK, 110 * FRAME_MS + SLACK)]
    assert spans(pieces(runs(50, BLIP - 1, 150))) == []
    assert spans(pieces(runs(2, 60))) == [(0, 62 * FRAME_MS)]
    assert spans(pieces(runs(0, 40), noise(40)[:-100])) == [(0, (40 * FRAME - 100) // PER_MS)]


def test_utterances_are_joined_unless_the_pause_is_long() -> None:
    assert len(pieces(runs(0, 40, APART, 40, 200))) == 1
    assert len(pieces(runs(0, 40, APART + 1, 40, 200))) == 2


def test_the_first_piece_is_short_and_the_others_long() -> None:
    sentence = (30, 80)  # 1 s of silence, 2.6 s of speech
    made = pieces(runs(*sentence * 60, 20))
    assert made[0].end_ms - made[0].start_ms <= (FIRST + PADDING) * FRAME_MS
    lengths = [p.end_ms - p.start_ms for p in made[1:-1]]
    assert min(lengths) >= LONGEST * FRAME_MS * 0.6
    assert all((p.start_ms + SLACK) % (110 * FRAME_MS) == 30 * FRAME_MS for p in made)  # each begins with a sentence


def test_speech_without_pause_is_cut_where_it_is_quiet() -> None:
    frames = 1_875  # 60 s
    samples = noise(frames)
    quiet = (200, 900, 1_650)  # 6.4 s, 28.8 s, 52.8 s
    for at in quiet:
        samples[(at - 4) * FRAME : (at + 4) * FRAME] *= 0.1
    made = pieces(runs(0, frames), samples)
    assert (made[0].start_ms, made[-1].end_ms) == (0, 60_000)
    for before, after in itertools.pairwise(made):
        assert before.end_ms == after.start_ms
        assert min(abs(before.end_ms / FRAME_MS - at) for at in quiet) <= 4


def test_a_cut_in_a_breath_that_is_no_pause_yet() -> None:
    """The quietest place may be in the last frames, while it is open whether they are a pause."""
    samples = noise(400)
    samples[(FIRST - PAUSE + 1) * FRAME : FIRST * FRAME] = 0
    made = pieces(runs(0, FIRST - PAUSE + 1, PAUSE - 1, 400 - FIRST), samples)
    assert [p.end_ms for p in made] == [made[1].start_ms, 400 * FRAME_MS]


@st.composite
def talks(draw: st.DrawFn) -> NDArray[np.float32]:
    """Speech and silence of all lengths, with a detector that is sometimes unsure."""
    lengths = draw(st.lists(st.integers(0, 60) | st.integers(0, 1_200), min_size=1, max_size=14))
    doubt = draw(st.sampled_from([0.0, 0.1, 0.4]))
    unsure = np.random.default_rng(draw(st.integers(0, 99))).uniform(0, doubt, sum(lengths)).astype(np.float32)
    doubtful: NDArray[np.float32] = np.abs(runs(*lengths) - unsure)
    return doubtful


@settings(max_examples=200, deadline=None)
@given(talks())
def test_nothing_that_is_said_is_lost(probabilities: NDArray[np.float32]) -> None:
    covered = np.zeros(len(probabilities) + 1, bool)
    for piece in pieces(probabilities):
        covered[piece.start_ms // FRAME_MS : -(-piece.end_ms // FRAME_MS)] = True
    speech = np.concatenate([[0], (probabilities >= 0.5).astype(int), [0]])
    starts, ends = np.flatnonzero(np.diff(speech) == 1), np.flatnonzero(np.diff(speech) == -1)
    for start, end in zip(starts, ends, strict=True):
        if end - start >= BLIP:
            assert covered[start:end].all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=40), st.integers(0, 5))
def test_blocks_do_not_matter(sizes: list[int], seed: int) -> None:
    samples = noise(sum(sizes) // FRAME + 1, seed)[: sum(sizes)]
    samples[samples.size // 3 : samples.size // 2] *= 0.01
    whole = list(cut([samples], Loudness()))
    parts = list(cut(np.split(samples, np.cumsum(sizes)[:-1]), Loudness()))
    assert spans(whole) == spans(parts)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(whole, parts, strict=True))


def test_hours_take_the_memory_of_a_piece() -> None:
    def hours() -> Iterator[Samples]:
        block = np.concatenate([sine(50.0), np.zeros(160_000, np.float32)])
        for _ in range(120):
            yield block

    tracemalloc.start()
    try:
        made = sum(1 for _ in cut(hours(), Loudness()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made >= 240
    assert peak < 20_000_000


# --- with the detector that is used, on human speech ---


@pytest.fixture(scope="module")
def talk() -> Samples:
    """24.7 s of five sentences, over and over, with half a second between."""
    parts = [np.concatenate(list(decode(path))) for path, _ in recordings()]
    return np.concatenate([np.concatenate([part, np.zeros(8_000, np.float32)]) for part in parts * 4])


def test_human_speech_is_cut_at_pauses(talk: Samples) -> None:
    pytest.importorskip("faster_whisper")
    from workers.stt.engines.silero import Silero, load_session

    session = load_session()
    made = list(cut([talk], Silero(session)))
    assert 4 <= len(made) <= 7
    assert made[0].end_ms <= (FIRST + PADDING) * FRAME_MS
    assert sum(p.end_ms - p.start_ms for p in made) > 0.9 * talk.size / PER_MS
    for piece in made:
        edge = 100 * PER_MS
        speech = float(np.sqrt(np.mean(piece.samples**2)))
        assert float(np.sqrt(np.mean(piece.samples[:edge] ** 2))) < 0.2 * speech
        assert float(np.sqrt(np.mean(piece.samples[-edge:] ** 2))) < 0.2 * speech
    again = list(cut(np.array_split(talk, 91), Silero(session)))
    assert spans(again) == spans(made)


def test_the_detector_agrees_with_the_library(talk: Samples) -> None:
    vad = pytest.importorskip("faster_whisper.vad")
    from workers.stt.engines.silero import Silero, load_session

    whole = talk[: talk.size // (32 * FRAME) * 32 * FRAME]
    frames = whole.reshape(-1, FRAME)
    silero = Silero(load_session())
    mine = np.concatenate([silero(frames[at : at + 32]) for at in range(0, len(frames), 32)])
    # The library zeroes the end of the very last frame.
    assert np.abs(mine - vad.get_vad_model()(whole.copy()).ravel())[:-1].max() < 1e-5


# --- how a piece waits in the store ---


@pytest.mark.parametrize("size", [1, 100, 319, 320, 321, 16_000, 100_003])
def test_a_piece_keeps_its_length(size: int) -> None:
    samples = sine(7.0)[:size]
    data = encode_piece(samples)
    assert encode_piece(samples) == data
    heard = decode_piece(data)
    assert heard.shape == samples.shape
    if size >= 16_000:
        assert float(np.mean((heard - samples) ** 2)) < 0.01 * float(np.mean(samples**2))
        assert len(data) < 7_000 * size / 16_000


@pytest.mark.parametrize("data", [b"", b"OggS", b"nothing of the kind", encode_piece(sine(0.1))[:60]])
def test_what_is_no_piece(data: bytes) -> None:
    with pytest.raises(MalformedPiece):
        decode_piece(data)


def test_the_rest_behind_speech_is_left_out() -> None:
    def loud(frames: Samples) -> NDArray[np.float32]:
        found: NDArray[np.float32] = (np.abs(frames).max(axis=1) > 0.1).astype(np.float32)
        return found

    said, rest = np.full(10 * FRAME, 0.5, np.float32), np.zeros(20 * FRAME + 7, np.float32)
    assert without_rest(np.concatenate([said, rest]), loud).size == (10 + TAIL) * FRAME
    assert without_rest(np.concatenate([rest, said]), loud).size == 30 * FRAME + 7
    assert without_rest(rest, loud).size == rest.size
    assert without_rest(rest[:0], loud).size == 0
