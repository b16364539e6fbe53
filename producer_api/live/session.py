"""One live transcript: an open log that grows by a unit with every utterance.

The audio is stored as it comes, so an utterance is one message with a list of its parts. While it is being said it is
heard again and again for a text of the moment, which is given up as soon as it is over. Where it is asked whether its
speaker has finished, it is heard ahead: from the first silence on that may be its end. If it was, that is its text.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.adapters import Store
from contracts.errors import Unavailable, UnknownLog
from contracts.jobs import HeardPiece, PieceOrder, Spoken
from contracts.ports import Work
from contracts.records import Record
from contracts.topology import blob_of
from producer_api.dispatch import Dispatch
from producer_api.follow.hub import Hub
from producer_api.live.moment import Hearing, Moment, Session
from producer_api.live.turns import FRAME_BYTES, Turns, Utterance

logger = logging.getLogger(__name__)

TOUCH_MS = 10_000
"""A session says so often that it is alive; see Janitor."""
INTERIM_MS = 500
"""So much must be new for another text of the moment."""
AHEAD_MS = 100
"""After so much silence an utterance may be over: it is heard while the rest of its pause is waited for."""
LANGUAGE_MS = 3_000
"""The language of an utterance of this length is that of the session; of shorter ones it is a guess."""

Told = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass
class _Audio:
    """What is stored of an utterance. size: bytes."""

    parts: list[int] = field(default_factory=list)
    size: int = 0
    asked_ms: int = 0
    """So much was to be heard for a text of the moment."""


@dataclass
class _Pending:
    """One that is on its way into the log. order: empty until its audio is stored."""

    utterance: Utterance
    audio: _Audio
    order: str = ""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What may be a whole utterance, being heard."""

    utterance: Utterance
    frames: int
    order: str
    audio: _Audio
    heard: Hearing


