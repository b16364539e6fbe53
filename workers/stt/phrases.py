"""Words of a piece become phrases for captions: sentences, and long ones cut where the speaker pauses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from contracts.text.sentences import sentences
from workers.stt.hearing import Word

LONGEST_MS = 10_000
"""A longer sentence is cut: 10 s are about 30 words, two full lines of a caption. There may be no sentences at all,
for Whisper sometimes leaves out every mark."""
HOLE_MS = 3_500
"""A longer time without words is none of the speaker's pauses: pieces are cut at those of 3 s."""


def phrases(words: Sequence[Word], language: str) -> Iterator[Sequence[Word]]:
    """All the words in order, a phrase at a time. language: ISO 639-1, of the words."""
    starts = list(accumulate((len(word.word) for word in words), initial=0))
    ends = accumulate(len(sentence) for sentence in sentences("".join(word.word for word in words), language))
    first = 0
    for end in ends:
        # The blank between two sentences is at the end of the first, and belongs to the word that follows.
        last = next((n for n in range(first, len(words)) if starts[n + 1] > end), len(words))
        if last > first:
            yield from _cut(words[first:last])
        first = last


def _cut(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """At holes, then at the longest pause of the middle half until every part is short; the most central of equals."""
    for n in range(1, len(words)):
        if words[n].start_ms - words[n - 1].end_ms > HOLE_MS:
            yield from _cut(words[:n])
            yield from _cut(words[n:])
            return
    if words[-1].end_ms - words[0].start_ms <= LONGEST_MS or len(words) == 1:
        yield words
        return
    middle = (words[0].start_ms + words[-1].end_ms) // 2
    margin = len(words) // 4

    def pause(n: int) -> tuple[int, int]:
        return words[n].start_ms - words[n - 1].end_ms, -abs(words[n].start_ms - middle)

    at = max(range(max(1, margin), len(words) - margin), key=pause)
    yield from _cut(words[:at])
    yield from _cut(words[at:])
