"""What a cast sounds of by now: which records, and how many samples each. Read once, then only what is new."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.errors import UnknownLog
from contracts.ports import LogReader, Page

CASTS = 512
"""Kept in memory, a few dozen bytes per sentence."""


class Sound(NamedTuple):
    """One `audio` record."""

    seq: int
    samples: int


@dataclass(slots=True)
class Sounds:
    """The audio of one incarnation of a cast."""

    epoch: str
    heard: list[Sound] = field(default_factory=list)
    closed: bool = False
    """The cast has ended, in whatever way: there is no more to come."""
    next_seq: int = 0

    @property
    def samples(self) -> int:
        """Length so far."""
        return sum(sound.samples for sound in self.heard)

    def add(self, page: Page) -> None:
        """The records that come next."""
        self.heard += [Sound(r.seq, int(r.headers["n"])) for r in page.records if r.type == "audio"]
        self.next_seq, self.closed = page.next_seq, page.closed


class _Entry:
    def __init__(self) -> None:
        self.reading = asyncio.Lock()
        self.sounds = Sounds("")


class SoundIndex:
    """The sounds of the casts that were asked for last, on one front."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._known: OrderedDict[str, _Entry] = OrderedDict()

    async def of(self, job: str) -> Sounds:
        """As it is now. Raises UnknownLog."""
        entry = self._known.setdefault(job, _Entry())
        self._known.move_to_end(job)
        while len(self._known) > CASTS:
            self._known.popitem(last=False)
        async with entry.reading:
            while not await self._read_on(job, entry):
                pass
            return entry.sounds

    async def _read_on(self, job: str, entry: _Entry) -> bool:
        """One page more; True: that was all by now. Raises UnknownLog."""
        page = await self._reader.read(job, entry.sounds.next_seq)
        if page is None:
            self._known.pop(job, None)
            raise UnknownLog(job)
        if entry.sounds.epoch != page.epoch:
            other = entry.sounds.next_seq > 0
            entry.sounds = Sounds(page.epoch)
            if other:  # another incarnation has taken its place: from its beginning
                return False
        entry.sounds.add(page)
        return page.closed or not page.records
