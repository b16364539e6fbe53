"""What a log promises of units that become visible while they are made, and of their end."""

from __future__ import annotations

from typing import Any, Literal

from contracts.adapters import Store
from contracts.ports import Committed, Grown, NewLog, Output, Part
from contracts.records import Record
from contracts.units import Lane, Unit


def new_log(job: str, units: list[str], *, closed: bool = True) -> NewLog:
    recipe: dict[str, Any] = {"kind": "llm", "model": "echo"}
    return NewLog(job, "e1", Lane("llm"), "live", "someone", recipe, {"v": 1}, units, closed=closed, ttl_ms=60_000)


async def all_records(store: Store, job: str) -> list[Record]:
    page = await store.log_reader.read(job, 0, max_records=100_000)
    assert page is not None
    return list(page.records)


def part(index: int, text: str, kind: Literal["start", "delta"] = "delta") -> Part:
    return Part(kind, {"i": index, "t": text}, text.encode())


async def texts(store: Store, job: str) -> list[tuple[str, str]]:
    return [(r.type, r.headers.get("t", "")) for r in await all_records(store, job)]


async def test_parts_of_a_unit_can_be_read_before_it_is_committed_and_its_end_is_the_logs(store: Store) -> None:
    log, job = store.log_writer, "p" * 16
    unit = Unit(job, "e1", 0)
    await log.open(new_log(job, ["ask"]))
    assert await log.append(unit, "w:1", 0, [part(0, "", "start"), part(0, "Grüße")]) == "OK"
    assert await log.append(unit, "w:1", 2, [part(0, " an")]) == "OK"
    assert await texts(store, job) == [("meta", ""), ("start", ""), ("delta", "Grüße"), ("delta", " an")]
    status = await store.log_reader.status(job)
    assert status is not None
    assert (status.state, status.watermark, status.next_seq) == ("live", 0, 4)
    end = Output("eos", {"finish_reason": "stop"}, b"", gen_ms=7, writer="w:1")
    assert await log.commit(unit, end) == Committed("OK", 1, finished=True)
    assert (await log.commit(unit, end)).verdict == "DUP"
    assert await log.append(unit, "w:1", 3, [part(0, "!")]) == "GONE"
    last = (await all_records(store, job))[-1]
    assert (last.seq, last.type, dict(last.headers)) == (4, "eos", {"finish_reason": "stop"})
    status = await store.log_reader.status(job)
    assert status is not None
    assert (status.state, status.watermark, status.next_seq, status.gen_ms) == ("done", 1, 5, 7)
    source = await log.source(job)
    assert source is not None
    assert source.texts == {}


async def test_what_was_appended_is_not_appended_twice(store: Store) -> None:
    log, job = store.log_writer, "q" * 16
    unit = Unit(job, "e1", 0)
    await log.open(new_log(job, ["ask"]))
    first, second = [part(0, "", "start"), part(0, "a")], [part(0, "b"), part(0, "c")]
    for _ in range(2):
        assert await log.append(unit, "w:1", 0, first) == "OK"
    for _ in range(2):
        assert await log.append(unit, "w:1", 2, second) == "OK"
    assert await log.append(unit, "w:1", 0, first) == "OK", "an answer that was lost long ago"
    assert [t for _, t in await texts(store, job)] == ["", "", "a", "b", "c"]


async def test_a_new_attempt_takes_over_and_the_old_one_can_write_no_more(store: Store) -> None:
    log, job = store.log_writer, "r" * 16
    unit = Unit(job, "e1", 0)
    await log.open(new_log(job, ["ask"]))
    await log.append(unit, "old:1", 0, [part(0, "", "start"), part(0, "half a sen")])
    assert await log.append(unit, "new:2", 1, [part(0, "x")]) == "LAPSED", "it has not begun"
    await log.append(unit, "new:2", 0, [part(0, "", "start"), part(0, "whole")])
    assert await log.append(unit, "old:1", 2, [part(0, "tence")]) == "LAPSED"
    assert (await log.commit(unit, Output("eos", {}, writer="old:1"))).verdict == "LAPSED"
    assert (await log.commit(unit, Output("eos", {}, writer="new:2"))).finished
    assert [k for k, _ in await texts(store, job)] == ["meta", "start", "delta", "start", "delta", "eos"]


async def test_a_unit_may_end_its_log_with_an_error(store: Store) -> None:
    log, job = store.log_writer, "s" * 16
    await log.open(new_log(job, ["ask"]))
    problem = {"type": "urn:castline:problem:upstream", "status": 400}
    assert (await log.commit(Unit(job, "e1", 0), Output("error", problem))).finished
    assert [r.type for r in await all_records(store, job)] == ["meta", "error"]
    status = await store.log_reader.status(job)
    assert status is not None
    assert status.state == "failed"
    assert (await log.open(new_log(job, ["ask"]))).new


async def test_a_unit_that_was_given_up_is_skipped_whoever_wrote_before(store: Store) -> None:
    log, job = store.log_writer, "t" * 16
    unit = Unit(job, "e1", 0)
    await log.open(new_log(job, ["ask"]))
    await log.append(unit, "old:5", 0, [part(0, "", "start")])
    assert (await log.commit(unit, Output("skip", {"i": 0, "t": "", "reason": "given up"}))).finished
    assert await log.append(unit, "old:5", 1, [part(0, "late")]) == "GONE"
    assert [k for k, _ in await texts(store, job)] == ["meta", "start", "skip", "eos"]
    source = await log.source(job)
    assert source is not None
    assert source.texts == {0: ""}


async def test_parts_of_other_units_epochs_and_logs_are_refused(store: Store) -> None:
    log, job = store.log_writer, "u" * 16
    await log.open(new_log(job, ["0", "1"]))
    for unit in (Unit(job, "e1", 1), Unit(job, "e0", 0), Unit("-" * 16, "e1", 0)):
        assert await log.append(unit, "w:1", 0, [part(0, "x")]) == "GONE"
    assert (await log.commit(Unit(job, "e1", 0), Output("eos", {}))).verdict == "BAD", "it is not the last one"
    assert (await log.commit(Unit(job, "e1", 1), Output("eos", {}))).verdict == "BAD", "one is missing before it"
    await log.cancel(job)
    assert await log.append(Unit(job, "e1", 0), "w:1", 0, [part(0, "x")]) == "GONE"


async def test_two_who_add_units_at_the_end_are_told_apart(store: Store) -> None:
    log, job = store.log_writer, "x" * 16
    await log.open(new_log(job, [], closed=False))
    assert await log.grow(job, "e1", 0, ["a"], close=False, exact=True) == Grown("OK", 1, finished=False)
    assert await log.grow(job, "e1", 0, ["b"], close=False, exact=True) == Grown("GAP", 1, finished=False)
    assert await log.grow(job, "e1", 1, ["b"], close=True, exact=True) == Grown("OK", 2, finished=False)
