"""What both Kokoro engines share: the voice files, mixes of them, and units that are too long for the model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelMissing, UnitFailed
from contracts.voices import VOICES, parse_mix
from workers.tts.speech import Samples, Speech, Word, join
from workers.tts.trim import CLAUSE_PAUSE_S, trim
from workers.tts.words import MARKS, Spelling, count_sounds, timed

logger = logging.getLogger(__name__)

VOICES_FOLDER = "voices"
MAX_TOKENS = 510
"""Without the two padding tokens; it is also how many style rows a voice has."""
STYLE = 256
HOW_TO_GET_IT = "castline models pull"

Edges = NDArray[np.int64] | None
"""Where each character of a part begins in its samples, and where the last one ends; None: not known."""

_BYTES = MAX_TOKENS * STYLE * 4


class VoiceFolder:
    """`<folder>/<voice>.bin`: little-endian float32, MAX_TOKENS rows of STYLE. Raises ModelMissing if there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._styles: dict[str, NDArray[np.float32]] = {}
        known = [v.id for v in VOICES.values() if v.model == "kokoro"]
        sizes = {name: path.stat().st_size for name in known if (path := self._path(name)).is_file()}
        for name, size in sizes.items():
            if size != _BYTES:
                logger.warning("voice file has the wrong size, not used", extra={"voice": name, "bytes": size})
        self.names = tuple(name for name, size in sizes.items() if size == _BYTES)
        if not self.names:
            raise ModelMissing(f"{folder} holds no voice: {HOW_TO_GET_IT}")

    def style(self, mix: str) -> NDArray[np.float32]:
        """Style rows of a voice or a mix, shape (MAX_TOKENS, STYLE): row n - 1 is for n tokens. Raises UnitFailed."""
        style = np.zeros((MAX_TOKENS, STYLE), np.float32)
        for voice, weight in parse_mix(mix):
            style += np.float32(weight) * self._rows(voice.id)
        return style

    def _rows(self, name: str) -> NDArray[np.float32]:
        if name not in self.names:
            raise UnitFailed(f"voice {name} is not on this worker: {HOW_TO_GET_IT}")
        if name not in self._styles:
            self._styles[name] = np.fromfile(self._path(name), "<f4").reshape(MAX_TOKENS, STYLE)
        return self._styles[name]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"


def split_phonemes(spelled: str) -> list[str]:
    """Parts of at most MAX_TOKENS characters, cut after punctuation, else at a space, else anywhere; none is empty."""
    parts: list[str] = []
    rest = spelled.strip()
    while len(rest) > MAX_TOKENS:
        window = rest[: MAX_TOKENS + 1]
        cut = max(window.rfind(mark + " ") + 1 for mark in ".!?;:,—…")
        if cut < MAX_TOKENS // 3:
            cut = window.rfind(" ")
        if cut <= 0:
            cut = MAX_TOKENS
        parts.append(rest[:cut].strip())
        rest = rest[cut:].strip()
    return [*parts, rest] if rest else parts


def speak_parts(
    spelling: Spelling, vocabulary: Container[str], speed: float, infer: Callable[[str], tuple[Samples, Edges]]
) -> Speech:
    """A text in parts that the model can take at once, with their clauses' pauses between.

    infer: samples of a part, and its edges.
    """
    known = [(c, c not in MARKS) for c in spelling.phonemes]
    sounds = np.cumsum([sound for _, sound in known]) - 1
    kept = [n for n, (c, _) in enumerate(known) if c in vocabulary]
    spelled = "".join(spelling.phonemes[n] for n in kept)
    starts, ends = (np.full(count_sounds(spelling.phonemes), -1, np.int64) for _ in range(2))
    spoken: list[Speech] = []
    at = made = 0
    parts = split_phonemes(spelled)
    for part in parts:
        at = spelled.index(part, at)
        samples, edges = infer(part)
        own = [(n, k) for k, n in enumerate(kept[at : at + len(part)]) if known[n][1]]
        words: tuple[Word, ...] = ()
        if edges is not None and own:
            here = [sounds[n] for n, _ in own]
            starts[here], ends[here] = edges[[k for _, k in own]], edges[[k + 1 for _, k in own]]
            inside = tuple(w for w in spelling.words if made <= w.first <= here[-1])
            words = timed(Spelling(part, inside), starts, ends)
            made = here[-1] + 1
        at += len(part)
        spoken.append(Speech(samples, words))
    inner = [trim(part, CLAUSE_PAUSE_S / speed) for part in spoken[:-1]]
    return join([*inner, *spoken[-1:]])
