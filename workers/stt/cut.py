"""Pieces for hearing out of a stream of samples: cut at pauses, never longer than 30 s, the first one short.

Whisper computes a window of 30 s whatever is in it, so short utterances are joined into long pieces. The first piece
is short, for somebody waits for the first words. The same samples give the same pieces, however they arrive in blocks:
the detector sees groups of GROUP frames counted from the start. What is held is one piece, whatever the file's length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.stt.hearing import FRAME, PER_MS, Activity, Samples

FRAME_MS = FRAME // PER_MS
GROUP = 32
"""Frames given to the detector at once: 1.024 s."""
SPEECH_FROM = 0.5
SPEECH_UNTIL = 0.35
"""A frame under SPEECH_FROM is still speech where speech was, down to this."""
PAUSE = 6
"""Frames without speech that are a pause: 192 ms."""
BLIP = 3
"""Speech of fewer frames is a click: under 96 ms."""
PADDING = 6
"""Frames of what is no speech kept at each end: 192 ms."""
LONGEST = 875
"""Frames of a piece: 28 s, padding and all."""
FIRST = 250
"""Frames of the first piece: 8 s."""
APART = 94
"""Frames: speech on both sides of a longer pause, 3 s, is not joined. Whisper makes words up in long silence."""
TAIL = 4
"""Frames behind the end of speech, 128 ms, that belong to how it ends."""
_QUIET = 5
"""Frames a cut without pause looks at together."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Speech to be heard at once. Times: ms from the start of the file; samples: all of them between the two."""

    start_ms: int
    end_ms: int
    samples: Samples


@dataclass(slots=True)
class _Speech:
    """Frames from start to before end."""

    start: int
    end: int


