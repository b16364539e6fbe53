"""The checker of the chaos run: what it must not let pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from load_tests.chaos.checker import Cast, Kill, Seen, Verdict, Wanted, check, percentile, recoveries

WANTED = [Wanted("audio", "a"), Wanted("audio", "b"), Wanted("skip")]


def record(seq: int, kind: str, index: int = -1, content: str = "", **changes: object) -> Seen:
    made = Seen(seq, kind, index, content, f"{seq} {kind} {content}", 1, "w0-1", 100.0, float(seq))
    return replace(made, **changes)  # type: ignore[arg-type]


def whole() -> list[Seen]:
    return [
        record(0, "meta"), record(1, "audio", 0, "a"), record(2, "audio", 1, "b"), record(3, "skip", 2),
        record(4, "eos"),
    ]  # fmt: skip


def verdict(records: list[Seen], fresh: list[Seen] | None = None) -> Verdict:
    return check(Cast("", "job", 1, True, records, records if fresh is None else fresh), WANTED)


def test_what_is_right() -> None:
    assert verdict(whole()) == Verdict(units=3)
    assert verdict(whole()).good


def test_a_record_that_is_missing_is_lost_once() -> None:
    records = whole()
    del records[2]
    assert verdict(records) == Verdict(units=3, lost=1)


def test_a_skip_in_place_of_audio_is_lost() -> None:
    records = whole()
    records[1] = record(1, "skip", 0)
    assert verdict(records) == Verdict(units=3, lost=1)


def test_audio_in_place_of_a_skip_is_misplaced() -> None:
    records = whole()
    records[3] = record(3, "audio", 2, "x")
    assert verdict(records) == Verdict(units=3, misplaced=1)


def test_an_index_that_comes_twice() -> None:
    records = whole()
    records.insert(2, records[1])
    found = verdict(records)
    assert (found.duplicated, found.misplaced, found.good) == (1, 1, False)


def test_two_ends() -> None:
    records = [*whole(), record(5, "eos")]
    found = verdict(records)
    assert (found.duplicated, found.unended, found.good) == (1, 1, False)


@pytest.mark.parametrize("end", [[], [record(4, "cancelled")]])
def test_another_end_or_none(end: list[Seen]) -> None:
    assert verdict(whole()[:-1] + end).unended == 1


def test_the_content_of_another_unit() -> None:
    records = whole()
    records[1], records[2] = replace(records[1], content="b"), replace(records[2], content="a")
    assert verdict(records) == Verdict(units=3, misplaced=2)


def test_records_that_change_places() -> None:
    records = whole()
    records[1], records[2] = records[2], records[1]
    assert verdict(records).misplaced == 1


def test_a_fresh_reader_sees_the_same_bytes() -> None:
    again = whole()
    again[1] = replace(again[1], raw="another attempt")
    assert verdict(whole(), again) == Verdict(units=3, unequal=1)


def test_attempts_are_counted_for_audio_alone() -> None:
    records = whole()
    records[1], records[3] = replace(records[1], attempt=3), replace(records[3], attempt=6)
    assert verdict(records) == Verdict(units=3, recovered=1, wasted=2)


def test_verdicts_add_up() -> None:
    both = Verdict(units=3, lost=1) + Verdict(units=2, wasted=4)
    assert both == Verdict(units=5, lost=1, wasted=4)


def test_a_recovery_counts_from_the_last_kill_that_cost_the_unit() -> None:
    cast = Cast("", "job", 1, True, [record(1, "audio", 0, "a", worker="w1-9", at=10.0, gen_ms=500)])
    unit = frozenset({("job", 0)})
    [found] = recoveries([Kill(8.0, "w0-2", unit), Kill(7.0, "w0-1", unit)], [cast])
    assert (found.seconds, found.excess_s) == (2.0, 1.5)


def test_a_unit_the_killed_worker_had_committed_is_no_recovery() -> None:
    cast = Cast("", "job", 1, True, [record(1, "audio", 0, "a", worker="w0-1", at=10.0)])
    assert recoveries([Kill(9.99, "w0-1", frozenset({("job", 0)}))], [cast]) == []


def test_percentiles() -> None:
    assert (percentile([3.0, 1.0, 2.0], 0.5), percentile([3.0, 1.0, 2.0], 0.99)) == (2.0, 3.0)
    assert percentile([], 0.5) != percentile([], 0.5)
