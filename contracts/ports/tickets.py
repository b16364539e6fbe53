"""Ports of the broker: the front publishes tickets, workers consume them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from contracts.jobs import Receipt, Ticket
from contracts.units import Lane, Unit


class TicketPublisher(Protocol):
    """The front's side of the broker."""

    @property
    def reply_to(self) -> str:
        """Where workers send receipts for this process; correlation id = job id."""
        ...

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """Publish persistent tickets and wait until the broker has them. Raises BrokerUnavailable."""
        ...

    async def cancel(self, job: str) -> None:
        """Tell every worker to stop what it does for this job."""
        ...

    def receipts(self) -> AsyncIterator[Receipt]:
        """Receipts of jobs this process has published. One consumer; a missed one is in the log."""
        ...

    async def ready(self) -> bool:
        """True while publishing would work."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


class Delivery(Protocol):
    """A ticket in hand. Exactly one of ack and put_back ends it; both are harmless on a dead connection."""

    @property
    def ticket(self) -> Ticket | None:
        """None: the adapter has no messages, only the news that something is due."""
        ...

    @property
    def redelivered(self) -> bool:
        """The broker has handed it to somebody before, who is gone."""
        ...

    async def ack(self) -> None:
        """Done with it."""
        ...

    async def put_back(self) -> None:
        """Let another worker have it, at once."""
        ...


class TicketSource(Protocol):
    """A worker's side of the broker."""

    async def next(self, timeout_s: float) -> Delivery | None:
        """The next ticket; None after timeout_s, or when there is no broker to ask."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Job ids that have been cancelled. One consumer."""
        ...

    async def reply(self, reply_to: str, receipt: Receipt) -> None:
        """Ring the doorbell of the front that opened the job; best effort: the log holds the same figures."""
        ...

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """As TicketPublisher.publish, of units that this worker has added to a log."""
        ...

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        """Leave a copy of a dead unit among the lane's dead letters."""
        ...

    async def renew(self) -> None:
        """Connect anew: this connection delivers nothing although work is due. Raises BrokerUnavailable."""
        ...

    async def stop(self) -> None:
        """Take no more tickets; those in hand stay in hand."""
        ...

    async def close(self) -> None:
        """Free what it holds; tickets still in hand go to other workers."""
        ...
