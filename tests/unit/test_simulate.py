"""The simulation's oracle on histories made by hand, its mutations, and that a seed is a seed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

import pytest

from contracts.records import Record
from load_tests.simulate.mutants import MUTANTS, hunt
from load_tests.simulate.oracle import Evidence, Log, Reading, Verdict, body_of, check_log, check_reading, raw
from load_tests.simulate.plan import STORES, Kind, plan
from load_tests.simulate.run import run_seed
from load_tests.simulate.stores import Mutation

JOB, EPOCH = "a" * 16, "e1"
TEXTS = ["one ", "two ", "three"]


def unit(n: int, render: int = 1, *, of: int | None = None, seq: int | None = None) -> Record:
    body = body_of(f"{JOB}:{EPOCH}:{n if of is None else of}", TEXTS[n if of is None else of], "w", render)
    return Record(n + 1 if seq is None else seq, "audio", {"i": n, "t": TEXTS[n].rstrip(), "d": 100, "g": 10}, body)


def skip(n: int) -> Record:
    return Record(n + 1, "skip", {"i": n, "t": TEXTS[n].rstrip(), "reason": "given up"})


def eos(seq: int = 4, skipped: int = 0) -> Record:
    made = 3 - skipped
    return Record(seq, "eos", {"units": 3, "skipped": skipped, "audio_ms": 100 * made, "gen_ms": 10 * made})


META = Record(0, "meta", {"v": 1})
GOOD = [META, unit(0), unit(1), unit(2), eos()]


def judged(records: Sequence[Record], skippable: Sequence[int] = ()) -> Verdict:
    return check_log(Log(JOB, EPOCH, TEXTS, records, skippable))


def test_a_good_log_is_good() -> None:
    assert judged(GOOD) == Verdict(units=3)
    assert judged([META, unit(0), skip(1), unit(2), eos(skipped=1)], [1]) == Verdict(units=3)


@pytest.mark.parametrize(
    ("records", "broken"),
    [
        ([META, unit(0), unit(2), eos(3)], {"lost", "misplaced"}),
        ([META, unit(0), skip(1), unit(2), eos(skipped=1)], {"lost"}),
        ([META, unit(0), unit(1), unit(1, seq=3), unit(2, seq=4), eos(5)], {"duplicated", "misplaced"}),
        ([*GOOD, eos(5)], {"duplicated", "misplaced"}),
        ([META, unit(0), unit(1, of=2), unit(2), eos()], {"misplaced"}),
        ([META, unit(1, seq=1), unit(0, seq=2), unit(2), eos()], {"misplaced"}),
        ([META, unit(0), unit(1), unit(2), Record(4, "eos", {**eos().headers, "audio_ms": 1})], {"misplaced"}),
        ([*GOOD, unit(2, seq=5)], {"duplicated", "misplaced"}),
        (GOOD[:-1], {"unended"}),
    ],
    ids="gap skip double ended-twice other-body order figures after-the-end unended".split(),
)
def test_a_bad_log_is_told(records: list[Record], broken: set[str]) -> None:
    assert {*judged(records).broken} == broken


def test_a_cancelled_log_holds_what_it_says() -> None:
    end = Record(2, "cancelled", {"units": 1, "total": 3})
    assert judged([META, unit(0), end]) == Verdict(units=1)
    assert judged([META, end]).broken == ["lost", "misplaced"]


def reading(records: Sequence[Record], start: int = 0, *, ended: bool = False) -> Verdict:
    known = {(JOB, EPOCH): {r.seq: raw(r) for r in GOOD}, (JOB, "e2"): {0: raw(META), 1: raw(unit(0, 2))}}
    return check_reading(Reading(JOB, start, records, ended), known)


def test_readers_see_the_bytes_of_one_incarnation() -> None:
    assert not reading(GOOD, ended=True).broken
    assert not reading(GOOD[2:4], 2).broken
    assert not reading([META, unit(0, 2)]).broken
    assert reading([META, unit(0, 2), unit(1)]).broken == ["unequal"], "of two incarnations"
    assert reading([META, unit(0, 3)]).broken == ["unequal"], "other bytes"
    assert reading([META, unit(1)]).broken == ["unequal"], "a gap"
    assert reading(GOOD[1:], 0).broken == ["unequal"], "not from where it asked"
    assert reading(GOOD[:-1], ended=True).broken == ["unequal"], "told that this is all"


def test_contradictions_and_second_acceptances_count() -> None:
    evidence = Evidence()
    evidence.saw(JOB, EPOCH, GOOD)
    evidence.saw(JOB, EPOCH, GOOD[2:])
    assert evidence.verdict() == Verdict()
    evidence.saw(JOB, EPOCH, [unit(0, 7)])
    evidence.accepted[f"{JOB}:{EPOCH}:0"] = 2
    assert evidence.verdict().broken == ["duplicated", "unequal"]


@pytest.mark.parametrize("store", STORES)
def test_worlds_end_well(store: Kind) -> None:
    for seed in range(8):
        outcome = run_seed(seed, store)
        assert outcome.good, (seed, outcome.broken, outcome.notes)
        assert outcome.verdict.acknowledged == len(outcome.plan.casts)


@pytest.mark.parametrize("store", STORES)
def test_a_seed_is_a_seed(store: Kind) -> None:
    seed = next(seed for seed in range(100) if not plan(seed, store).quiet)
    first, second = (run_seed(seed, store, keep_trace=True) for _ in range(2))
    assert first.lines == second.lines
    assert first.digest == second.digest != run_seed(seed + 1, store).digest
    assert first.virtual_s == second.virtual_s > 1


@pytest.mark.parametrize("store", STORES)
def test_a_mutant_is_caught_and_a_rotten_one_is_told(store: Kind) -> None:
    assert hunt("eos comes one unit early", store, 5).seed is not None
    file = "commit.lua" if store == "redis" else "log.py"
    with pytest.raises(LookupError):
        run_seed(0, store, mutation=Mutation(file, "not there", ""))


def test_every_mutation_changes_one_place_and_is_a_program() -> None:
    lua = importlib.import_module("lupa.lua51").LuaRuntime()
    scripts, modules = files("contracts.adapters.redis"), files("contracts.adapters.sqlite")
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 12
    for mutant in MUTANTS:
        if mutant.redis is not None:
            lua.compile(mutant.redis.apply(scripts.joinpath(mutant.redis.file).read_text()))
        if mutant.sqlite is not None:
            text = mutant.sqlite.apply(modules.joinpath(mutant.sqlite.file).read_text())
            compile(text, mutant.sqlite.file, "exec")


def test_worlds_differ() -> None:
    worlds = [plan(seed, "redis") for seed in range(100)]
    assert len({replace(world, seed=0) for world in worlds}) == 100
    assert 5 < sum(world.quiet for world in worlds) < 50
