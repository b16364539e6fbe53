"""What a log promises, whatever it stands on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.adapters import Store
from contracts.ids import new_epoch
from contracts.ports import Grown, NewLog, Output
from contracts.records import Record
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")
TTL_MS = 60_000
TITLE = "Größe \N{SMILING FACE WITH OPEN MOUTH}"


def new_log(job: str, units: Sequence[str], *, epoch: str = "", **more: Any) -> NewLog:
    given: dict[str, Any] = {"closed": True, "ttl_ms": TTL_MS, **more}
    return NewLog(
        job=job, epoch=epoch or new_epoch(), lane=LANE, job_class="live", owner="someone", recipe={"voice": "tone"},
        meta={"v": 1, "kind": "tts", "title": TITLE}, units=units, **given,
    )  # fmt: skip


def audio(index: int, body: bytes = b"", text: str = "x") -> Output:
    return Output("audio", {"i": index, "t": text}, body or b"\x00\xff%d" % index, duration_ms=100 + index, gen_ms=10)


async def all_records(store: Store, job: str) -> list[Record]:
    page = await store.log_reader.read(job, 0, max_records=100_000, max_bytes=1 << 40)
    assert page is not None
    return list(page.records)


async def test_open_writes_meta_and_the_first_claim_wins(store: Store) -> None:
    first = await store.log_writer.open(new_log("a" * 16, ["One. ", "Two."], epoch="00000001"))
    second = await store.log_writer.open(new_log("a" * 16, ["Other."], epoch="00000002"))
    assert first.new
    assert not second.new
    assert second.status.epoch == "00000001"
    assert second.status.total == 2
    [meta] = await all_records(store, "a" * 16)
    assert meta.type == "meta"
    assert meta.headers["title"] == TITLE
    assert meta.headers["created"] == first.status.created_ms
    assert abs(first.status.expires_ms - first.status.now_ms - TTL_MS) < 5_000


async def test_fifty_opens_at_once_make_one_log(store: Store) -> None:
    opened = await asyncio.gather(*(store.log_writer.open(new_log("b" * 16, ["One."])) for _ in range(50)))
    assert sum(o.new for o in opened) == 1
    assert len({o.status.epoch for o in opened}) == 1


async def test_records_become_visible_in_index_order(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("c" * 16, ["0", "1", "2"], epoch="e1"))
    units = [Unit("c" * 16, "e1", n) for n in range(3)]
    assert (await log.commit(units[2], audio(2))).verdict == "STAGED"
    assert (await log.commit(units[1], audio(1))).verdict == "STAGED"
    assert [r.type for r in await all_records(store, "c" * 16)] == ["meta"]
    last = await log.commit(units[0], audio(0))
    assert (last.verdict, last.watermark, last.finished) == ("OK", 3, True)
    records = await all_records(store, "c" * 16)
    assert [r.seq for r in records] == [0, 1, 2, 3, 4]
    assert [r.type for r in records] == ["meta", "audio", "audio", "audio", "eos"]
    assert [r.body for r in records[1:4]] == [b"\x00\xff0", b"\x00\xff1", b"\x00\xff2"]
    assert dict(records[4].headers) == {"units": 3, "skipped": 0, "audio_ms": 303, "gen_ms": 30, "xrt": 10.1}
    status = await store.log_reader.status("c" * 16)
    assert status is not None
    assert (status.state, status.watermark, status.next_seq, status.audio_ms) == ("done", 3, 5, 303)
    assert status.first_ms >= status.created_ms


async def test_first_write_wins(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("d" * 16, ["0", "1"], epoch="e1"))
    zero, one = Unit("d" * 16, "e1", 0), Unit("d" * 16, "e1", 1)
    await log.commit(one, audio(1, b"first"))
    assert (await log.commit(one, audio(1, b"second"))).verdict == "DUP"
    await log.commit(zero, audio(0, b"first"))
    assert (await log.commit(zero, audio(0, b"second"))).verdict == "DUP"
    assert [r.body for r in await all_records(store, "d" * 16)] == [b"", b"first", b"first", b""]


async def test_a_skip_keeps_the_log_contiguous(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("s" * 16, ["0", "1"], epoch="e1"))
    await log.commit(Unit("s" * 16, "e1", 0), Output("skip", {"i": 0, "t": "0", "reason": "poison"}))
    await log.commit(Unit("s" * 16, "e1", 1), audio(1))
    records = await all_records(store, "s" * 16)
    assert [r.type for r in records] == ["meta", "skip", "audio", "eos"]
    assert records[-1].headers["skipped"] == 1


async def test_stale_epochs_unknown_units_and_absent_logs_are_refused(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("e" * 16, ["0"], epoch="e2"))
    assert (await log.commit(Unit("e" * 16, "e1", 0), audio(0))).verdict == "GONE"
    assert (await log.commit(Unit("e" * 16, "e2", 1), audio(1))).verdict == "BAD"
    assert (await log.commit(Unit("f" * 16, "e2", 0), audio(0))).verdict == "GONE"
    assert [r.type for r in await all_records(store, "e" * 16)] == ["meta"]
    assert await store.log_reader.status("f" * 16) is None
    assert await store.log_reader.read("f" * 16, 0) is None
    assert await log.cancel("f" * 16) is None


async def test_look_says_what_is_left_to_do(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("g" * 16, ["zero ", "one"], epoch="e1"))
    one = Unit("g" * 16, "e1", 1)
    found = await log.look(one)
    assert (found.verdict, found.text, dict(found.recipe)) == ("RENDER", "one", {"voice": "tone"})
    await log.commit(one, audio(1))
    assert (await log.look(one)).verdict == "DUP"
    assert (await log.look(Unit("g" * 16, "e0", 0))).verdict == "GONE"
    await log.cancel("g" * 16)
    assert (await log.look(Unit("g" * 16, "e1", 0))).verdict == "GONE"


async def test_cancel_ends_a_live_log_and_a_new_post_starts_another(store: Store) -> None:
    log = store.log_writer
    await log.open(new_log("h" * 16, ["0", "1"], epoch="e1"))
    await log.commit(Unit("h" * 16, "e1", 0), audio(0))
    status = await log.cancel("h" * 16)
    assert status is not None
    assert status.state == "cancelled"
    assert (await log.commit(Unit("h" * 16, "e1", 1), audio(1))).verdict == "GONE"
    assert [r.type for r in await all_records(store, "h" * 16)] == ["meta", "audio", "cancelled"]
    again = await log.cancel("h" * 16)
    assert again is not None
    assert again.next_seq == status.next_seq
    reopened = await log.open(new_log("h" * 16, ["0", "1"], epoch="e2"))
    assert reopened.new
    assert [r.type for r in await all_records(store, "h" * 16)] == ["meta"]


async def test_a_finished_log_is_replaced_only_on_demand_and_a_live_one_never(store: Store) -> None:
    log, job = store.log_writer, "r" * 16
    await log.open(new_log(job, ["0", "1"], epoch="e1"))
    refused = await log.open(new_log(job, ["other"], epoch="e2", replace=True))
    assert (refused.new, refused.status.epoch, refused.status.state) == (False, "e1", "live")
    await log.commit(Unit(job, "e1", 0), audio(0))
    await log.commit(Unit(job, "e1", 1), audio(1))
    assert not (await log.open(new_log(job, ["0", "1"], epoch="e2"))).new
    opened = await log.open(new_log(job, ["0", "1"], epoch="e3", replace=True))
    assert opened.new
    assert (opened.status.epoch, opened.status.state, opened.status.watermark) == ("e3", "live", 0)
    assert (opened.status.total, opened.status.audio_ms) == (2, 0)
    assert [r.type for r in await all_records(store, job)] == ["meta"]
    assert (await log.commit(Unit(job, "e1", 0), audio(0))).verdict == "GONE"
    assert (await log.commit(Unit(job, "e3", 1), audio(1, b"again"))).verdict == "STAGED"
    assert (await log.commit(Unit(job, "e3", 0), audio(0, b"again"))).finished
    assert [r.body for r in await all_records(store, job)] == [b"", b"again", b"again", b""]


async def test_source_gives_back_what_open_took(store: Store) -> None:
    log, job = store.log_writer, "u" * 16
    given = new_log(job, ["zero ", "one\n", "größe"], epoch="e1", reply_to="front", ttl_ms=12_345)
    await log.open(given)
    for n, watermark in ((1, 0), (0, 2)):
        await log.commit(Unit(job, "e1", n), audio(n, text=given.units[n].rstrip()))
        live = await log.source(job)
        assert live is not None
        assert (live.status.state, live.status.epoch, live.status.watermark) == ("live", "e1", watermark)
        assert (live.status.total, live.status.job_class, live.status.lane) == (3, "live", LANE)
        assert live.texts == dict(enumerate(given.units))
        assert (live.owner, live.recipe, live.meta) == (given.owner, given.recipe, given.meta)
        assert (live.reply_to, live.ttl_ms) == ("front", 12_345)
    await log.commit(Unit(job, "e1", 2), Output("skip", {"i": 2, "t": "größe", "reason": "poison"}))
    done = await log.source(job)
    assert done is not None
    assert (done.status.state, done.texts) == ("done", {0: "zero", 1: "one", 2: "größe"})
    assert (done.owner, done.recipe, done.meta) == (given.owner, given.recipe, given.meta)


async def test_source_of_a_finished_transcript(store: Store) -> None:
    log, job = store.log_writer, "w" * 16
    await log.open(new_log(job, ["order 0", "order 1", "order 2"], epoch="e1"))
    for n, output in enumerate((
        Output("segment", {"i": 0, "t": "heard"}), Output("cut", {"i": 1}), Output("skip", {"i": 2, "t": "order 2"}),
    )):  # fmt: skip
        await log.commit(Unit(job, "e1", n), output)
    done = await log.source(job)
    assert done is not None
    assert (done.status.state, done.texts) == ("done", {2: "order 2"})


async def test_source_of_long_cancelled_and_absent_logs(store: Store) -> None:
    log, job, total = store.log_writer, "v" * 16, 300
    assert await log.source(job) is None
    await log.open(new_log(job, [str(n) for n in range(total)], epoch="e1"))
    for n in range(total - 1):
        await log.commit(Unit(job, "e1", n), audio(n, text=str(n)))
    await log.cancel(job)
    cancelled = await log.source(job)
    assert cancelled is not None
    assert cancelled.status.state == "cancelled"
    assert cancelled.texts == {n: str(n) for n in range(total - 1)}


async def test_cancelling_a_finished_log_changes_nothing(store: Store) -> None:
    await store.log_writer.open(new_log("i" * 16, ["0"], epoch="e1"))
    await store.log_writer.commit(Unit("i" * 16, "e1", 0), audio(0))
    status = await store.log_writer.cancel("i" * 16)
    assert status is not None
    assert status.state == "done"
    assert (await all_records(store, "i" * 16))[-1].type == "eos"


async def test_an_open_log_does_not_end_by_itself(store: Store) -> None:
    await store.log_writer.open(new_log("j" * 16, ["0"], epoch="e1", closed=False))
    done = await store.log_writer.commit(Unit("j" * 16, "e1", 0), audio(0))
    assert not done.finished
    assert [r.type for r in await all_records(store, "j" * 16)] == ["meta", "audio"]


async def test_an_open_log_grows_and_ends_with_its_last_unit(store: Store) -> None:
    log, job = store.log_writer, "g" * 16
    await log.open(new_log(job, [], epoch="e1", closed=False))
    assert await log.grow(job, "e1", 0, ["0", "1"], close=False) == Grown("OK", 2, finished=False)
    assert await log.grow(job, "e1", 1, ["other", "2"], close=False) == Grown("OK", 3, finished=False)
    assert await log.grow(job, "e1", 4, ["4"], close=False) == Grown("GAP", 3, finished=False)
    assert [(await log.look(Unit(job, "e1", n))).text for n in range(3)] == ["0", "1", "2"]
    for n in range(3):
        assert not (await log.commit(Unit(job, "e1", n), audio(n))).finished
    assert await log.grow(job, "e1", 3, ["3"], close=True) == Grown("OK", 4, finished=False)
    assert await log.grow(job, "e1", 4, ["4"], close=True) == Grown("OK", 4, finished=False), "closed: as it is"
    assert (await log.commit(Unit(job, "e1", 3), audio(3))).finished
    records = await all_records(store, job)
    assert [r.type for r in records] == ["meta", "audio", "audio", "audio", "audio", "eos"]
    assert records[-1].headers["units"] == 4


@pytest.mark.parametrize("texts", [[], ["0"]])
async def test_closing_a_log_whose_units_are_all_done_ends_it(store: Store, texts: list[str]) -> None:
    log, job = store.log_writer, "f" * 16
    await log.open(new_log(job, texts, epoch="e1", closed=False))
    for n in range(len(texts)):
        await log.commit(Unit(job, "e1", n), audio(n))
    assert await log.grow(job, "e1", len(texts), [], close=True) == Grown("OK", len(texts), finished=True)
    assert await log.grow(job, "e1", len(texts), [], close=True) == Grown("OK", len(texts), finished=False)
    status = await store.log_reader.status(job)
    assert status is not None
    assert (status.state, status.total, status.next_seq) == ("done", len(texts), len(texts) + 2)
    assert [r.type for r in await all_records(store, job)] == ["meta", *["audio"] * len(texts), "eos"]


async def test_another_incarnation_and_a_cancelled_log_do_not_grow(store: Store) -> None:
    log, job = store.log_writer, "h" * 16
    assert (await log.grow(job, "e1", 0, ["0"], close=False)).verdict == "GONE"
    await log.open(new_log(job, ["0"], epoch="e1", closed=False))
    assert (await log.grow(job, "e0", 1, ["1"], close=False)).verdict == "GONE"
    await log.cancel(job)
    assert (await log.grow(job, "e1", 1, ["1"], close=True)).verdict == "GONE"
    assert [r.type for r in await all_records(store, job)] == ["meta", "cancelled"]


async def test_a_failed_log_ends_with_its_problem(store: Store) -> None:
    log, job = store.log_writer, "w" * 16
    problem = {"type": "urn:castline:problem:bad-audio", "title": "Größe", "status": 422}
    assert not await log.fail(job, "e1", problem)
    await log.open(new_log(job, ["0", "1"], epoch="e1", closed=False))
    assert not await log.fail(job, "e0", problem)
    await log.commit(Unit(job, "e1", 0), audio(0))
    assert await log.fail(job, "e1", problem)
    assert not await log.fail(job, "e1", problem), "once"
    assert (await log.commit(Unit(job, "e1", 1), audio(1))).verdict == "GONE"
    records = await all_records(store, job)
    assert [r.type for r in records] == ["meta", "audio", "error"]
    assert dict(records[-1].headers) == problem
    page = await store.log_reader.read(job, 3)
    assert page is not None
    assert page.closed
    assert (await log.open(new_log(job, ["0"], epoch="e2"))).new, "a failed log may be begun again"


async def test_a_log_that_has_all_its_units_does_not_fail(store: Store) -> None:
    log, job = store.log_writer, "v" * 16
    await log.open(new_log(job, [], epoch="e1", closed=False))
    await log.grow(job, "e1", 0, ["0"], close=True)
    assert not await log.fail(job, "e1", {"status": 422}), "somebody else has cut it meanwhile"
    assert (await log.commit(Unit(job, "e1", 0), audio(0))).finished


async def test_reading_from_anywhere_gives_the_same_records(store: Store) -> None:
    job, total = "k" * 16, 40
    await store.log_writer.open(new_log(job, [str(n) for n in range(total)], epoch="e1"))
    for n in range(total):
        await store.log_writer.commit(Unit(job, "e1", n), audio(n, bytes([n]) * 1000))
    whole = await all_records(store, job)
    assert [r.seq for r in whole] == list(range(total + 2))
    for start in (0, 1, 17, total + 1):
        for limit in (1, 7, 1000):
            read: list[Record] = []
            at = start
            while True:
                page = await store.log_reader.read(job, at, max_records=limit)
                assert page is not None
                assert len(page.records) <= limit
                read += page.records
                at = page.next_seq
                if page.closed:
                    break
            assert read == whole[start:]
    small = await store.log_reader.read(job, 0, max_bytes=1)
    assert small is not None
    assert small.records
    assert not small.closed
    after = await store.log_reader.read(job, total + 2)
    assert after is not None
    assert (list(after.records), after.next_seq, after.closed) == ([], total + 2, True)


async def test_a_log_expires_and_its_name_can_be_used_again(store: Store) -> None:
    job = "l" * 16
    await store.log_writer.open(new_log(job, ["0", "1"], ttl_ms=150, epoch="e1"))
    await store.log_writer.commit(Unit(job, "e1", 1), audio(1))
    async with asyncio.timeout(10):
        while await store.log_reader.status(job) is not None:
            await asyncio.sleep(0.02)
    assert (await store.log_writer.commit(Unit(job, "e1", 0), audio(0))).verdict == "GONE"
    assert (await store.log_writer.open(new_log(job, ["0"], epoch="e2"))).new
    assert (await store.log_writer.commit(Unit(job, "e1", 0), audio(0))).verdict == "GONE"
    assert (await store.log_writer.commit(Unit(job, "e2", 0), audio(0))).finished


async def test_many_writers_in_any_order_leave_a_gapless_log(store: Store) -> None:
    job, total = "m" * 16, 30
    await store.log_writer.open(new_log(job, [str(n) for n in range(total)], epoch="e1"))
    order = [n for n in range(total) for _ in range(3)]
    random.Random(7).shuffle(order)
    verdicts = await asyncio.gather(
        *(store.log_writer.commit(Unit(job, "e1", n), audio(n, b"body of %d" % n)) for n in order)
    )
    assert sum(v.verdict in ("OK", "STAGED") for v in verdicts) == total
    assert sum(v.finished for v in verdicts) == 1
    records = await all_records(store, job)
    assert [r.seq for r in records] == list(range(total + 2))
    assert [r.body for r in records[1:-1]] == [b"body of %d" % n for n in range(total)]
    assert [r.headers["i"] for r in records[1:-1]] == list(range(total))
