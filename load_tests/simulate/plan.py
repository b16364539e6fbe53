"""What a seed stands for: the size of the world, and which faults happen in it how often."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["redis", "sqlite"]
STORES: tuple[Kind, ...] = ("redis", "sqlite")

POISON = "poison"
"""A unit with this word aborts whatever engine renders it."""
FAULTS_S = 12.0
"""Faults happen in so many virtual seconds from the start; what is left undone then must come to its end."""

CALL_FAULTS = (
    "killed before",
    "killed after",
    "refused",
    "answer lost",
    "sent twice",
    "stalled before",
    "stalled after",
)
"""What may become of one call of a process to the store, at its step boundaries."""

_WORDS = "amber birch cedar delta ember fjord grove heath inlet jetty knoll ledge marsh north ocean pines".split()


@dataclass(frozen=True, slots=True)
class Outage:
    """A server is away from `start` for `length`, virtual seconds."""

    start: float
    length: float


@dataclass(frozen=True, slots=True)
class CastPlan:
    """One text: when it is posted, by how many clients, how many read it, and when it is cancelled, seconds."""

    text: str
    posts_at: tuple[float, ...]
    readers: int
    cancel_at: float | None
    bulk: bool
    fickle: bool
    """Its owner does not post again when an answer is lost; if the log is there, it must end all the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A world. Rates are chances: of a fault per call, of loss per ticket, of failure per render."""

    seed: int
    store: Kind
    casts: tuple[CastPlan, ...]
    fronts: int
    workers: int
    slots: int
    faults: float
    tickets: bool
    """False: as in the embedded mode, the broker brings news without a message."""
    lost: float
    tripled: float
    failing: float
    retention_s: int
    store_outages: tuple[Outage, ...]
    broker_restarts: tuple[Outage, ...]
    deaf: float
    """Chance that a connection of a consumer delivers nothing until it is made anew."""
    skew_s: float

    @property
    def quiet(self) -> bool:
        """Only tickets go wrong: then nothing may be rendered twice, and no janitor be needed."""
        return not (self.faults or self.failing or self.store_outages or self.broker_restarts or self.deaf)


def plan(seed: int, store: Kind) -> Plan:
    """The world of a seed."""
    rng = random.Random(f"plan {seed} {store}")
    quiet = rng.random() < 0.2
    expiring = not quiet and rng.random() < 0.25
    poisoned = not expiring and rng.random() < 0.3
    return Plan(
        seed=seed,
        store=store,
        casts=tuple(_cast(rng, n, quiet=quiet, poisoned=poisoned and n == 0) for n in range(rng.randint(1, 3))),
        fronts=rng.randint(1, 2),
        workers=rng.randint(1, 3),
        slots=rng.choice((1, 1, 2)),
        faults=0.0 if quiet else rng.choice((0.004, 0.01, 0.02, 0.04)),
        tickets=store == "redis" or rng.random() < 0.5,
        lost=rng.choice((0.0, 0.0, 0.2, 1.0)),
        tripled=0.0 if quiet and poisoned else rng.choice((0.0, 0.2, 1.0)),
        failing=0.0 if quiet else rng.choice((0.0, 0.05)),
        retention_s=rng.randint(3, 6) if expiring else 600,
        store_outages=() if quiet else _outages(rng, 0.3, longest=7.0),
        broker_restarts=() if quiet else _outages(rng, 0.3, longest=4.0),
        deaf=0.0 if quiet else rng.choice((0.0, 0.0, 0.0, 0.5)),
        skew_s=rng.choice((0.0, 600.0)),
    )


def _outages(rng: random.Random, chance: float, *, longest: float) -> tuple[Outage, ...]:
    if rng.random() >= chance:
        return ()
    return tuple(
        Outage(rng.uniform(0, FAULTS_S), rng.choice((0.05, rng.uniform(0.5, longest))))
        for _ in range(rng.randint(1, 2))
    )


def _cast(rng: random.Random, number: int, *, quiet: bool, poisoned: bool) -> CastPlan:
    count = rng.randint(1, 6)
    bad = rng.randrange(count) if poisoned else -1
    sentences = (
        f"Unit {n} of text {number} says {'poison' if n == bad else rng.choice(_WORDS)} and {rng.choice(_WORDS)}."
        for n in range(count)
    )
    first = rng.uniform(0, 4)
    again = tuple(first + rng.uniform(0, 6) for _ in range(rng.choice((0, 0, 1, 2))))
    cancelled = not quiet and rng.random() < 0.25
    return CastPlan(
        text=" ".join(sentences),
        posts_at=(first, *again),
        readers=rng.choice((0, 1, 2)),
        cancel_at=first + rng.uniform(0, 3) if cancelled else None,
        bulk=rng.random() < 0.15,
        fickle=rng.random() < 0.3,
    )
