"""What readers saw against what they must have seen, by content. Pure; times are time.perf_counter seconds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from load_tests.reader import TERMINAL, Event


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as a reader saw it. content: SHA-256 of the body; raw: of the whole event; at: arrival."""

    seq: int
    kind: str
    index: int
    content: str
    raw: str
    attempt: int
    worker: str
    gen_ms: float
    at: float


def seen(event: Event) -> Seen:
    """Of an SSE event."""
    record = event.record
    return Seen(
        seq=record["seq"], kind=record["e"], index=record.get("i", -1), content=event.content,
        raw=hashlib.sha256(event.raw.encode()).hexdigest(), attempt=record.get("a", 1), worker=record.get("w", ""),
        gen_ms=record.get("g", 0.0), at=event.at,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must stand at an index: `audio` with this content (SHA-256), or `skip`."""

    kind: str
    content: str = ""


@dataclass
class Cast:
    """One cast of a run. posts: how often it took to get an answer; acknowledged: the POST was answered 2xx."""

    text: str
    job: str = ""
    posts: int = 0
    acknowledged: bool = False
    records: list[Seen] = field(default_factory=list)
    """What the reader saw that lived through it."""
    fresh: list[Seen] = field(default_factory=list)
    """What a reader saw that came afterwards."""


@dataclass(frozen=True)
class Verdict:
    """Counts over units, but for `unended` and `unequal`, which count casts."""

    units: int = 0
    lost: int = 0
    """Wanted, and not there; a `skip` where there should be audio is a loss."""
    duplicated: int = 0
    """An index, or an end, that came more than once."""
    misplaced: int = 0
    """Out of order, of a wrong seq, of the wrong content, or of an index nobody wants."""
    unended: int = 0
    """Casts without `eos`."""
    unequal: int = 0
    """Casts of which a fresh reader sees other bytes than the reader who lived through it."""
    recovered: int = 0
    """Units that needed more than one attempt."""
    wasted: int = 0
    """Attempts beyond the first."""

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def good(self) -> bool:
        """Nothing is wrong with what the readers saw."""
        return not (self.lost or self.duplicated or self.misplaced or self.unended or self.unequal)


def check(cast: Cast, wanted: Sequence[Wanted]) -> Verdict:
    """One acknowledged cast."""
    records = cast.records
    units = [r for r in records if r.kind in ("audio", "skip")]
    times = Counter(r.index for r in units)
    ends = [r for r in records if r.kind in TERMINAL]
    there = {r.index: r for r in units}
    lost = sum(1 for n, w in enumerate(wanted) if n not in there or (w.kind, there[n].kind) == ("audio", "skip"))
    tries = [r.attempt - 1 for r in units if r.kind == "audio"]
    return Verdict(
        units=len(wanted),
        lost=lost,
        duplicated=sum(n - 1 for n in times.values()) + max(0, len(ends) - 1),
        misplaced=_misplaced(records, wanted),
        unended=int([r.kind for r in ends] != ["eos"]),
        unequal=int([r.raw for r in cast.fresh] != [r.raw for r in records]),
        recovered=sum(1 for n in tries if n > 0),
        wasted=sum(tries),
    )


def _misplaced(records: Sequence[Seen], wanted: Sequence[Wanted]) -> int:
    """Where each record stands by itself: `meta`, then index = seq - 1, then the end; gaps are another matter."""
    wrong = 0
    before = -1
    for r in records:
        right = r.seq > before
        if r.seq == 0:
            right &= r.kind == "meta"
        elif r.kind in TERMINAL:
            right &= r.seq == len(wanted) + 1
        else:
            right &= r.index == r.seq - 1 and 0 <= r.index < len(wanted) and _fits(r, wanted[r.index])
        wrong += not right
        before = max(before, r.seq)
    return wrong


def _fits(record: Seen, wanted: Wanted) -> bool:
    """A skip in place of audio is lost, not misplaced."""
    if record.kind == "skip":
        return True
    return (record.kind, record.content) == (wanted.kind, wanted.content)


@dataclass(frozen=True)
class Kill:
    """SIGKILL of one worker, and the units (job, index) it held."""

    at: float
    worker: str
    held: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Recovery:
    """seconds: from the SIGKILL until the record of a unit it cost was at the reader; render_s: the render therein."""

    seconds: float
    render_s: float

    @property
    def excess_s(self) -> float:
        """Without the render: to notice, to hand on, to commit, to deliver."""
        return self.seconds - self.render_s


def recoveries(kills: Iterable[Kill], casts: Iterable[Cast]) -> list[Recovery]:
    """One for each unit that some worker held when it was killed, and had not committed.

    A unit that was killed again counts from the last kill. Arrival at a reader is a bound from above of the commit: a
    record shows when those before it are there.
    """
    last: dict[tuple[str, int], Kill] = {}
    for kill in sorted(kills, key=lambda k: k.at):
        last.update(dict.fromkeys(kill.held, kill))
    found = []
    for cast in casts:
        for record in cast.records:
            kill_of = last.get((cast.job, record.index)) if record.kind == "audio" else None
            if kill_of is not None and record.worker != kill_of.worker and record.at > kill_of.at:
                found.append(Recovery(record.at - kill_of.at, record.gen_ms / 1000))
    return found


def percentile(values: Sequence[float], q: float) -> float:
    """Nearest rank, q from 0 to 1; NaN of nothing."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]
