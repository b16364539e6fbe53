"""Ports: what the front and the workers may ask of the store and the broker. Adapters are in contracts.adapters.

LogWriter, LogReader and Scheduler are the log and the order of work (Redis, or SQLite); TicketPublisher and
TicketSource say that there is work (RabbitMQ, or a watched SQLite file). Every verb may raise Unavailable.
All times are milliseconds; all clocks are the store's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from contracts.jobs import JobClass, Receipt, Ticket, WorkerInfo
from contracts.records import Record
from contracts.units import Lane, Unit

LogState = Literal["live", "done", "cancelled", "failed"]


# --- the log -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewLog:
    """A log to be opened."""

    job: str
    epoch: str
    lane: Lane
    job_class: JobClass
    owner: str
    recipe: Mapping[str, Any]
    """Goes to workers; not readable through the front."""
    meta: Mapping[str, Any]
    """Headers of record 0; `created` is set by the store."""
    units: Sequence[str]
    """Texts of the units, in order."""
    closed: bool
    """False: text still arrives and units will be added."""
    ttl_ms: int
    """Retention, counted from the last record."""
    reply_to: str = ""
    """Where the receipt goes, see TicketPublisher.reply_to."""


@dataclass(frozen=True, slots=True)
class LogStatus:
    """Where a log stands."""

    job: str
    epoch: str
    lane: Lane
    job_class: JobClass
    state: LogState
    closed: bool
    total: int
    """Units known so far."""
    watermark: int
    """Units committed contiguously from 0."""
    next_seq: int
    """Seq of the record that comes next: every record below it is readable."""
    skipped: int
    audio_ms: int
    """Audio in records below next_seq."""
    gen_ms: int
    """Engine time spent on them."""
    created_ms: int
    first_ms: int
    """When the first unit was committed: playback could start then. 0 while there is none."""
    now_ms: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer to open: `new` is False where the log was there already (first claim wins)."""

    new: bool
    status: LogStatus


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker needs to render a unit it has claimed.

    verdict: RENDER; DUP (committed already, release it); GONE (other epoch, cancelled, expired).
    """

    verdict: Literal["RENDER", "DUP", "GONE"]
    text: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What a worker commits for one unit. duration_ms and gen_ms are summed into the log's totals."""

    type: Literal["audio", "skip"]
    headers: Mapping[str, Any]
    body: bytes = b""
    duration_ms: int = 0
    gen_ms: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """Answer to commit. On every verdict the caller releases the unit and acknowledges its ticket.

    OK: visible now; STAGED: waits for earlier units; DUP: another commit was first; GONE: other epoch, cancelled
    or expired; BAD: no such unit. finished: this commit wrote the terminal record.
    """

    verdict: Literal["OK", "STAGED", "DUP", "GONE", "BAD"]
    watermark: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A run of records. closed: the last record of the log is in `records` or before it."""

    epoch: str
    records: Sequence[Record]
    next_seq: int
    closed: bool


class LogWriter(Protocol):
    """Makes logs grow."""

    async def open(self, log: NewLog) -> Opened:
        """Create the log with its `meta` record, unless a live or finished one of this id is there."""
        ...

    async def look(self, unit: Unit) -> Assignment:
        """What a claimed unit is; read before rendering, so that nothing committed is rendered again."""
        ...

    async def commit(self, unit: Unit, output: Output) -> Committed:
        """Append a unit's record in index order, and the terminal record after the last one. First write wins."""
        ...

    async def cancel(self, job: str) -> LogStatus | None:
        """Write `cancelled` as the last record of a live log; None if there is no such log."""
        ...

    async def status(self, job: str) -> LogStatus | None:
        """Where the log stands; None if there is none."""
        ...


class LogReader(Protocol):
    """Reads logs. No verb of it can name anything but a log."""

    async def status(self, job: str) -> LogStatus | None:
        """Where the log stands; None if there is none."""
        ...

    async def read(self, job: str, start: int, *, max_records: int = 256, max_bytes: int = 1 << 20) -> Page | None:
        """Records from seq `start` on, at least one if there is one; None if there is no such log."""
        ...


@dataclass(frozen=True, slots=True)
class Ring:
    """A log may have grown. record: what was appended, if the news brought it along; the log holds the same bytes."""

    job: str
    epoch: str = ""
    record: Record | None = None


class Bell(Protocol):
    """Tells one front process which logs have grown. It may ring too often, and is backed by a slow poll."""

    async def watch(self, job: str) -> None:
        """Ring for this log from now on."""
        ...

    async def unwatch(self, job: str) -> None:
        """Do not."""
        ...

    def rings(self) -> AsyncIterator[Ring]:
        """News of watched logs. One consumer per process."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


# --- the order of work ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """A unit handed out under a lease. attempt counts from 1; dead: it has been handed out too often already."""

    unit: Unit
    deadline_ms: int
    attempt: int
    dead: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """Units waiting and units leased in one lane."""

    due: int
    running: int


class Scheduler(Protocol):
    """Decides which unit is next in the whole fleet."""

    async def submit(self, lane: Lane, units: Sequence[tuple[Unit, int]]) -> int:
        """Put (unit, deadline) pairs in order; those waiting or leased already are left alone. How many were new."""
        ...

    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False
    ) -> Claim | None:
        """Take a unit: the one bound to a redelivered ticket, else the one due soonest. None: nothing is due."""
        ...

    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """Renew a lease; False if it is no longer `owner`'s (lapsed and handed on, or cancelled)."""
        ...

    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """Put a leased unit back under its own deadline, if it is still `owner`'s.

        attempted: the engine failed, so this attempt counts; False for a worker that merely leaves.
        """
        ...

    async def release(self, lane: Lane, units: Sequence[Unit]) -> None:
        """Forget units, leased ones too: the log has decided."""
        ...

    async def ahead(self, lane: Lane, unit: Unit) -> int | None:
        """Units due before this one; None if it is not waiting."""
        ...

    async def backlog(self, lane: Lane) -> Backlog:
        """How much there is to do."""
        ...

    async def register(self, info: WorkerInfo, ttl_ms: int) -> None:
        """Make a worker known for ttl_ms; `seen_ms` is set by the store."""
        ...

    async def unregister(self, lane: Lane, worker: str) -> None:
        """Forget a worker that leaves."""
        ...

    async def workers(self, lane: Lane) -> list[WorkerInfo]:
        """Workers heard of within their TTL."""
        ...


# --- tickets -------------------------------------------------------------------------------------------------


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

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        """Leave a copy of a dead unit among the lane's dead letters."""
        ...

    async def stop(self) -> None:
        """Take no more tickets; those in hand stay in hand."""
        ...

    async def close(self) -> None:
        """Free what it holds; tickets still in hand go to other workers."""
        ...
