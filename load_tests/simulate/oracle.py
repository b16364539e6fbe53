"""What must be true of every log and every reader, by content. Pure: it judges histories, and runs nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from contracts.records import TERMINAL, Record, to_json


@dataclass(frozen=True)
class Verdict:
    """Counts over units, but for `unended` (casts), `unequal` (readings) and the last ones, which are told apart."""

    attempted: int = 0
    """Casts that were posted."""
    acknowledged: int = 0
    """Of those, casts whose POST was answered."""
    units: int = 0
    """Of logs that have ended."""
    lost: int = 0
    """Wanted, and not there; a `skip` for which nothing is to blame is a loss."""
    duplicated: int = 0
    """An index, or an end, that stands twice in a log, or was accepted twice."""
    misplaced: int = 0
    """Out of order, of another unit, of other text, after the end, or figures that do not add up."""
    unended: int = 0
    """Acknowledged casts that did not come to an end."""
    unequal: int = 0
    """Readings that saw other bytes than the log holds."""
    forgotten: int = 0
    """Logs that were replaced while they stood, or are not kept as long as they should be."""
    left_over: int = 0
    """Things the store keeps of casts that have ended."""
    wasted: int = 0
    """Renders beyond the first of a unit, where no fault excuses them."""
    letters: int = 0
    """Dead letters missing for a skip, or there for a unit that is none."""

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def broken(self) -> list[str]:
        """Names of the checks that failed."""
        return [f.name for f in fields(self)[3:] if getattr(self, f.name)]


def body_of(unit: str, text: str, worker: str, render: int) -> bytes:
    """What the simulated engine makes of a unit; no two renders are the same bytes."""
    return to_json({"unit": unit, "text": text, "worker": worker, "render": render})


@dataclass(frozen=True, slots=True)
class Log:
    """One incarnation of a log that has ended, and what should stand in it. skippable: indexes that may be skips."""

    job: str
    epoch: str
    texts: Sequence[str]
    records: Sequence[Record]
    skippable: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What one connection of a reader saw. start: the seq it asked for; ended: it was told that this was all."""

    job: str
    start: int
    records: Sequence[Record]
    ended: bool


Known = Mapping[tuple[str, str], Mapping[int, bytes]]
"""(job, epoch) -> seq -> the bytes a record was first seen with."""


def raw(record: Record) -> bytes:
    """A record as bytes: equal if and only if all of it is."""
    return record.head + b"\0" + record.body


def check_log(log: Log) -> Verdict:
    """One log, by content."""
    units = [r for r in log.records if r.type in ("audio", "skip")]
    times = Counter(r.headers.get("i") for r in units)
    ends = [r for r in log.records if r.terminal]
    there = {r.headers.get("i"): r for r in units}
    cut = bool(ends) and ends[0].type == "cancelled"
    wanted = range(ends[0].headers["units"]) if cut else range(len(log.texts))
    return Verdict(
        units=len(wanted),
        lost=sum(n not in there or (there[n].type == "skip" and n not in log.skippable) for n in wanted),
        duplicated=sum(n - 1 for n in times.values()) + max(0, len(ends) - 1),
        misplaced=sum(not _in_place(log, at, record) for at, record in enumerate(log.records)),
        unended=int(not ends),
    )


def _in_place(log: Log, at: int, record: Record) -> bool:
    if record.seq != at:
        return False
    if at == 0:
        return record.type == "meta"
    if record.type in TERMINAL:
        return at == len(log.records) - 1 and _adds_up(log, record)
    index = at - 1
    if record.headers.get("i") != index or index >= len(log.texts):
        return False
    text = log.texts[index]
    if record.type == "audio":
        body = json.loads(record.body)
        if (body["unit"], body["text"]) != (f"{log.job}:{log.epoch}:{index}", text):
            return False
    return bool(record.headers.get("t") == text.rstrip())


def _adds_up(log: Log, end: Record) -> bool:
    """The figures of the terminal record are those of the records before it."""
    made = [r for r in log.records if r.type in ("audio", "skip")]
    if end.type == "cancelled":
        return (end.headers["units"], end.headers["total"]) == (len(made), len(log.texts))
    skipped = sum(r.type == "skip" for r in made)
    audio_ms, gen_ms = (sum(r.headers.get(k, 0) for r in made) for k in ("d", "g"))
    said = tuple(end.headers[k] for k in ("units", "skipped", "audio_ms", "gen_ms"))
    return end.type == "eos" and said == (len(log.texts), skipped, audio_ms, gen_ms)


def check_reading(reading: Reading, known: Known) -> Verdict:
    """One connection: dense from where it began, ended by an end alone, and the bytes of one incarnation."""
    records = reading.records
    dense = [r.seq for r in records] == list(range(reading.start, reading.start + len(records)))
    ends = [at for at, r in enumerate(records) if r.terminal]
    right_end = ends in ([], [len(records) - 1]) and (not reading.ended or not records or bool(ends))
    incarnations = (seqs for (job, _), seqs in known.items() if job == reading.job)
    equal = not records or any(all(seqs.get(r.seq) == raw(r) for r in records) for seqs in incarnations)
    return Verdict(unequal=int(not (dense and right_end and equal)))


@dataclass
class Evidence:
    """What was seen while a world ran. Keys of counters are units, `job:epoch:index`."""

    known: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict)
    logs: dict[tuple[str, str], Log] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    claims: Counter[str] = field(default_factory=Counter)
    renders: Counter[str] = field(default_factory=Counter)
    contradictions: int = 0
    """Records that were other bytes before."""
    forgotten: int = 0
    strangers: int = 0
    """Commits whose content was made for another unit."""

    def saw(self, job: str, epoch: str, records: Iterable[Record]) -> None:
        """Records of one incarnation; those seen before must be what they were."""
        seqs = self.known.setdefault((job, epoch), {})
        for record in records:
            self.contradictions += seqs.setdefault(record.seq, raw(record)) != raw(record)

    def verdict(self) -> Verdict:
        """Of all logs and readings."""
        total = Verdict(
            duplicated=sum(n - 1 for n in self.accepted.values()),
            misplaced=self.strangers,
            unequal=self.contradictions,
            forgotten=self.forgotten,
        )
        for log in self.logs.values():
            total += check_log(log)
        for reading in self.readings:
            total += check_reading(reading, self.known)
        return total