class _Cutter:
    """Takes frames, gives pieces. All positions are frames from the start of the file."""

    def __init__(self) -> None:
        self._frames: list[Samples] = []
        self._kept = 0
        """Position of the first frame that is held."""
        self._now = 0
        self._floor = 0
        """Where the last piece ended: no sample is in two pieces."""
        self._speech: list[_Speech] = []
        """Of the piece that is being made; the last one grows while `_open`."""
        self._open = False
        self._quiet_since: int | None = None
        self._limit = FIRST

    def add(self, frame: Samples, probability: float) -> Iterator[Piece]:
        """One frame; the pieces that are complete with it."""
        self._frames.append(frame)
        self._now += 1
        self._listen(probability)
        if self._open:
            if self._now - self._first_frame() >= self._limit:
                yield self._cut_long()
        elif self._speech:
            if self._now - self._speech[-1].end > APART:
                yield self._piece(self._speech[-1].end + PADDING, [])
        else:
            self._forget(self._now - PADDING)

    def end(self) -> Iterator[Piece]:
        """What is left."""
        if self._open:
            self._close(self._now if self._quiet_since is None else self._quiet_since)
        if self._speech:
            yield self._piece(min(self._speech[-1].end + PADDING, self._now), [])

    def _listen(self, probability: float) -> None:
        at = self._now - 1
        if probability >= SPEECH_FROM:
            self._quiet_since = None
            if not self._open:
                self._speech.append(_Speech(at, at + 1))
                self._open = True
        elif self._open and probability < SPEECH_UNTIL and self._quiet_since is None:
            self._quiet_since = at
        if not self._open:
            return
        if self._quiet_since is not None and self._now - self._quiet_since >= PAUSE:
            self._close(self._quiet_since)
        elif self._quiet_since is None:
            self._speech[-1].end = self._now

    def _close(self, end: int) -> None:
        self._open, self._quiet_since = False, None
        last = self._speech[-1]
        last.end = end
        # A piece cut without pause may leave a short rest of a word: that is no click.
        if last.end - last.start < BLIP and last.start != self._floor:
            self._speech.pop()

    def _first_frame(self) -> int:
        return max(self._floor, self._speech[0].start - PADDING)

    def _cut_long(self) -> Piece:
        """The longest pause in the last third of what is held, else the quietest place there."""
        earliest = self._first_frame() + self._limit * 2 // 3
        pauses = [
            (following.start - before.end, index)
            for index, (before, following) in enumerate(zip(self._speech, self._speech[1:], strict=False))
            if following.start > earliest
        ]
        if pauses:
            _, index = max(pauses)
            rest = self._speech[index + 1 :]
            end = self._speech[index].end
            # A short pause is shared with the piece that follows.
            return self._piece(end + min(PADDING, (rest[0].start - end) // 2), rest)
        at = self._quietest(earliest, self._now)
        return self._piece(at, self._after(at))

    def _quietest(self, start: int, end: int) -> int:
        held = self._frames[start - self._kept : end - self._kept]
        power = np.array([np.mean(np.square(frame, dtype=np.float64)) for frame in held])
        smooth = np.convolve(power, np.ones(_QUIET) / _QUIET, "valid")
        return start + int(np.argmin(smooth)) + _QUIET // 2

    def _after(self, at: int) -> list[_Speech]:
        """Speech after a cut; none where the cut is in the silence that may become a pause."""
        rest = [_Speech(max(s.start, at), s.end) for s in self._speech if s.end > at]
        if not rest:
            self._open, self._quiet_since = False, None
        return rest

    def _piece(self, end: int, rest: list[_Speech]) -> Piece:
        start = self._first_frame()
        samples = np.concatenate(self._frames[start - self._kept : end - self._kept])
        self._speech = rest
        self._limit = LONGEST
        self._floor = end
        self._forget(max(end, (rest[0].start if rest else self._now) - PADDING))
        return Piece(start * FRAME_MS, start * FRAME_MS + samples.size // PER_MS, samples)

    def _forget(self, until: int) -> None:
        if until > self._kept:
            del self._frames[: until - self._kept]
            self._kept = until


def cut(blocks: Iterable[Samples], activity: Activity) -> Iterator[Piece]:
    """Pieces in order, without overlap, from blocks of any size; silence gives none.

    Only the last piece may end between frames: at the end of the file.
    """
    cutter = _Cutter()
    for frames, probabilities in _observed(blocks, activity):
        for frame, probability in zip(frames, probabilities.tolist(), strict=True):
            yield from cutter.add(frame, probability)
    yield from cutter.end()


def speaks(samples: Samples, activity: Activity) -> bool:
    """Whether there is more than a click of speech in it."""
    frames = np.pad(samples, (0, -samples.size % FRAME)).reshape(-1, FRAME)
    return bool(np.count_nonzero(activity(frames) >= SPEECH_FROM) >= BLIP)


def without_rest(samples: Samples, activity: Activity) -> Samples:
    """Up to TAIL frames behind its last speech; all of it where nobody speaks."""
    frames = np.pad(samples, (0, -samples.size % FRAME)).reshape(-1, FRAME)
    speech = np.flatnonzero(activity(frames) >= SPEECH_FROM)
    return samples[: (int(speech[-1]) + 1 + TAIL) * FRAME] if speech.size else samples


def _observed(blocks: Iterable[Samples], activity: Activity) -> Iterator[tuple[list[Samples], NDArray[np.float32]]]:
    """Groups of GROUP frames with their probabilities of speech; the last frame of the file may be shorter."""
    group = GROUP * FRAME
    rest = np.empty(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        while rest.size >= group:
            yield _group(rest[:group], activity)
            rest = rest[group:]
    if rest.size:
        yield _group(rest, activity)


def _group(samples: Samples, activity: Activity) -> tuple[list[Samples], NDArray[np.float32]]:
    padded = np.pad(samples, (0, -samples.size % FRAME))
    frames = [samples[at : at + FRAME] for at in range(0, samples.size, FRAME)]
    return frames, activity(padded.reshape(-1, FRAME))
