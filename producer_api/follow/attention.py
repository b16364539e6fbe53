"""Who listens to what: followers of live casts are told to the order of work, so that what is heard comes first.

A follower is taken to play from where it starts, and to go on for as long as it is connected. One that says where it
is (the page's socket does, on play, pause and seek) is believed instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Iterator
from uuid import uuid4

from contracts.errors import StoreUnavailable
from contracts.ports import Listening, LogStatus, Scheduler
from contracts.units import Lane

logger = logging.getLogger(__name__)

RENEW_S = 10.0
TTL_MS = 30_000
"""A follower that has gone is heard for so long yet: most come back."""
MAX_NEWS = 10_000


class Ear:
    """One follower. name: its own once it has said where it is; before that it is one of the front's many."""

    def __init__(self) -> None:
        self.lane = Lane("")
        self.cast = ""
        self.name = ""
        self.playing = True
        self._position_ms = 0
        self._since = time.monotonic()

    @property
    def position_ms(self) -> int:
        """Of the audio, if it has played on since it was last heard of."""
        return self._position_ms + round((time.monotonic() - self._since) * 1000)

    def moved(self, position_ms: int | None) -> None:
        """It is there now; None: it has paused."""
        self.playing = position_ms is not None
        if position_ms is not None:
            self._position_ms, self._since = position_ms, time.monotonic()


class Attention:
    """Of the followers of one front process."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._front = f"front-{uuid4().hex[:8]}"
        self._numbers = itertools.count(1)
        self._ears: dict[str, set[Ear]] = {}
        self._news: asyncio.Queue[tuple[Ear, Listening]] = asyncio.Queue(MAX_NEWS)

    @contextlib.contextmanager
    def following(self, status: LogStatus, start: int, ear: Ear) -> Iterator[None]:
        """This ear follows a live log from seq `start` on."""
        ear.lane, ear.cast = status.lane, f"{status.job}:{status.epoch}"
        others = self._ears.setdefault(ear.cast, set())
        ear.moved(_position_ms(status, start))
        self._tell(ear, ear.position_ms, renew=any(not e.name for e in others))
        others.add(ear)
        try:
            yield
        finally:
            others.discard(ear)
            if not others:
                self._ears.pop(ear.cast, None)

    def plays_at(self, ear: Ear, position_ms: int | None) -> None:
        """The player behind this ear is at position_ms of the audio now; None: it has paused."""
        if not ear.cast:
            return  # it follows nothing yet, or a log that is finished
        if not ear.name:
            ear.name = f"{self._front}.{next(self._numbers)}"
            if all(e.name for e in self._ears.get(ear.cast, ())):
                self._put(ear, Listening(self._front, None, TTL_MS))
        ear.moved(position_ms)
        self._tell(ear, position_ms, renew=False)

    async def run(self) -> None:
        """Tell what is to be told, in order, and renew what is followed, for as long as the process lives."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew())
            while True:
                ear, listening = await self._news.get()
                try:
                    await self._scheduler.hear(ear.lane, ear.cast, listening)
                except StoreUnavailable as exc:  # the next renewal says it again
                    logger.info("who listens is not told now", extra={"cast": ear.cast, "error": str(exc)})

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            for ears in list(self._ears.values()):
                foremost = sorted((e for e in ears if e.playing), key=lambda e: e.position_ms)
                for _, ear in sorted({e.name: e for e in foremost}.items()):
                    self._tell(ear, ear.position_ms, renew=True)

    def _tell(self, ear: Ear, position_ms: int | None, *, renew: bool) -> None:
        """Not awaited: a follower must not wait for the order of work."""
        self._put(ear, Listening(ear.name or self._front, position_ms, TTL_MS, renew))

    def _put(self, ear: Ear, listening: Listening) -> None:
        if self._news.full():  # the store has been away for long: what is old matters least
            self._news.get_nowait()
        self._news.put_nowait((ear, listening))


def _position_ms(status: LogStatus, start: int) -> int:
    """Audio before record `start`, estimated from what is committed; seq = index + 1."""
    if start <= 1 or status.watermark == 0:
        return 0
    return round(status.audio_ms * min(start - 1, status.watermark) / status.watermark)
