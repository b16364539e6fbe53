"""Ports of the log: LogWriter, LogReader, and the bell that says which logs have grown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from contracts.jobs import JobClass
from contracts.records import Record
from contracts.units import Lane, Unit

LogState = Literal["live", "done", "cancelled", "failed"]
AppendVerdict = Literal["OK", "LAPSED", "GONE"]
CommitVerdict = Literal["OK", "STAGED", "DUP", "GONE", "BAD", "LAPSED"]


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
    replace: bool = False
    """Begin a new incarnation even where a finished log is there; a live one stands in any case."""


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
class LogSource:
    """What a log was opened with, as far as it is still known: enough to submit its units, or to open it again."""

    status: LogStatus
    owner: str
    recipe: Mapping[str, Any]
    meta: Mapping[str, Any]
    """As open took it: without `created`."""
    texts: Mapping[int, str]
    """Index -> text. All units of a live or finished log; of a cancelled one those it holds records of.

    As they were given while the log is live; from the records, and so without trailing white space, after its end.
    """
    reply_to: str
    ttl_ms: int


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
    """What a worker commits for one unit. duration_ms and gen_ms are summed into the log's totals.

    `eos` and `error` are the end of a log of one unit, in place of the `eos` the store would write.
    """

    type: Literal["audio", "segment", "cut", "skip", "eos", "error"]
    headers: Mapping[str, Any]
    body: bytes = b""
    duration_ms: int = 0
    gen_ms: int = 0
    writer: str = ""
    """Who has appended the records before it, see LogWriter.append; empty: nobody has."""


@dataclass(frozen=True, slots=True)
class Part:
    """A record of a unit that becomes visible while it is made."""

    type: Literal["start", "delta"]
    headers: Mapping[str, Any]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Committed:
    """Answer to commit. On every verdict the caller releases the unit and acknowledges its ticket.

    OK: visible now; STAGED: waits for earlier units; DUP: another commit was first; GONE: other epoch, cancelled
    or expired; BAD: no such unit. finished: this commit wrote the terminal record.
    LAPSED: another attempt writes it now; the unit is that one's, and is not released.
    """

    verdict: CommitVerdict
    watermark: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Grown:
    """Answer to grow. OK; GAP: units before `first` are missing, or with `exact` there are more; GONE: other epoch,
    cancelled, failed or expired.

    total: units it has now. finished: this call wrote the terminal record.
    """

    verdict: Literal["OK", "GAP", "GONE"]
    total: int
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
        """Create the log with its `meta` record, unless a live or finished one of this id is there.

        With log.replace a finished one is forgotten, records too, and the new one takes its place in the same step.
        """
        ...

    async def look(self, unit: Unit) -> Assignment:
        """What a claimed unit is; read before rendering, so that nothing committed is rendered again."""
        ...

    async def commit(self, unit: Unit, output: Output) -> Committed:
        """Append a unit's record in index order, and the terminal record after the last one. First write wins."""
        ...

    async def append(self, unit: Unit, writer: str, at: int, parts: Sequence[Part]) -> AppendVerdict:
        """Make parts of a unit visible before it is committed; the unit is the next one of its log.

        writer: this attempt; at: how many parts it has appended before. With 0 it takes over from any other, whose
        calls are LAPSED from then on. May be said again. GONE: committed, other epoch, cancelled or expired.
        """
        ...

    async def grow(
        self, job: str, epoch: str, first: int, texts: Sequence[str], *, close: bool, exact: bool = False
    ) -> Grown:
        """Add units to an open log, from index `first` on; those it has already stay, so that it may be said again.

        close: these were the last; `eos` is written at once if all of them are committed. exact: unless `first` is
        where it ends, nothing is added: somebody else writes, too.
        """
        ...

    async def fail(self, job: str, epoch: str, problem: Mapping[str, Any]) -> bool:
        """Write `error` (RFC 9457 members) as the last record of an open log: the rest of its units will never come.

        False if there is no open one of this epoch.
        """
        ...

    async def source(self, job: str) -> LogSource | None:
        """What the log was opened with; None if there is none. Reads the whole of a finished log."""
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
