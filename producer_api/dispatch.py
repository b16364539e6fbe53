"""The front's side of the order of work: submit units, publish their tickets, say how long it takes, refuse in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from contracts import text
from contracts.adapters import Store
from contracts.errors import BrokerUnavailable, TooBusy
from contracts.jobs import JobClass, PieceOrder, SpeechRecipe, Ticket, WorkerInfo
from contracts.ports import Backlog, LogSource, LogStatus, NewLog, Opened, TicketPublisher, Work
from contracts.units import Lane, Unit
from producer_api import metrics
from producer_api.lately import Lately

logger = logging.getLogger(__name__)

FIRST_TICKETS = 64
"""Tickets confirmed before the answer; the rest follow behind it. A lost one costs an idle poll, not its unit."""
FIRST_LOOK_MS = 5_000
"""A front that dies between OPEN and SUBMIT leaves a log that stands still for so long, until a janitor looks."""
FIRST_UNIT_MS = 2_000
"""Audio of a usual first unit, for estimates of waiting time."""
CUT_MS = 1_000
"""Work that cutting a recording counts as: it is needed soon."""
COMPLETION_MS = 5_000
"""Work that a completion counts as: nobody knows how long it gets."""
BULK_WAIT_MS = 24 * 3_600_000
NO_WORKER_RETRY_S = 5
"""A worker that starts is known within that."""


class Dispatch:
    """Submits and publishes for one front process."""

    def __init__(self, store: Store, publisher: TicketPublisher, *, max_wait_s: int) -> None:
        self._log, self._scheduler = store.log_writer, store.scheduler
        self._publisher = publisher
        self._max_wait_ms = max_wait_s * 1000
        self._behind: set[asyncio.Task[None]] = set()
        self._workers: Lately[Lane, tuple[WorkerInfo, ...]] = Lately(self._ask_workers)
        self._backlog: Lately[Lane, Backlog] = Lately(self._ask_backlog)

    async def _ask_workers(self, lane: Lane) -> tuple[WorkerInfo, ...]:
        return tuple(await self._scheduler.workers(lane))

    async def _ask_backlog(self, lane: Lane) -> Backlog:
        backlog = await self._scheduler.backlog(lane)
        metrics.observe_backlog(lane, backlog)
        return backlog

    async def workers(self, lane: Lane, *, fresh: bool = False) -> Sequence[WorkerInfo]:
        """The lane's workers; asked for again while none is known. fresh: not older than a second."""
        known = await (self._workers.fresh(lane) if fresh else self._workers.get(lane))
        if not known:
            self._workers.forget(lane)
        return known

    async def served(self, lanes: Mapping[str, Lane]) -> list[str]:
        """Names of the lanes that a running worker has. Raises Unavailable."""
        fleets = await asyncio.gather(*(self.workers(lane) for lane in lanes.values()))
        return [name for name, fleet in zip(lanes, fleets, strict=True) if fleet]

    async def full(self, lane: Lane, job_class: JobClass) -> TooBusy | None:
        """What to refuse a new cast with, if it would wait longer than is allowed. A fleet of none counts as 1 x."""
        if self._too_busy(await self._backlog.get(lane), job_class) is None:
            return None
        return self._too_busy(await self._backlog.fresh(lane), job_class)

    def _too_busy(self, backlog: Backlog, job_class: JobClass) -> TooBusy | None:
        speed = max(backlog.xrt, 1.0)
        live = job_class == "live"
        wait_ms = (backlog.heard_ms + (0 if live else backlog.quiet_ms)) / speed
        allowed_ms = self._max_wait_ms if live else BULK_WAIT_MS
        if wait_ms <= allowed_ms:
            return None
        return TooBusy(wait_s=round(wait_ms / 1000), retry_after_s=min(600, 1 + round((wait_ms - allowed_ms) / 1000)))

    async def expect(self, lane: Lane, job: str) -> None:
        """Have a janitor look at this log some time, whatever becomes of this process."""
        await self._scheduler.expect(lane, job, FIRST_LOOK_MS)

    async def open(self, log: NewLog, client: str, lengths_ms: Sequence[int] = ()) -> Opened:
        """Open a log, or find it; put into the order of work what is not made, and publish tickets.

        lengths_ms: estimated audio of every unit. Raises Unavailable; what was written stays, and the same call goes on
        from there.
        """
        # The first ticket goes ahead, as it takes the longest: a worker that has it too early looks again.
        tickets = [Ticket(job=log.job, epoch=log.epoch, index=0)] if lengths_ms else []
        ahead = [asyncio.create_task(self._publisher.publish(log.lane, [ticket])) for ticket in tickets]
        try:
            opened, _ = await asyncio.gather(self._log.open(log), self.expect(log.lane, log.job))
            if opened.status.state == "live" and lengths_ms:
                await self.supply(opened.status, client, lengths_ms, known=len(tickets) if opened.new else 0)
        finally:
            await asyncio.gather(*ahead)
        return opened

    async def supply(
        self, status: LogStatus, client: str, lengths_ms: Sequence[int], *, known: int = 0, wait: bool = False
    ) -> int:
        """Submit what is not committed, and publish a ticket for each unit if any was not known. How many were not.

        lengths_ms: estimated audio of every unit of the log. known: the log is new, and so many tickets of it are out.
        wait: until all tickets are confirmed, not some alone.
        """
        first = status.watermark
        work = Work(
            status.job, status.epoch, client, status.job_class, lengths_ms[first:], first, sum(lengths_ms[:first]),
            status.audio_ms - sum(lengths_ms[:first]),
        )  # fmt: skip
        tickets = [Ticket(job=u.job, epoch=u.epoch, index=u.index) for u in work.units]
        at_once = len(tickets) if wait else FIRST_TICKETS
        if known:
            tickets = tickets[known:]
            count, _ = await asyncio.gather(
                self._scheduler.submit(status.lane, work),
                self._publisher.publish(status.lane, tickets[:at_once]),
            )
        elif (count := await self._scheduler.submit(status.lane, work)) > 0:
            tickets = tickets[-count:]
            await self._publisher.publish(status.lane, tickets[:at_once])
        else:
            return 0
        if rest := tickets[at_once:]:
            task = asyncio.create_task(self._publish_behind(status.lane, rest))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)
        return count

    async def add(self, lane: Lane, work: Work) -> None:
        """Submit units of a log that grows, and publish their tickets. Raises StoreUnavailable."""
        tickets = [Ticket(job=u.job, epoch=u.epoch, index=u.index) for u in work.units]
        await asyncio.gather(self._scheduler.submit(lane, work), self._publish_behind(lane, tickets))

    async def cancel(self, job: str) -> LogStatus | None:
        """End a live log, its waiting units, the engines at work on it; None if there is no such log.

        Raises Unavailable.
        """
        status = await self._log.cancel(job)
        if status is not None and status.state == "cancelled":
            units = [Unit(job, status.epoch, n) for n in range(status.watermark, status.total)]
            await self._scheduler.release(status.lane, [(unit, None) for unit in units])
            try:
                await self._publisher.cancel(job)
            except BrokerUnavailable as exc:
                logger.warning("workers are not told; they find out by their leases", extra={"error": str(exc)})
        return status

    async def _publish_behind(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        try:
            await self._publisher.publish(lane, tickets)
        except BrokerUnavailable as exc:
            logger.warning("tickets not published; idle polls find their units", extra={"error": str(exc)})

    async def wait_ms(self, lane: Lane, audio_ahead_ms: int) -> int | None:
        """How long until a first unit is heard, with so much audio to be made before it; None: nobody works."""
        speed = sum(w.xrt for w in await self.workers(lane))
        return round((audio_ahead_ms + FIRST_UNIT_MS) / speed) if speed > 0 else None


def lengths_ms(units: Sequence[str], recipe: SpeechRecipe) -> list[int]:
    """Estimated audio of each unit."""
    return [text.estimate_ms(unit, recipe.language, recipe.speed) for unit in units]


def source_lengths_ms(source: LogSource) -> list[int]:
    """Estimated audio of each unit of a log that is open already; 0 for texts that are no more known."""
    if source.recipe["kind"] == "llm":
        return [COMPLETION_MS] * source.status.total
    texts = [source.texts.get(n, "") for n in range(source.status.total)]
    if source.recipe["kind"] == "stt":
        return [_order_ms(text) for text in texts]
    return lengths_ms(texts, SpeechRecipe.model_validate(source.recipe))


def _order_ms(text: str) -> int:
    """Of a unit of a transcript, or of its cut; a unit that was heard has its words in place of the order."""
    try:
        order = PieceOrder.model_validate_json(text)
    except ValidationError:
        return CUT_MS
    return order.end - order.start
