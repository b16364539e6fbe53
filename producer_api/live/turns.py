"""Utterances in what a microphone hears: where somebody begins to speak, and where there is a pause."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from producer_api.live.microphone import RATE, SAMPLE_BYTES

FRAME_MS = 20
FRAME_BYTES = FRAME_MS * RATE * SAMPLE_BYTES // 1000
BEFORE = 15
"""Frames kept from before speech was noticed: 300 ms."""
VOTES, NEEDED = 5, 3
"""Speech begins when so many of the last frames are speech."""
AGAIN = 3
"""A pause is over with so many frames of speech in a row: 60 ms."""
AFTER_MS = 200
"""Of the pause is kept."""
LONG, LONG_PAUSE = 750, 12
"""An utterance of over 15 s ends with a pause of 240 ms."""
LONGEST = 1_400
"""Frames: 28 s, as much as Whisper hears at once, less a little."""
QUIET = 250
"""A cut without pause is made where the last 5 s are quietest."""

IsSpeech = Callable[[bytes], bool]


@dataclass(eq=False)
class Utterance:
    """What somebody says between two pauses. pcm: whole frames."""

    start_ms: int
    pcm: bytearray = field(default_factory=bytearray)

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.pcm) // FRAME_BYTES

    @property
    def end_ms(self) -> int:
        """Where it ends, or has come to; as start_ms, from the start of the session."""
        return self.start_ms + FRAME_MS * self.frames


class Turns:
    """Takes frames of FRAME_BYTES, gives utterances. pause_ms: silence that ends one, after_ms of it are kept."""

    def __init__(self, pause_ms: int, is_speech: IsSpeech, after_ms: int = AFTER_MS) -> None:
        self._pause = max(1, pause_ms // FRAME_MS)
        self._after = after_ms // FRAME_MS
        self._is_speech = is_speech
        self._at = 0
        self._before: deque[bytes] = deque(maxlen=BEFORE)
        self._votes: deque[bool] = deque(maxlen=VOTES)
        self._quiet = 0
        self.speaking: Utterance | None = None
        """What is being said."""

    def retune(self, pause_ms: int, is_speech: IsSpeech) -> None:
        """From now on."""
        self._pause = max(1, pause_ms // FRAME_MS)
        self._is_speech = is_speech

    def drop(self) -> None:
        """What is being said was nothing."""
        self.speaking = None
        self._votes.clear()
        self._before.clear()

    @property
    def at_ms(self) -> int:
        """Sound so far."""
        return FRAME_MS * self._at

    @property
    def quiet_ms(self) -> int:
        """Silence behind the last word, up to where it ended an utterance."""
        return FRAME_MS * self._quiet

    def add(self, frame: bytes) -> Utterance | None:
        """The next frame; the utterance that ends with it."""
        self._at += 1
        self._votes.append(self._is_speech(frame))
        if self.speaking is None:
            self._before.append(frame)
            if sum(self._votes) >= NEEDED:
                self.speaking = Utterance(FRAME_MS * (self._at - len(self._before)), bytearray(b"".join(self._before)))
                self._before.clear()
                self._quiet = 0
            return None
        self.speaking.pcm += frame
        again = len(self._votes) >= AGAIN and all(list(self._votes)[-AGAIN:])
        self._quiet = 0 if again else self._quiet + 1
        if self._quiet >= (min(self._pause, LONG_PAUSE) if self.speaking.frames > LONG else self._pause):
            return self.end()
        return self._split() if self.speaking.frames >= LONGEST else None

    def end(self) -> Utterance | None:
        """End what is being said, if anything is; most of the pause behind it is not of it."""
        done = self.speaking
        if done is None:
            return None
        rest = _cut(done, done.frames - max(0, self._quiet - self._after))
        self._before.extend(bytes(rest[at : at + FRAME_BYTES]) for at in range(0, len(rest), FRAME_BYTES))
        self._votes.clear()
        self.speaking = None
        return done

    def _split(self) -> Utterance | None:
        """The first part of what is said without a pause."""
        done = self.speaking
        if done is None:
            return None
        tail = np.frombuffer(done.pcm[-QUIET * FRAME_BYTES :], "<i2").astype(np.float64).reshape(QUIET, -1)
        at = done.frames - QUIET + int(np.argmin(np.square(tail).mean(axis=1)))
        rest = _cut(done, at)
        self.speaking = Utterance(done.end_ms, rest)
        return done


def _cut(utterance: Utterance, frames: int) -> bytearray:
    """Shorten it to so many frames; the rest."""
    rest = utterance.pcm[frames * FRAME_BYTES :]
    del utterance.pcm[frames * FRAME_BYTES :]
    return rest
