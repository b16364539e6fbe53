"""Port of the order of work: which unit is next in the whole fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.jobs import JobClass, WorkerInfo
from contracts.units import Lane, Unit


@dataclass(frozen=True, slots=True)
class Work:
    """Units of one cast that are to be done, in order.

    client: whose turn it is, see ids.client_id; lengths_ms: estimated audio of each unit, from unit `first` on;
    before_ms: estimated audio of all units before `first`; shift_ms: what their real audio came to beyond the estimate,
    as far as they are done.
    """

    job: str
    epoch: str
    client: str
    job_class: JobClass
    lengths_ms: Sequence[int]
    first: int = 0
    before_ms: int = 0
    shift_ms: int = 0

    @property
    def units(self) -> list[Unit]:
        """The units it names."""
        return [Unit(self.job, self.epoch, self.first + n) for n in range(len(self.lengths_ms))]


@dataclass(frozen=True, slots=True)
class Listening:
    """Somebody (`ear`) hears a cast at position_ms of its audio now, and will for ttl_ms.

    position_ms None: has paused, or left. renew: goes on as known; the position counts only where the ear is new, and
    is at most that of the first unit to be done: nobody hears what is not made.
    """

    ear: str
    position_ms: int | None
    ttl_ms: int
    renew: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A unit handed out under a lease. attempt counts from 1; dead: it has been handed out too often already."""

    unit: Unit
    deadline_ms: int
    """When a listener will want it."""
    attempt: int
    dead: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cast stands in the order of work. started: some unit of it has been handed out."""

    started: bool
    casts_ahead: int
    """Waiting casts that are started before it; 0 once it is started."""
    audio_ahead_ms: int
    """Audio the fleet makes before its first unit, estimated."""
    heard: bool
    """Somebody listens, or may be about to."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much there is to do in one lane."""

    due: int
    """Units not handed out."""
    running: int
    """Units under a lease."""
    waiting: int
    """Casts of which no unit has been handed out yet."""
    heard_ms: int
    """Estimated audio of the units that are due, of casts somebody listens to."""
    quiet_ms: int
    """The same of all others."""
    workers: int
    xrt: float
    """Seconds of audio the registered workers make per second, together."""


class Scheduler(Protocol):
    """Decides which unit is next in the whole fleet; contracts.schedule has the rule."""

    async def submit(self, lane: Lane, work: Work) -> int:
        """Put a cast's units in order; those waiting or leased already are left alone. How many were new.

        A cast that is new here counts as heard for GRACE_MS: its listener is about to come. One of which there were
        units before (it is written while it is spoken) goes on: it is started, and wanted at once.
        """
        ...

    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False, xrt: float = 0.0
    ) -> Claim | None:
        """Take a unit: the one bound to a redelivered ticket, else the one the rule chooses. None: nothing is due.

        xrt: how fast this owner renders one unit; 0: unknown.
        """
        ...

    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """Renew a lease; False if it is no longer `owner`'s (lapsed and handed on, or cancelled)."""
        ...

    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """Put a leased unit back in its place, if it is still `owner`'s.

        attempted: the engine failed, so this attempt counts; False for a worker that merely leaves.
        """
        ...

    async def release(self, lane: Lane, units: Sequence[tuple[Unit, int | None]]) -> None:
        """Forget units, leased ones too: the log has decided.

        With each, the audio it came to, ms: estimates of the units after it are corrected by it. None: unknown.
        """
        ...

    async def hear(self, lane: Lane, cast: str, listening: Listening) -> bool:
        """Somebody hears a cast (`job:epoch`), or does not any more. False: nothing of this cast is to be done.

        Its deadlines follow the listener who needs it soonest; with none it is due a day later.
        """
        ...

    async def place(self, lane: Lane, cast: str) -> Place | None:
        """Where a cast (`job:epoch`) stands; None if all its units are done or unknown."""
        ...

    async def backlog(self, lane: Lane) -> Backlog:
        """How much there is to do."""
        ...

    async def expect(self, lane: Lane, job: str, check_in_ms: int) -> None:
        """Remember a log that must come to an end, to be looked at by a janitor if it does not."""
        ...

    async def overdue(self, lane: Lane, again_in_ms: int, limit: int) -> list[str]:
        """Jobs whose time to be looked at has come; each is handed to one caller, and again after again_in_ms."""
        ...

    async def settled(self, lane: Lane, jobs: Sequence[str]) -> None:
        """These logs have ended, or are gone: expect nothing more of them."""
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
