"""The janitor: looks at logs that should have ended by now, and submits again what those lack that do not move.

A front that dies between OPEN and SUBMIT, or a store that has lost the order of work but not the log, leaves a live log
nobody works on. Every front has a janitor; the store hands each overdue log to one of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from contracts.adapters import Store
from contracts.errors import BadAudio, Unavailable
from contracts.ids import client_id
from contracts.ports import LogSource, LogStatus
from contracts.topology import HEARING_MODELS, LLM_LANE, cut_job, cut_lane, live_lane, speech_lane, transcript_lane
from contracts.units import Lane
from contracts.voices import MODELS
from producer_api import metrics
from producer_api.dispatch import Dispatch, source_lengths_ms
from producer_api.live.session import TOUCH_MS

logger = logging.getLogger(__name__)

ROUND_S = 2.0
AGAIN_MS = 30_000
AT_ONCE = 100
DESERTED_MS = 3 * TOUCH_MS
_HEARING = [transcript_lane(model) for model in HEARING_MODELS]
_SPEECH = [speech_lane(model) for model in MODELS]
_LIVE = [live_lane(lane) for lane in _HEARING]
LANES = (*_SPEECH, *_HEARING, *(cut_lane(lane) for lane in _HEARING), *_LIVE, LLM_LANE)


class Janitor:
    """One per front process.

    open_idle_s: how long an open cast is waited for; take_over: speaks the completion an open cast names.
    """

    def __init__(
        self, store: Store, dispatch: Dispatch, secret: bytes, *,
        open_idle_s: int, take_over: Callable[[LogSource], None],
    ) -> None:  # fmt: skip
        self._log, self._scheduler = store.log_writer, store.scheduler
        self._dispatch = dispatch
        self._secret = secret
        self._open_idle_ms = open_idle_s * 1000
        self._take_over = take_over

    async def run(self) -> None:
        """A round every ROUND_S, for as long as the process lives."""
        while True:
            await asyncio.sleep(ROUND_S)
            for lane in LANES:
                try:
                    await self.round(lane)
                except Unavailable as exc:
                    logger.info("the janitor waits", extra={"error": str(exc)})

    async def round(self, lane: Lane) -> int:
        """Look at what is overdue in a lane. How many units were submitted again. Raises Unavailable."""
        repaired = 0
        ended: list[str] = []
        for job in await self._scheduler.overdue(lane, AGAIN_MS, AT_ONCE):
            status = await self._log.status(job)
            if status is None or status.state != "live":
                ended.append(job)
            elif not status.closed and lane in _LIVE:
                await self._look_at_speaker(status)
            elif not status.closed and lane not in _SPEECH:
                await self._look_at_cut(status)
            elif not status.closed and not await self._look_at_open_cast(status):
                continue
            elif await self._scheduler.place(lane, f"{job}:{status.epoch}") is None:
                repaired += await self._repair(job)
        await self._scheduler.settled(lane, ended)
        return repaired

    async def _look_at_cut(self, status: LogStatus) -> None:
        """A transcript whose recording is not cut, and never will be: the front died before it had ordered that."""
        cutting = await self._log.status(cut_job(status.job))
        if cutting is None or cutting.epoch != status.epoch:
            problem = BadAudio("The recording was not taken in completely; send it again.").problem
            await self._log.fail(status.job, status.epoch, problem)

    async def _look_at_speaker(self, status: LogStatus) -> None:
        """A live transcript whose front has died: nothing more is said in it, and what was said is heard."""
        source = await self._log.source(status.job)
        if source is None:
            return
        if _untouched_ms(source) > DESERTED_MS:
            await self._log.grow(status.job, status.epoch, source.status.total, [], close=True)

    async def _look_at_open_cast(self, status: LogStatus) -> bool:
        """A cast whose text still arrives, or whose front has died. False: no units of it lack."""
        source = await self._log.source(status.job)
        if source is None:
            return False
        idle_ms = _untouched_ms(source)
        if source.recipe.get("completion"):
            if idle_ms > DESERTED_MS:
                self._take_over(source)
        elif idle_ms > self._open_idle_ms:
            await self._log.grow(status.job, status.epoch, source.status.total, [], close=True)
        return source.status.watermark < source.status.total

    async def _repair(self, job: str) -> int:
        """No unit of this live log waits or is in work: submit those that are not committed."""
        source = await self._log.source(job)
        if source is None or source.status.state != "live":
            return 0
        client = client_id(self._secret, source.owner, "")
        count = await self._dispatch.supply(source.status, client, source_lengths_ms(source))
        if count:
            logger.warning("a log stood still; submitted again", extra={"job": job, "units": count})
            metrics.REPAIRED_UNITS.inc(count)
        return count


def _untouched_ms(source: LogSource) -> int:
    """How long ago it was written to: that is what its retention counts from."""
    return source.status.now_ms - (source.status.expires_ms - source.ttl_ms)
