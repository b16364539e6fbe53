"""A run in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from load_tests.chaos.checker import Cast, Kill, Recovery, Verdict, percentile
from load_tests.chaos.frozen import FrozenResult
from load_tests.chaos.poison import PoisonResult


@dataclass
class Phase:
    """One kind of fault, or all of them."""

    name: str
    seconds: float
    faults: Counter[str]
    casts: list[Cast]
    kills: list[Kill] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def acknowledged(self) -> int:
        """Casts whose POST was answered 2xx."""
        return sum(1 for cast in self.casts if cast.acknowledged)

    def line(self) -> str:
        """One row."""
        v, n = self.verdict, max(1, sum(self.faults.values()))
        return (
            f"{self.name:9s} {n:6d} {self.seconds:7.0f} {len(self.casts):9d} {self.acknowledged:12d} {v.units:6d}"
            f" {v.lost:5d} {v.duplicated:10d} {v.misplaced:9d} {v.unequal:8d} {v.unended:8d} {v.recovered:9d}"
            f" {v.wasted:6d} {v.wasted / n:8.2f}"
        )


HEAD = (
    "phase     faults seconds attempted acknowledged  units  lost duplicated misplaced  unequal  unended recovered"
    " wasted per fault"
)


@dataclass
class Report:
    """What a run came to."""

    seed: int
    settings: str
    phases: list[Phase] = field(default_factory=list)
    consumers_back_s: list[float] = field(default_factory=list)
    frozen: FrozenResult | None = None
    poison: PoisonResult | None = None
    answers: Counter[str] = field(default_factory=Counter)
    fell: list[str] = field(default_factory=list)

    @property
    def total(self) -> Verdict:
        """Over all phases."""
        return sum((p.verdict for p in self.phases), Verdict())

    @property
    def good(self) -> bool:
        """Nothing lost, doubled or misplaced, the poison buried, the frozen readers cut."""
        return self.total.good and (self.poison is None or self.poison.good) and not (self.frozen and self.frozen.uncut)

    def text(self) -> str:
        """All of it."""
        kills = sum((p.faults for p in self.phases), Counter[str]())
        lines = [f"chaos, seed {self.seed}; {self.settings}", HEAD, *(p.line() for p in self.phases), self._sum()]
        lines.append("faults: " + ", ".join(f"{n} x {name}" for name, n in sorted(kills.items())))
        lines += self._recovery() + self._rest()
        lines.append("everything is in its place" if self.good else "NOT GOOD")
        return "\n".join(lines) + "\n"

    def _sum(self) -> str:
        everything = Phase("sum", sum(p.seconds for p in self.phases), Counter(), [])
        for p in self.phases:
            everything.faults += p.faults
            everything.casts += p.casts
            everything.verdict += p.verdict
        return everything.line()

    def _recovery(self) -> list[str]:
        kills = [k for p in self.phases for k in p.kills]
        lines = [f"worker kills: {len(kills)}, of which {sum(1 for k in kills if k.held)} held a unit"]
        return lines + [f"  {p.name}: {_recovery_line(p.recoveries)}" for p in self.phases if p.recoveries]

    def _rest(self) -> list[str]:
        lines = []
        if self.consumers_back_s:
            times = ", ".join(f"{s:.2f}" for s in sorted(self.consumers_back_s))
            lines.append(f"broker listens again -> every worker consumes: {times} s")
        if (f := self.frozen) is not None:
            lines += _frozen_lines(f)
        if (p := self.poison) is not None:
            lines.append(
                f"poison: {p.sentences} sentences, {p.dead_letters} dead letters, {p.skips} skips, in {p.seconds:.0f} s"
            )
        lines.append("answers to POST: " + ", ".join(f"{n} x {a}" for a, n in sorted(self.answers.items())))
        lines.append(f"processes that ended by themselves: {len(self.fell)}")
        return lines + self.fell


def _recovery_line(found: Sequence[Recovery]) -> str:
    whole, excess = [r.seconds for r in found], [r.excess_s for r in found]
    return (
        f"{len(found)} units handed on; SIGKILL -> record at the reader p50 {percentile(whole, 0.5):.2f}"
        f" p99 {percentile(whole, 0.99):.2f} s; without their render p50 {percentile(excess, 0.5):.2f}"
        f" p99 {percentile(excess, 0.99):.2f} s"
    )


def _frozen_lines(f: FrozenResult) -> list[str]:
    return [
        f"frozen readers: {f.readers}, all cut after {f.cut_s:.1f} s" if not f.uncut
        else f"frozen readers: {f.uncut} of {f.readers} NOT CUT after {f.cut_s:.1f} s",
        *(
            f"  healthy readers {when}: commit -> record p50 {percentile(ms, 0.5):.1f}"
            f" p99 {percentile(ms, 0.99):.1f} ms ({len(ms)} records)"
            for when, ms in (("without them", f.before_ms), ("beside them", f.beside_ms))
        ),
        f"  RSS of the front: {f.rss_before:.0f} MiB before, {f.rss_peak:.0f} at most, {f.rss_after:.0f} after",
    ]  # fmt: skip
