"""Text of the moment: what is being said is heard before it is over.

A log of one unit, made anew each time, so that the store itself sees to it that a speaker has never two of them in
work. It is heard behind everybody's finished utterances, unless it may be a finished one itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.adapters import Store
from contracts.errors import Unavailable, UnknownLog
from contracts.ids import new_epoch
from contracts.jobs import JobClass, TranscriptRecipe
from contracts.ports import NewLog, Work
from contracts.topology import interim_job
from contracts.units import Lane
from producer_api.dispatch import Dispatch
from producer_api.follow.hub import Hub

logger = logging.getLogger(__name__)

STALE_S = 3.0
"""A text of the moment that takes longer is given up."""
LONG_S = 30.0
"""One that may be of a whole utterance is waited for so long."""
INTERIM_TTL_MS = 60_000

Hearing = asyncio.Task[Mapping[str, Any] | None]
"""Headers of a `segment`; None: it came too late, or not at all. Cancelled: nobody waits for it any more."""


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
    """Ask of each utterance whether its speaker has finished; hear it ahead of that."""


class Moment:
    """Of one speaker."""

    def __init__(self, session: Session, store: Store, dispatch: Dispatch, hub: Hub) -> None:
        self._session = session
        self._job = interim_job(session.job)
        self._log, self._dispatch, self._hub = store.log_writer, dispatch, hub
        self._hearing: Hearing | None = None

    @property
    def busy(self) -> bool:
        """Something is being heard."""
        return self._hearing is not None and not self._hearing.done()

    def hear(self, order: str, length_ms: int) -> Hearing:
        """What was said so far, for now."""
        self._hearing = asyncio.create_task(self._hear(order, length_ms, "bulk", STALE_S))
        return self._hearing

    def hear_ahead(self, order: str, length_ms: int) -> Hearing:
        """What may be a whole utterance, at once and in place of what is being heard."""
        self._hearing = asyncio.create_task(self._hear_instead(self._hearing, order, length_ms))
        return self._hearing

    async def give_up(self) -> None:
        """What was not heard by now is stale."""
        if self.busy:
            await self._cancel()

    async def close(self) -> None:
        """Nobody waits for it any more."""
        await self._stop(self._hearing)

    async def _hear_instead(self, before: Hearing | None, order: str, length_ms: int) -> Mapping[str, Any] | None:
        await self._stop(before)
        return await self._hear(order, length_ms, "live", LONG_S)

    async def _hear(
        self, order: str, length_ms: int, job_class: JobClass, patience_s: float
    ) -> Mapping[str, Any] | None:
        session, epoch = self._session, new_epoch()
        new_log = NewLog(
            self._job, epoch, session.lane, job_class, "", session.recipe.model_dump(),
            {"v": 1, "kind": "stt", "title": ""}, [order], closed=True, ttl_ms=INTERIM_TTL_MS, replace=True,
        )  # fmt: skip
        try:
            opened = await self._log.open(new_log)
            if opened.new:
                async with asyncio.timeout(patience_s):
                    work = Work(self._job, epoch, session.client, job_class, [length_ms], 0, 0)
                    await self._dispatch.add(session.lane, work)
                    return await self._segment()
        except TimeoutError:
            logger.info("a text of the moment came too late", extra={"job": session.job})
        except (Unavailable, UnknownLog) as exc:
            logger.info("no text of the moment", extra={"job": session.job, "error": str(exc)})
        await self._cancel()
        return None

    async def _stop(self, hearing: Hearing | None) -> None:
        """Unless it is done."""
        if hearing is not None and not hearing.done():
            hearing.cancel()
            await asyncio.wait([hearing])
            await self._cancel()

    async def _cancel(self) -> None:
        try:
            await self._dispatch.cancel(self._job)
        except Unavailable as exc:
            logger.info("a text of the moment is left to lapse", extra={"job": self._job, "error": str(exc)})

    async def _segment(self) -> Mapping[str, Any] | None:
        found = None
        async with contextlib.aclosing(self._hub.follow(self._job, 1, heard=False)) as runs:  # type: ignore[type-var]
            async for records in runs:
                for record in records:
                    found = record.headers if record.type == "segment" else found
        return found
