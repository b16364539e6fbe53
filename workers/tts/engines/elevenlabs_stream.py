"""What ElevenLabs streams, put together: samples, and the times of characters made those of words."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from contracts.errors import UnitFailed
from workers.tts.speech import SAMPLE_RATE, Speech, Word
from workers.tts.words import shown_words

OUTPUT_FORMAT = "pcm_24000"
"""16 bits, little-endian, mono: what we need, without a lossy codec between."""
LONGEST_S = 300
"""Of one unit, which is a sentence; more is no speech of it."""


class Listening:
    """One answer, line by line. text: what is spoken."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pcm = bytearray()
        self._characters: list[str] = []
        self._starts: list[float] = []
        self._ends: list[float] = []

    def take(self, line: bytes) -> None:
        """One more line: audio_base64, alignment (of the text as it was sent). Raises UnitFailed."""
        try:
            part = json.loads(line)
            self._pcm += base64.b64decode(part["audio_base64"] or "", validate=True)
            if part.get("alignment"):
                self._align(part["alignment"])
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as exc:
            raise UnitFailed(f"ElevenLabs has sent what is no speech: {line[:80].decode(errors='replace')}") from exc
        if len(self._pcm) > 2 * LONGEST_S * SAMPLE_RATE:
            raise UnitFailed(f"ElevenLabs has sent more than {LONGEST_S} s for one unit")

    def _align(self, alignment: dict[str, Any]) -> None:
        names = ("characters", "character_start_times_seconds", "character_end_times_seconds")
        characters, starts, ends = (list(alignment[name]) for name in names)
        for character, start, end in zip(characters, starts, ends, strict=True):
            self._characters.append(str(character))
            self._starts.append(float(start))
            self._ends.append(float(end))

    def speech(self) -> Speech:
        """All of it."""
        pcm = np.frombuffer(bytes(self._pcm[: len(self._pcm) // 2 * 2]), "<i2")
        samples = pcm.astype(np.float32) / np.float32(32_768)
        return Speech(samples, tuple(self._words(samples.size)))

    def _words(self, size: int) -> Iterator[Word]:
        """Words of the text that stand among the characters, in order."""
        owners = [n for n, character in enumerate(self._characters) for _ in character]
        said, at = "".join(self._characters), 0
        for word in shown_words(self._text):
            first = said.find(word, at)
            if first < 0:
                continue
            at = first + len(word)
            start, end = self._starts[owners[first]], self._ends[owners[at - 1]]
            begin = min(max(round(start * SAMPLE_RATE), 0), size)
            yield Word(word, begin, min(max(round(end * SAMPLE_RATE), begin), size))