class LiveTranscript:
    """Of one speaker.

    tell: called with each text of the moment: e (`partial`), i, start, end (ms), t; and, where it was heard ahead, with
    the headers of an utterance's `segment`, before its record is there.
    """

    def __init__(
        self, session: Session, turns: Turns, *, store: Store, dispatch: Dispatch, hub: Hub, tell: Told
    ) -> None:
        self.session = session
        self._turns = turns
        self._log, self._blobs = store.log_writer, store.blobs
        self._dispatch, self._tell = dispatch, tell
        self._moment = Moment(session, store, dispatch, hub)
        self._blob = blob_of(session.job, session.epoch)
        self._language = session.recipe.language or ""
        self._held = bytearray()
        self._ended = self._units = 0
        """Utterances, and how many of them are in the log."""
        self._pending: list[_Pending] = []
        """Those that are on the way there: where the store is away, the next try has them, too."""
        self._growing = asyncio.Lock()
        self._next_part = 0
        self._audio = _Audio()
        self._adding: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._ahead: _Ahead | None = None

    async def hear(self, pcm: bytes) -> None:
        """What was said, as Microphone.pcm gives it. Raises Unavailable; UnknownLog: it was cancelled."""
        self._held += pcm
        whole = len(self._held) - len(self._held) % FRAME_BYTES
        frames, self._held = self._held[:whole], self._held[whole:]
        for at in range(0, whole, FRAME_BYTES):
            if (done := self._turns.add(bytes(frames[at : at + FRAME_BYTES]))) is not None:
                await self._add(done)
            elif self.session.turn and self._turns.speaking is not None and self._turns.quiet_ms == AHEAD_MS:
                await self._hear_ahead(self._turns.speaking)
        if self.session.interim and (speaking := self._turns.speaking) is not None:
            await self._ask_for_now(speaking)
        self._check_added()

    @property
    def units(self) -> int:
        """Utterances so far; the last ones may not be in the log yet."""
        return self._ended

    async def drop(self) -> None:
        """What is being said was nothing. Raises Unavailable."""
        self._turns.drop()
        self._audio, self._ahead = _Audio(), None
        await self._moment.give_up()

    async def pause(self) -> None:
        """What is being said is over. Raises as hear does."""
        if (done := self._turns.end()) is not None:
            await self._add(done)

    async def close(self) -> None:
        """Nothing more is said: the log ends with what was. Raises Unavailable."""
        try:
            await self._moment.close()
            await _over(self._adding)  # whoever waited for it may have been cancelled; what failed is tried again
            await self.pause()
            await self._grow(close=True)
        except UnknownLog:
            logger.info("a live transcript was cancelled", extra={"job": self.session.job})

    async def touch(self) -> None:
        """Say that this session is alive, for as long as it is."""
        while True:
            await asyncio.sleep(TOUCH_MS / 1000)
            try:
                await self._grow()
            except Unavailable as exc:
                logger.info("a live transcript waits for the store", extra={"error": str(exc)})
            except UnknownLog:
                return

    def follow(self, record: Record) -> None:
        """A record of the transcript: what it says of the language holds for what is said next."""
        if record.type == "segment" and record.headers["end"] - record.headers["start"] >= LANGUAGE_MS:
            self._language = self._language or record.headers["language"]

    # --- utterances ------------------------------------------------------------------------------------------

    async def _store(self, utterance: Utterance, audio: _Audio) -> None:
        if body := bytes(utterance.pcm[audio.size :]):
            part, self._next_part = self._next_part, self._next_part + 1
            await self._blobs.put(self._blob, {part: body}, self.session.ttl_ms)
            audio.parts.append(part)
            audio.size += len(body)

    def _order(self, utterance: Utterance, audio: _Audio, *, interim: bool) -> str:
        turn = self.session.turn and not interim
        spoken = Spoken(blob=self._blob, parts=audio.parts, interim=interim, turn=turn)
        return PieceOrder(
            start=utterance.start_ms, end=utterance.end_ms, language=self._language, spoken=spoken
        ).model_dump_json()

    async def _add(self, utterance: Utterance) -> None:
        """One more unit; nobody waits for what was heard ahead."""
        audio, self._audio = self._audio, _Audio()
        ahead, self._ahead = self._ahead, None
        self._ended += 1
        if ahead is not None and ahead.utterance is utterance and ahead.frames == utterance.frames:
            self._adding = asyncio.create_task(self._add_heard(ahead, self._ended - 1, self._adding))
            return
        self._adding = asyncio.create_task(self._add_unit(utterance, audio, self._adding))
        await _over(self._adding)
        self._check_added()

    def _check_added(self) -> None:
        """Raises what the last one to be added has failed by, once."""
        if self._adding is not None and self._adding.done():
            added, self._adding = self._adding, None
            added.result()

    async def _add_unit(self, utterance: Utterance, audio: _Audio, before: asyncio.Task[None] | None) -> None:
        await _over(before)
        self._pending.append(_Pending(utterance, audio))
        await asyncio.gather(self._grow(), self._moment.give_up())

    async def _add_heard(self, ahead: _Ahead, index: int, before: asyncio.Task[None] | None) -> None:
        """With its text as it is known by now; or to be heard again, if it is not."""
        await _over(before, ahead.heard)
        heard = None if ahead.heard.cancelled() else ahead.heard.result()
        if heard is None:
            self._pending.append(_Pending(ahead.utterance, ahead.audio, ahead.order))
            await self._grow()
            return
        said = {**heard, "i": index}
        self._pending.append(_Pending(ahead.utterance, ahead.audio, HeardPiece(heard=said).model_dump_json()))
        await asyncio.gather(self._tell({"e": "segment", **said}), self._grow())
        try:
            await self._blobs.drop(self._blob, ahead.audio.parts)
        except Unavailable as exc:
            logger.info("audio is left to lapse", extra={"job": self.session.job, "error": str(exc)})

    async def _grow(self, *, close: bool = False) -> None:
        """By all that is pending, whole or not at all: nobody knows how many there are after half of it."""
        async with self._growing:
            session, first, pending = self.session, self._units, self._pending[:]
            for one in pending:
                if not one.order:
                    await self._store(one.utterance, one.audio)
                    one.order = self._order(one.utterance, one.audio, interim=False)
            orders = [one.order for one in pending]
            grown = await self._log.grow(session.job, session.epoch, first, orders, close=close)
            if grown.verdict != "OK":
                raise UnknownLog(session.job)
            if pending:  # due at once: nothing is before them
                lengths = [one.utterance.end_ms - one.utterance.start_ms for one in pending]
                work = Work(session.job, session.epoch, session.client, "live", lengths, first, 0)
                await self._dispatch.add(session.lane, work)
            self._units += len(pending)
            del self._pending[: len(pending)]

    # --- before it is over -----------------------------------------------------------------------------------

    async def _hear_ahead(self, utterance: Utterance) -> None:
        """It may be over."""
        audio = self._audio
        audio.asked_ms = utterance.end_ms - utterance.start_ms
        if not await self._stored(utterance, audio):
            return
        order = self._order(utterance, audio, interim=False)
        heard = self._moment.hear_ahead(order, audio.asked_ms)
        self._ahead = _Ahead(utterance, utterance.frames, order, audio, heard)
        self._tell_soon(utterance, heard)

    async def _ask_for_now(self, utterance: Utterance) -> None:
        """Have what was said so far heard, unless that is being done."""
        audio, length_ms = self._audio, utterance.end_ms - utterance.start_ms
        if self._moment.busy or length_ms < audio.asked_ms + INTERIM_MS:
            return
        audio.asked_ms = length_ms
        if await self._stored(utterance, audio):
            self._tell_soon(utterance, self._moment.hear(self._order(utterance, audio, interim=True), length_ms))

    async def _stored(self, utterance: Utterance, audio: _Audio) -> bool:
        """What was said so far; False: the store is away, and the utterance is kept until it is over."""
        try:
            await self._store(utterance, audio)
        except Unavailable as exc:
            logger.info("nothing is heard for now", extra={"job": self.session.job, "error": str(exc)})
            return False
        return True

    def _tell_soon(self, utterance: Utterance, heard: Hearing) -> None:
        if self.session.interim:
            self._telling = asyncio.create_task(self._tell_now(utterance, heard))

    async def _tell_now(self, utterance: Utterance, heard: Hearing) -> None:
        await _over(heard)
        said = None if heard.cancelled() else heard.result()
        if said is not None and said["t"] and self._turns.speaking is utterance:
            times = {"start": said["start"], "end": said["end"]}
            await self._tell({"e": "partial", "i": self._ended, **times, "t": said["t"]})


async def _over(*tasks: asyncio.Task[Any] | None) -> None:
    """Wait until they are, however they ended."""
    if waiting := [task for task in tasks if task is not None]:
        await asyncio.wait(waiting)
