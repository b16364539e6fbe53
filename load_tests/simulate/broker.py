"""A model of the broker: a quorum queue that delivers at least once, to consumers that come and go.

It may lose tickets, deliver them three times, restart (all that was unacked comes back), take no more confirms, and
have connections that look alive and deliver nothing. Without messages (`tickets` False) it tells the embedded mode's
story: news that something is due, with nothing behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from contracts.errors import BrokerUnavailable
from contracts.jobs import Receipt, Ticket
from contracts.ports import Delivery
from contracts.units import Lane, Unit
from load_tests.simulate.plan import Plan
from load_tests.simulate.process import Faults, Process, Trace


@dataclass(eq=False)
class _Message:
    ticket: Ticket
    redelivered: bool = False


@dataclass
class Broker:
    """One queue of one lane. buried: units of the dead letters; unburied: those it refused to take."""

    plan: Plan
    faults: Faults
    trace: Trace
    buried: list[Unit] = field(default_factory=list)
    unburied: list[Unit] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    _ready: deque[_Message] = field(default_factory=deque)
    _sources: list[Source] = field(default_factory=list)

    @property
    def away(self) -> bool:
        """It is down."""
        return self.faults.within(self.plan.broker_restarts)

    async def run(self) -> None:
        """Restart when the plan says so: what was unacked goes back to the queue."""
        for outage in sorted(self.plan.broker_restarts, key=lambda o: o.start):
            await asyncio.sleep(max(0.0, outage.start - asyncio.get_running_loop().time()))
            self.trace.add("broker", "restarts")
            self.faults.count["broker restarted"] += 1
            for source in self._sources:
                source.lose_connection()
            await asyncio.sleep(outage.length)
            self.wake()

    def connect(self, process: Process) -> Source:
        """A consumer of this process."""
        source = Source(self, process)
        self._sources.append(source)
        return source

    async def disconnect(self, source: Source) -> None:
        """Its process has died: TCP says so at once, or heartbeats do after a while."""
        await asyncio.sleep(self.faults.rng.choice((0.0, 0.01, 2.0)))
        self._sources.remove(source)
        source.lose_connection()

    async def publish(self, tickets: Sequence[Ticket]) -> None:
        """Take them, as far as nothing goes wrong."""
        for ticket in tickets:
            if self.faults.happens("ticket lost", self.plan.lost):
                continue
            copies = 3 if self.faults.happens("ticket tripled", self.plan.tripled) else 1
            self._ready.extend(_Message(ticket) for _ in range(copies))
        self.wake()

    def put_back(self, message: _Message) -> None:
        """A quorum queue puts what comes back in front."""
        message.redelivered = True
        self._ready.appendleft(message)
        self.wake()

    def wake(self) -> None:
        """Consumers may look again."""
        for source in self._sources:
            source.news.set()

    def take(self) -> _Message | None:
        """The next ticket."""
        return self._ready.popleft() if self._ready and not self.away else None

    def tell_cancelled(self, job: str) -> None:
        """To every worker, at most once."""
        for source in self._sources:
            if not self.faults.happens("cancellation lost", 0.2):
                source.cancelled.put_nowait(job)


@dataclass(eq=False)
class _InHand:
    """See Delivery. live: the connection it came by is."""

    source: Source
    message: _Message
    ticket: Ticket | None
    redelivered: bool
    live: bool = True

    async def ack(self) -> None:
        await self.source.travel()
        self.source.settle(self)

    async def put_back(self) -> None:
        await self.source.travel()
        if self.source.settle(self):
            self.source.broker.put_back(self.message)


class Source:
    """TicketSource of one worker."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.broker, self._process = broker, process
        self.news = asyncio.Event()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        self._unacked: list[_InHand] = []
        self._stopped = False
        self._deaf = broker.faults.happens("deaf connection", broker.plan.deaf)

    def lose_connection(self) -> None:
        """What is in hand goes to others; whoever holds it learns nothing."""
        for held in self._unacked:
            held.live = False
            self.broker.put_back(held.message)
        self._unacked.clear()

    def settle(self, held: _InHand) -> bool:
        """False: its connection is gone, and so is the delivery."""
        if held.live:
            self._unacked.remove(held)
        return held.live

    async def travel(self) -> None:
        """To the broker; a dead process never arrives."""
        await self._process.lives()
        await self.broker.faults.travel()
        await self._process.lives()

    async def next(self, timeout_s: float) -> Delivery | None:
        """See TicketSource.next."""
        await self._process.lives()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._stopped:
                    if not self._deaf and (message := self.broker.take()) is not None:
                        return self._deliver(message)
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            await self._process.lives()
        return None

    def _deliver(self, message: _Message) -> _InHand:
        tickets = self.broker.plan.tickets
        held = _InHand(self, message, message.ticket if tickets else None, message.redelivered and tickets)
        self._unacked.append(held)
        self.broker.trace.add(self._process.name, f"is handed {message.ticket.unit} again={message.redelivered}")
        return held

    async def cancellations(self) -> AsyncIterator[str]:
        """See TicketSource.cancellations."""
        while True:
            job = await self.cancelled.get()
            await self._process.lives()
            yield job

    async def reply(self, reply_to: str, receipt: Receipt) -> None:
        """See TicketSource.reply."""
        del reply_to
        await self.travel()
        self.broker.receipts.append(receipt)

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketSource.publish."""
        del lane
        await self.travel()
        if self.broker.away:
            raise BrokerUnavailable("away")
        await self.broker.publish(tickets)

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        """See TicketSource.bury."""
        del lane, reason
        await self.travel()
        if self.broker.away:
            self.broker.unburied.append(unit)
            raise BrokerUnavailable("away")
        self.broker.buried.append(unit)
        self.broker.trace.add(self._process.name, f"buries {unit}")
        if self.broker.faults.happens("killed after burying", 0.2 * bool(self.broker.plan.faults)):
            self._process.die()

    async def renew(self) -> None:
        """See TicketSource.renew."""
        await self.travel()
        if self.broker.away:
            raise BrokerUnavailable("away")
        self._deaf = False
        self.lose_connection()

    async def stop(self) -> None:
        """See TicketSource.stop."""
        self._stopped = True
        self.news.set()

    async def close(self) -> None:
        """See TicketSource.close."""


class Publisher:
    """TicketPublisher of one front."""

    reply_to = "front"

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker, self._process = broker, process

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketPublisher.publish."""
        del lane
        broker, process, chance = self._broker, self._process, self._broker.plan.faults
        await process.lives()
        await broker.faults.travel()
        await process.lives()
        if broker.away:
            raise BrokerUnavailable("away")
        if broker.faults.happens("publish refused", chance):
            raise BrokerUnavailable("refused")
        cut = broker.faults.happens("killed while publishing", chance)
        await broker.publish(tickets[: len(tickets) // 2] if cut else tickets)
        if cut:
            process.die()
        await broker.faults.travel()
        await process.lives()
        if broker.faults.happens("confirm lost", chance) or broker.away:
            raise BrokerUnavailable("the confirm was lost")

    async def cancel(self, job: str) -> None:
        """See TicketPublisher.cancel."""
        await self._process.lives()
        await self._broker.faults.travel()
        await self._process.lives()
        if self._broker.away:
            raise BrokerUnavailable("away")
        self._broker.tell_cancelled(job)

    async def receipts(self) -> AsyncIterator[Receipt]:
        """See TicketPublisher.receipts: the model keeps them."""
        return
        yield

    async def ready(self) -> bool:
        """See TicketPublisher.ready."""
        return not self._broker.away

    async def close(self) -> None:
        """See TicketPublisher.close."""
