"""One live transcript: an open log that grows by a unit with every utterance.

The audio is stored as it comes, so an utterance is one message with a list of its parts. While it is being said it is
heard again and again for a text of the moment: a log of one unit, made anew each time, so that the store itself sees
to it that a speaker has never two of them in work. It goes behind everybody's finished utterances, and is given up as
soon as this one is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.adapters import Store
from contracts.errors import Unavailable, UnknownLog
from contracts.ids import new_epoch
from contracts.jobs import JobClass, PieceOrder, Spoken, TranscriptRecipe
from contracts.ports import NewLog, Work
from contracts.records import Record
from contracts.topology import blob_of, interim_job
from contracts.units import Lane, Unit
from producer_api.dispatch import Dispatch
from producer_api.follow.hub import Hub
from producer_api.live.turns import FRAME_BYTES, Turns, Utterance

logger = logging.getLogger(__name__)

TOUCH_MS = 10_000
"""A session says so often that it is alive; see Janitor."""
INTERIM_MS = 500
"""So much must be new for another text of the moment."""
STALE_S = 3.0
"""A text of the moment that takes longer is given up."""
INTERIM_TTL_MS = 60_000
LANGUAGE_MS = 3_000
"""The language of an utterance of this length is that of the session; of shorter ones it is a guess."""

Told = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Session:
    """What a live transcript is."""

    job: str
    epoch: str
    lane: Lane
    client: str
    recipe: TranscriptRecipe
    ttl_ms: int
    interim: bool
    turn: bool = False
    """Ask of each utterance whether its speaker has finished."""


class LiveTranscript:
    """Of one speaker. tell: called with each text of the moment: e, i, start, end (ms), t."""

    def __init__(
        self, session: Session, turns: Turns, *, store: Store, dispatch: Dispatch, hub: Hub, tell: Told
    ) -> None:
        self.session = session
        self._turns = turns
        self._log, self._blobs = store.log_writer, store.blobs
        self._dispatch, self._hub, self._tell = dispatch, hub, tell
        self._blob = blob_of(session.job, session.epoch)
        self._language = session.recipe.language or ""
        self._held = bytearray()
        self._units = 0
        self._next_part = 0
        self._parts: list[int] = []
        self._stored = 0
        self._asked = 0
        self._adding: asyncio.Task[None] | None = None
        self._interim: asyncio.Task[None] | None = None

    async def hear(self, pcm: bytes) -> None:
        """What was said, as Microphone.pcm gives it. Raises Unavailable; UnknownLog: it was cancelled."""
        self._held += pcm
        whole = len(self._held) - len(self._held) % FRAME_BYTES
        frames, self._held = self._held[:whole], self._held[whole:]
        for at in range(0, whole, FRAME_BYTES):
            if (done := self._turns.add(bytes(frames[at : at + FRAME_BYTES]))) is not None:
                await self._add(done)
        if self.session.interim and (speaking := self._turns.speaking) is not None:
            await self._ask_for_now(speaking)

    @property
    def units(self) -> int:
        """Utterances so far."""
        return self._units

    async def drop(self) -> None:
        """What is being said was nothing. Raises Unavailable."""
        self._turns.drop()
        self._parts, self._stored, self._asked = [], 0, 0
        await self._give_up_now()

    async def pause(self) -> None:
        """What is being said is over. Raises as hear does."""
        if (done := self._turns.end()) is not None:
            await self._add(done)

    async def close(self) -> None:
        """Nothing more is said: the log ends with what was. Raises Unavailable."""
        try:
            if self._adding is not None:  # whoever waited for it may have been cancelled
                await self._adding
            await self.pause()
            await self._grow([], close=True)
        except UnknownLog:
            logger.info("a live transcript was cancelled", extra={"job": self.session.job})

    async def touch(self) -> None:
        """Say that this session is alive, for as long as it is."""
        while True:
            await asyncio.sleep(TOUCH_MS / 1000)
            try:
                await self._grow([])
            except Unavailable as exc:
                logger.info("a live transcript waits for the store", extra={"error": str(exc)})
            except UnknownLog:
                return

    def follow(self, record: Record) -> None:
        """A record of the transcript: what it says of the language holds for what is said next."""
        if record.type == "segment" and record.headers["end"] - record.headers["start"] >= LANGUAGE_MS:
            self._language = self._language or record.headers["language"]

    # --- utterances ------------------------------------------------------------------------------------------

    async def _store(self, utterance: Utterance) -> None:
        if body := bytes(utterance.pcm[self._stored :]):
            await self._blobs.put(self._blob, {self._next_part: body}, self.session.ttl_ms)
            self._parts.append(self._next_part)
            self._next_part += 1
            self._stored += len(body)

    def _order(self, utterance: Utterance, *, interim: bool) -> str:
        turn = self.session.turn and not interim
        spoken = Spoken(blob=self._blob, parts=self._parts, interim=interim, turn=turn)
        return PieceOrder(
            start=utterance.start_ms, end=utterance.end_ms, language=self._language, spoken=spoken
        ).model_dump_json()

    async def _add(self, utterance: Utterance) -> None:
        """One more unit, whole or not at all: nobody knows how many there are after half of it."""
        self._adding = asyncio.create_task(self._add_unit(utterance))
        await asyncio.shield(self._adding)

    async def _add_unit(self, utterance: Utterance) -> None:
        await self._store(utterance)
        order = self._order(utterance, interim=False)
        self._parts, self._stored, self._asked = [], 0, 0
        await self._grow([order])
        unit = Unit(self.session.job, self.session.epoch, self._units)
        self._units += 1
        await asyncio.gather(self._supply(unit, "live", utterance.end_ms - utterance.start_ms), self._give_up_now())

    async def _grow(self, orders: list[str], *, close: bool = False) -> None:
        grown = await self._log.grow(self.session.job, self.session.epoch, self._units, orders, close=close)
        if grown.verdict != "OK":
            raise UnknownLog(self.session.job)

    async def _supply(self, unit: Unit, job_class: JobClass, length_ms: int) -> None:
        """Due at once: nothing is before it."""
        session = self.session
        work = Work(unit.job, unit.epoch, session.client, job_class, [length_ms], unit.index, 0)
        await self._dispatch.add(session.lane, work)

    # --- the text of the moment ------------------------------------------------------------------------------

    async def _ask_for_now(self, utterance: Utterance) -> None:
        """Have what was said so far heard, unless that is being done."""
        if self._interim is not None and not self._interim.done():
            return
        if utterance.end_ms - utterance.start_ms < self._asked + INTERIM_MS:
            return
        await self._store(utterance)
        self._asked = utterance.end_ms - utterance.start_ms
        order = self._order(utterance, interim=True)
        self._interim = asyncio.create_task(self._hear_now(utterance, order, self._asked))

    async def _hear_now(self, utterance: Utterance, order: str, length_ms: int) -> None:
        session, job, epoch = self.session, interim_job(self.session.job), new_epoch()
        new_log = NewLog(
            job, epoch, session.lane, "bulk", "", session.recipe.model_dump(), {"v": 1, "kind": "stt", "title": ""},
            [order], closed=True, ttl_ms=INTERIM_TTL_MS, replace=True,
        )  # fmt: skip
        try:
            opened = await self._log.open(new_log)
            if opened.new:
                async with asyncio.timeout(STALE_S):
                    await self._supply(Unit(job, epoch, 0), "bulk", length_ms)
                    await self._pass_on(job, utterance)
                    return
            await self._give_up_now()
        except TimeoutError:
            await self._give_up_now()
        except (Unavailable, UnknownLog) as exc:
            logger.info("no text of the moment", extra={"job": session.job, "error": str(exc)})

    async def _pass_on(self, job: str, utterance: Utterance) -> None:
        async with contextlib.aclosing(self._hub.follow(job, 1, heard=False)) as runs:  # type: ignore[type-var]
            async for records in runs:
                for record in records:
                    text = record.headers["t"] if record.type == "segment" else ""
                    if text and self._turns.speaking is utterance:
                        times = {"start": record.headers["start"], "end": record.headers["end"]}
                        await self._tell({"e": "partial", "i": self._units, **times, "t": text})

    async def _give_up_now(self) -> None:
        """What was not heard by now is stale."""
        if self._interim is not None and not self._interim.done():
            await self._dispatch.cancel(interim_job(self.session.job))
