"""The worker shell: consume, claim, render, commit, acknowledge. One task group is the process.

What becomes of a ticket (and of the unit it was used for):

    nothing is due              ack
    unit committed before, gone release, ack
    handed out too often        bury a copy, commit `skip`, release, ack
    another attempt writes it   ack; the unit is not ours any more
    rendered and committed      release, ack; a receipt if this commit finished the log
    engine died or failed       give back (the attempt counts), put back
    stopped: cancelled, lapsed  ack; the unit is not ours any more
    stopped: this worker drains give back (no attempt), put back
    store does not answer       hold everything and try again
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from contracts.errors import BrokerUnavailable, EngineError, EngineStopped, StoreUnavailable, Unavailable
from contracts.jobs import Receipt, WorkerInfo
from contracts.ports import Assignment, Claim, Committed, Delivery, LogWriter, Output, Scheduler, TicketSource
from contracts.records import to_json
from contracts.units import Lane, Unit
from workers import metrics
from workers.engine import EngineInfo
from workers.in_flight import Held, InFlight
from workers.renderer import Renderer
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

REGISTER_S = 3.0
REGISTRATION_TTL_MS = 10_000
OVERTAKEN_S = (0.002, 0.004, 0.008, 0.016)
"""A fresh ticket may be here before its unit is submitted, as the front does both at once: waits between looks."""
RELEASE_S = 0.02
"""Releases are gathered for so long."""
RETRY_S = (0.05, 2.0)
"""First and longest pause while the store does not answer."""
XRT_WEIGHT = 0.1
"""Weight of the newest unit in the running mean of the real-time factor."""


class Shell:
    """One worker process of one lane."""

    def __init__(  # noqa: PLR0913  the parts of a worker
        self, worker: str, lane: Lane, settings: WorkerSettings, *,
        log: LogWriter, scheduler: Scheduler, source: TicketSource, renderer: Renderer, info: EngineInfo,
    ) -> None:  # fmt: skip
        self._worker, self._lane, self._settings = worker, lane, settings
        self._log, self._scheduler, self._source = log, scheduler, source
        self._renderer, self._info = renderer, info
        self._lease_ms = round(settings.lease_s * 1000)
        self._in_flight = InFlight()
        self._draining = asyncio.Event()
        self._over = False
        self._decided: asyncio.Queue[tuple[Unit, int | None]] = asyncio.Queue()
        self._xrt = info.probe_xrt
        self._guessing = True
        self._delivered_at = time.monotonic()

    def drain(self) -> None:
        """Take nothing new; give back what is not finished in time."""
        self._draining.set()

    async def run(self) -> None:
        """Work until drained."""
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(work())
                for work in (self._keep_leases, self._keep_registered, self._obey_cancellations, self._release_decided)
            ]
            slots = [group.create_task(self._slot()) for _ in range(self._info.slots)]
            await self._draining.wait()
            await self._source.stop()
            await asyncio.wait(slots, timeout=self._settings.drain_s)
            for held in self._in_flight:
                held.stop.set()
            await asyncio.wait(slots)
            await self._decided.join()
            self._over = True  # a cancellation can get lost in a library; then the next round is the last
            for helper in helpers:
                helper.cancel()
        await self._scheduler.unregister(self._lane, self._worker)

    # --- one slot --------------------------------------------------------------------------------------------

    async def _slot(self) -> None:
        while not self._draining.is_set():
            delivery = await self._source.next(self._settings.idle_poll_s)
            if self._draining.is_set():
                if delivery is not None:
                    await delivery.put_back()
                return
            worked = await self._turn(delivery)
            await self._watch(delivered=delivery is not None, worked=worked)

    async def _watch(self, *, delivered: bool, worked: bool) -> None:
        """Work is due, and finds us by idle polls alone: the connection looks alive and is not."""
        now = time.monotonic()
        if delivered or not worked:
            self._delivered_at = now
        elif now - self._delivered_at > self._settings.watchdog_s:
            self._delivered_at = now
            logger.warning("no ticket is delivered though work is due; connecting anew")
            metrics.RECONNECTS.inc()
            try:
                await self._source.renew()
            except BrokerUnavailable as exc:
                logger.warning("the broker does not answer", extra={"error": str(exc)})

    async def _turn(self, delivery: Delivery | None) -> bool:
        """One row of the table above; True: there was a unit to do.

        Without a ticket this is the idle poll: it finds units whose ticket was lost.
        """
        ticket = "" if delivery is None or delivery.ticket is None else str(delivery.ticket.unit)
        redelivered = delivery is not None and delivery.redelivered
        metrics.REDELIVERED.inc(int(redelivered))
        began = time.monotonic()
        guess = self._look_ahead(delivery)
        claim = await self._claim(ticket, redelivered=redelivered)
        for pause_s in OVERTAKEN_S if claim is None and ticket and not redelivered else ():
            await asyncio.sleep(pause_s)
            if claim := await self._claim(ticket, redelivered=False):
                break
        if ticket:  # an idle poll says nothing of tickets
            self._guessing = claim is not None and str(claim.unit) == ticket
        settled = True if claim is None else await self._work(claim, began, guess if self._guessing else None)
        if guess is not None:
            guess.cancel()
        if delivery is not None:
            await (delivery.ack() if settled else delivery.put_back())
        return claim is not None

    def _look_ahead(self, delivery: Delivery | None) -> asyncio.Task[Assignment] | None:
        """While little is queued a ticket gets its own unit: look it up beside the claim, if the last one did."""
        if not self._guessing or delivery is None or delivery.ticket is None:
            return None
        unit = delivery.ticket.unit
        return asyncio.create_task(self._patiently(lambda: self._log.look(unit)))

    async def _claim(self, ticket: str, *, redelivered: bool) -> Claim | None:
        began = time.perf_counter()
        xrt = self._xrt / self._info.slots
        claim = await self._patiently(
            lambda: self._scheduler.claim(
                self._lane, self._worker, self._lease_ms, ticket=ticket, redelivered=redelivered, xrt=xrt
            )
        )
        metrics.CLAIM_SECONDS.observe(time.perf_counter() - began)
        return claim

    async def _work(self, claim: Claim, began: float, looked: Awaitable[Assignment] | None = None) -> bool:
        """Do a claimed unit; True: the ticket is spent, False: somebody else should have it."""
        with self._in_flight.hold(claim.unit) as held:
            return await self._work_on(held, claim, began, looked)

    async def _work_on(self, held: Held, claim: Claim, began: float, looked: Awaitable[Assignment] | None) -> bool:
        unit = claim.unit
        try:
            task = None if looked is None else await looked
            if task is None or task.verdict == "GONE":  # its ticket, and our look, may have overtaken the log itself
                task = await self._patiently(lambda: self._log.look(unit))
            if task.verdict != "RENDER":
                return self._release(unit, None, task.verdict)
            if claim.dead:
                output = await self._bury(claim, task)
            else:
                alone = await self._in_flight.begin(held)
                output = await self._render(claim, task, held, alone=alone)
            committed = await self._commit(unit, output)
            if committed.verdict == "LAPSED":
                metrics.UNITS.labels("lapsed").inc()
                return True
            await self._patiently(lambda: self._renderer.settled(unit, task, output, committed))
            if not claim.dead:
                self._measure(output, time.monotonic() - began, 1 if alone else self._info.slots)
            done_ms = output.duration_ms if committed.verdict in ("OK", "STAGED") else None
            self._release(unit, done_ms, f"{output.type} {committed.verdict}")
            if committed.finished and task.reply_to:
                await self._send_receipt(unit.job, task)
        except EngineStopped:
            metrics.UNITS.labels("stopped").inc()
            return not await self._give_back(unit, attempted=False)
        except EngineError as exc:
            logger.warning("unit failed", extra={"unit": str(unit), "attempt": claim.attempt, "error": str(exc)})
            metrics.UNITS.labels("failed").inc()
            return not await self._give_back(unit, attempted=True)
        return True

    async def _render(self, claim: Claim, task: Assignment, held: Held, *, alone: bool) -> Output:
        with metrics.RENDER_SECONDS.time():
            output = await self._patiently(
                lambda: self._renderer.render(claim, task, alone=alone, stop=held.stop), Unavailable
            )
        headers = {**output.headers, "a": claim.attempt, "w": self._worker}
        return replace(output, headers=headers)

    def _measure(self, output: Output, seconds: float, at_once: int) -> None:
        """Keep the speed up to date: from claim to commit. What was heard before had its engine time then."""
        if output.duration_ms > 0 and output.gen_ms <= 1000 * seconds:
            self._xrt += XRT_WEIGHT * (at_once * output.duration_ms / 1000 / seconds - self._xrt)
            metrics.XRT.set(self._xrt)

    async def _commit(self, unit: Unit, output: Output) -> Committed:
        began = time.perf_counter()
        committed = await self._patiently(lambda: self._log.commit(unit, output))
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - began)
        if committed.verdict in ("OK", "STAGED"):
            metrics.AUDIO_SECONDS.inc(output.duration_ms / 1000)
        return committed

    def _release(self, unit: Unit, duration_ms: int | None, outcome: str) -> bool:
        """Nobody waits for a release, and it would stand in the way of those who read what was committed: soon."""
        metrics.UNITS.labels(outcome.lower().replace(" ", "_")).inc()
        self._decided.put_nowait((unit, duration_ms))
        return True

    async def _release_decided(self) -> None:
        """Release units the log has decided, a few at a time. If we die first, leases lapse and `look` says DUP."""
        while not self._over:
            units = [await self._decided.get()]
            await asyncio.sleep(RELEASE_S)
            units += [self._decided.get_nowait() for _ in range(self._decided.qsize())]
            await self._patiently(lambda units=units: self._scheduler.release(self._lane, units))  # type: ignore[misc]
            for _ in units:
                self._decided.task_done()

    async def _give_back(self, unit: Unit, *, attempted: bool) -> bool:
        """True: it was still ours, and waits for another worker now."""
        return await self._patiently(
            lambda: self._scheduler.give_back(self._lane, unit, self._worker, attempted=attempted)
        )

    async def _bury(self, claim: Claim, task: Assignment) -> Output:
        reason = f"given up after {claim.attempt - 1} attempts"
        logger.error("unit is dead", extra={"unit": str(claim.unit), "reason": reason})
        try:
            await self._source.bury(self._lane, claim.unit, reason)
        except BrokerUnavailable as exc:  # listeners matter more than the copy
            logger.warning("dead letter not kept", extra={"unit": str(claim.unit), "error": str(exc)})
        return Output("skip", {"i": claim.unit.index, "t": task.text.rstrip(), "reason": reason})

    async def _send_receipt(self, job: str, task: Assignment) -> None:
        status = await self._patiently(lambda: self._log.status(job))
        if status is None:
            return
        xrt = round(status.audio_ms / status.gen_ms, 3) if status.gen_ms else 0.0
        receipt = Receipt(
            job=job, state="done", units=status.total, skipped=status.skipped, audio_ms=status.audio_ms,
            gen_ms=status.gen_ms, xrt=xrt, voice=str(task.recipe.get("voice", "")),
        )  # fmt: skip
        logger.info("job finished", extra={"receipt": to_json(receipt.model_dump()).decode()})
        await self._source.reply(task.reply_to, receipt)

    async def _patiently(self, call: Callable[[], Awaitable[T]], awaited: type[Unavailable] = StoreUnavailable) -> T:
        """Repeat a call until the store answers: what is held stays held, and nothing that was rendered is lost."""
        pause, longest = RETRY_S
        while True:
            try:
                return await call()
            except awaited as exc:
                logger.warning("store does not answer", extra={"error": str(exc)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)

    # --- beside the slots ------------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        """Renew leases; stop rendering a unit that is not ours any more."""
        while not self._over:
            await asyncio.sleep(self._settings.lease_s / 3)
            for held in self._in_flight:
                if not await self._patiently(
                    lambda unit=held.unit: self._scheduler.extend(self._lane, unit, self._worker, self._lease_ms)  # type: ignore[misc]
                ):
                    held.stop.set()

    async def _obey_cancellations(self) -> None:
        async for job in self._source.cancellations():
            for held in self._in_flight:
                if held.unit.job == job:
                    held.stop.set()

    async def _keep_registered(self) -> None:
        while not self._over:
            info = WorkerInfo(
                id=self._worker, pool=self._settings.pool, lane=self._lane, engine=self._info.name,
                model=self._info.model, device_asked=self._info.device_asked, device_active=self._info.device_active,
                voices=self._info.voices, slots=self._info.slots, xrt=round(self._xrt, 3), rss_mb=_rss_mb(), seen_ms=0,
            )  # fmt: skip
            await self._patiently(lambda info=info: self._scheduler.register(info, REGISTRATION_TTL_MS))  # type: ignore[misc]
            await asyncio.sleep(REGISTER_S)


def _rss_mb() -> int:
    """Peak resident memory of this process and its engine, MiB (ru_maxrss is in KiB on Linux)."""
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return usage // 1024
