"""Many seeds, added up: what was tried, what went wrong on the way, and what came of it."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from load_tests.simulate.mutants import MUTANTS, Catch, hunt
from load_tests.simulate.oracle import Verdict
from load_tests.simulate.plan import Kind
from load_tests.simulate.run import Outcome, run_seed

CHUNK = 10
"""Worlds a process takes at a time."""
PROGRESS = 1_000
"""So many worlds make a line on stderr."""


@dataclass
class Report:
    """Of a run of seeds."""

    seeds: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    faults: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    virtual_s: float = 0.0
    renders: int = 0
    needless: int = 0
    failed: list[Outcome] = field(default_factory=list)

    @classmethod
    def of(cls, seeds: Sequence[int], stores: Sequence[Kind], jobs: int) -> Report:
        """Run them all."""
        report = cls(seeds=len(seeds))
        began = time.perf_counter()
        for done, outcome in enumerate(_outcomes([(seed, store) for seed in seeds for store in stores], jobs), 1):
            report.verdict += outcome.verdict
            report.faults += outcome.faults
            report.steps += outcome.steps
            report.virtual_s += outcome.virtual_s
            report.renders += outcome.renders
            report.needless += outcome.needless
            if not outcome.good:
                report.failed.append(outcome)
                print(_failure(outcome), file=sys.stderr, flush=True)
            if done % PROGRESS == 0:
                seconds = time.perf_counter() - began
                print(f"{done:,} worlds in {seconds:.0f} s, {len(report.failed)} failed", file=sys.stderr, flush=True)
        return report

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not self.failed

    def text(self, seconds: float) -> str:
        """For people."""
        lines = [
            f"{self.seeds} seeds, {self.steps:,} steps, {self.virtual_s / 3600:.1f} virtual hours in {seconds:.0f} s",
            "faults: " + ", ".join(f"{count:,} {name}" for name, count in sorted(self.faults.items())),
            f"renders: {self.renders:,}, of them {self.needless:,} not committed: poison, failed, overtaken or cut off",
            ", ".join(f"{f.name.replace('_', ' ')} {getattr(self.verdict, f.name):,}" for f in fields(self.verdict)),
        ]
        return "\n".join([*lines, *map(_failure, self.failed)])


def _failure(outcome: Outcome) -> str:
    replay = f"python -m load_tests.simulate --seed {outcome.plan.seed} --store {outcome.plan.store} --trace"
    return f"FAILED {', '.join(outcome.broken)} {' '.join(outcome.notes)}\n  {replay}"


def _run(job: tuple[int, Kind]) -> Outcome:
    return run_seed(*job)


def _outcomes(jobs: Sequence[tuple[int, Kind]], processes: int) -> Iterator[Outcome]:
    if processes == 1:
        yield from map(_run, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, logging.disable, (logging.CRITICAL,)) as pool:
        yield from pool.imap(_run, jobs, CHUNK)


def _hunt(job: tuple[str, Kind, int]) -> Catch:
    return hunt(*job)


def mutants_table(stores: Sequence[Kind], seeds: int, processes: int) -> tuple[str, bool]:
    """(how each mutant was caught, whether all were)"""
    jobs = [(m.name, store, seeds) for m in MUTANTS for store in stores if m.on(store) is not None]
    if processes == 1:
        catches = [_hunt(job) for job in jobs]
    else:
        with multiprocessing.get_context("spawn").Pool(processes, logging.disable, (logging.CRITICAL,)) as pool:
            catches = pool.map(_hunt, jobs, 1)
    caught = sum(c.seed is not None for c in catches)
    lines = [f"{'mutant':50} {'store':7} {'seed':>5}  caught by"]
    lines += [
        f"{c.name:50} {c.store:7} {'-' if c.seed is None else c.seed:>5}  {c.checks or 'SURVIVED'}" for c in catches
    ]
    return "\n".join([*lines, f"{caught} of {len(catches)} mutants caught"]), caught == len(catches)


def one_seed(seed: int, store: Kind, *, trace: bool) -> bool:
    """Print one seed; True: nothing is wrong."""
    outcome = run_seed(seed, store, keep_trace=trace)
    for line in outcome.lines:
        print(line)
    print(f"{outcome.plan}\n{outcome.verdict}")
    print(f"{store}: {', '.join(outcome.broken) or 'good'} {' '.join(outcome.notes)} trace {outcome.digest}")
    return outcome.good
