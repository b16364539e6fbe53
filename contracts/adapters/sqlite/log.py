"""The log on SQLite: LogWriter and LogReader. Each verb tells the same story as the Lua script of its name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from contracts import ports
from contracts.adapters.sqlite.database import Database, now_ms
from contracts.ports import Assignment, Committed, Grown, LogSource, LogStatus, NewLog, Opened, Output, Page, Part
from contracts.records import CastTotals, Record, to_json
from contracts.units import Lane, Unit


class SqliteLog:
    """Logs in one file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def open(self, log: NewLog) -> Opened:
        """See LogWriter.open."""

        def verb(db: sqlite3.Connection) -> Opened:
            now = now_ms()
            _forget_expired(db, now)
            old = _row(db, log.job)
            stands = ("live",) if log.replace else ("live", "done")
            if old is not None and old["state"] in stands:
                return Opened(False, _status(old))
            _forget(db, log.job)
            db.execute(
                "INSERT INTO logs VALUES (?,?,?,?,?,?,?,'live',?,?,0,1,0,0,0,?,0,?,?,'',0)",
                (
                    log.job, log.epoch, log.lane, log.job_class, log.owner, to_json(log.recipe).decode(), log.reply_to,
                    int(log.closed), len(log.units), now, log.ttl_ms, now + log.ttl_ms,
                ),
            )  # fmt: skip
            _append(db, log.job, 0, "meta", to_json({**log.meta, "created": now}).decode(), b"")
            db.executemany("INSERT INTO units VALUES (?,?,?)", ((log.job, n, t) for n, t in enumerate(log.units)))
            return Opened(True, _status(_known(db, log.job)))

        return await self._db.write(verb)

    async def look(self, unit: Unit) -> Assignment:
        """See LogWriter.look."""

        def verb(db: sqlite3.Connection) -> Assignment:
            row = _row(db, unit.job)
            if row is None or row["epoch"] != unit.epoch or row["state"] in ("cancelled", "failed"):
                return Assignment("GONE")
            if unit.index < row["wm"] or _staged(db, unit.job, unit.index) is not None:
                return Assignment("DUP")
            text = db.execute("SELECT text FROM units WHERE job=? AND n=?", (unit.job, unit.index)).fetchone()
            if text is None:
                return Assignment("GONE")
            return Assignment("RENDER", text["text"], json.loads(row["recipe"]), row["reply_to"])

        return await self._db.read(verb)

    async def commit(self, unit: Unit, output: Output) -> Committed:
        """See LogWriter.commit."""
        headers = to_json(output.headers).decode()

        def verb(db: sqlite3.Connection) -> Committed:
            row = _row(db, unit.job)
            wm = -1 if row is None else row["wm"]
            verdict = "GONE" if row is None else _refusal(db, row, unit, output)
            if row is None or verdict is not None:
                return Committed(verdict or "GONE", wm, finished=False)
            if output.type in ("eos", "error"):
                return _conclude(db, row, output, headers)
            made = (output.type, headers, output.body, output.duration_ms, output.gen_ms)
            db.execute("INSERT INTO staged VALUES (?,?,?,?,?,?,?)", (unit.job, unit.index, *made))
            if unit.index > wm:
                return Committed("STAGED", wm, finished=False)
            return _advance(db, row)

        return await self._db.write(verb)

    async def append(self, unit: Unit, writer: str, at: int, parts: Sequence[Part]) -> ports.AppendVerdict:
        """See LogWriter.append."""

        def verb(db: sqlite3.Connection) -> ports.AppendVerdict:
            row = _row(db, unit.job)
            if row is None or row["epoch"] != unit.epoch or row["state"] != "live" or row["wm"] != unit.index:
                return "GONE"
            written = row["written"] if row["writer"] == writer else 0
            if at > 0 and row["writer"] != writer:
                return "LAPSED"
            if 0 < at + len(parts) <= written:
                return "OK"
            for seq, part in enumerate(parts, row["seq"]):
                _append(db, unit.job, seq, part.type, to_json(part.headers).decode(), part.body)
            db.execute(
                "UPDATE logs SET seq=seq+?, writer=?, written=?, expires=? WHERE job=?",
                (len(parts), writer, at + len(parts), now_ms() + row["ttl"], unit.job),
            )
            return "OK"

        return await self._db.write(verb)

    async def grow(
        self, job: str, epoch: str, first: int, texts: Sequence[str], *, close: bool, exact: bool = False
    ) -> Grown:
        """See LogWriter.grow."""

        def verb(db: sqlite3.Connection) -> Grown:
            row = _row(db, job)
            total = 0 if row is None else row["total"]
            if row is None or row["epoch"] != epoch or row["state"] in ("cancelled", "failed"):
                return Grown("GONE", total, finished=False)
            if row["closed"]:
                return Grown("OK", total, finished=False)
            if first > total or (exact and first < total):
                return Grown("GAP", total, finished=False)
            added = list(enumerate(texts, first))[total - first :]
            db.executemany("INSERT INTO units VALUES (?,?,?)", ((job, n, text) for n, text in added))
            total += len(added)
            db.execute("UPDATE logs SET total=?, closed=? WHERE job=?", (total, int(close), job))
            return Grown("OK", total, _advance(db, _known(db, job)).finished)

        return await self._db.write(verb)

    async def fail(self, job: str, epoch: str, problem: Mapping[str, Any]) -> bool:
        """See LogWriter.fail."""

        def verb(db: sqlite3.Connection) -> bool:
            row = _row(db, job)
            if row is None or row["epoch"] != epoch or row["state"] != "live" or row["closed"]:
                return False
            _end(db, row, "failed", "error", problem)
            return True

        return await self._db.write(verb)

    async def source(self, job: str) -> LogSource | None:
        """See LogWriter.source."""

        def verb(db: sqlite3.Connection) -> LogSource | None:
            row = _row(db, job)
            if row is None:
                return None
            query = "SELECT h FROM records WHERE job=? AND e IN ('meta', 'audio', 'skip') ORDER BY seq"
            first, *made = (json.loads(r["h"]) for r in db.execute(query, (job,)))
            meta = {name: value for name, value in first.items() if name != "created"}
            texts = {headers["i"]: headers["t"] for headers in made}
            texts.update((r["n"], r["text"]) for r in db.execute("SELECT n, text FROM units WHERE job=?", (job,)))
            return LogSource(
                _status(row), row["owner"], json.loads(row["recipe"]), meta, texts,
                reply_to=row["reply_to"], ttl_ms=row["ttl"],
            )  # fmt: skip

        return await self._db.read(verb)

    async def cancel(self, job: str) -> LogStatus | None:
        """See LogWriter.cancel."""

        def verb(db: sqlite3.Connection) -> LogStatus | None:
            row = _row(db, job)
            if row is None:
                return None
            if row["state"] == "live":
                _end(db, row, "cancelled", "cancelled", {"units": row["wm"], "total": row["total"]})
            return _status(_known(db, job))

        return await self._db.write(verb)

    async def status(self, job: str) -> LogStatus | None:
        """See LogReader.status."""
        row = await self._db.read(lambda db: _row(db, job))
        return None if row is None else _status(row)

    async def read(self, job: str, start: int, *, max_records: int = 256, max_bytes: int = 1 << 20) -> Page | None:
        """See LogReader.read."""

        def verb(db: sqlite3.Connection) -> Page | None:
            row = _row(db, job)
            if row is None:
                return None
            records: list[Record] = []
            size = 0
            query = "SELECT seq, e, h, b FROM records WHERE job=? AND seq>=? ORDER BY seq LIMIT ?"
            for r in db.execute(query, (job, start, max_records)):
                records.append(Record(r["seq"], r["e"], json.loads(r["h"]), r["b"]))
                size += len(r["b"]) + len(r["h"])
                if size >= max_bytes:
                    break
            end = start + len(records)
            return Page(row["epoch"], records, end, row["state"] != "live" and end >= row["seq"])

        return await self._db.read(verb)


def _advance(db: sqlite3.Connection, row: sqlite3.Row) -> Committed:
    """Move what is staged contiguously into the log, and close it after the last unit."""
    job, seq, wm, skipped, audio_ms, gen_ms = (row[k] for k in ("job", "seq", "wm", "skipped", "audio_ms", "gen_ms"))
    while (staged := _staged(db, job, wm)) is not None:
        _append(db, job, seq, staged["e"], staged["h"], staged["b"])
        db.execute("DELETE FROM staged WHERE job=? AND n=?", (job, wm))
        seq, wm, audio_ms, gen_ms = seq + 1, wm + 1, audio_ms + staged["duration"], gen_ms + staged["gen"]
        skipped += staged["e"] == "skip"
    finished = bool(row["closed"]) and wm == row["total"]
    if finished:
        xrt = round(audio_ms / gen_ms, 3) if gen_ms else 0.0
        totals = CastTotals(units=wm, skipped=skipped, audio_ms=audio_ms, gen_ms=gen_ms, xrt=xrt)
        _append(db, job, seq, "eos", to_json(totals.model_dump()).decode(), b"")
        seq += 1
        db.execute("DELETE FROM units WHERE job=?", (job,))
    now = now_ms()
    db.execute(
        "UPDATE logs SET wm=?, seq=?, skipped=?, audio_ms=?, gen_ms=?, state=?, first=?, expires=? WHERE job=?",
        (
            wm,
            seq,
            skipped,
            audio_ms,
            gen_ms,
            "done" if finished else "live",
            row["first"] or (now if wm else 0),
            now + row["ttl"],
            job,
        ),
    )
    return Committed("OK", wm, finished)


def _refusal(db: sqlite3.Connection, row: sqlite3.Row, unit: Unit, output: Output) -> ports.CommitVerdict | None:
    """Why a unit is not committed."""
    if row["epoch"] != unit.epoch or row["state"] in ("cancelled", "failed"):
        return "GONE"
    if not 0 <= unit.index < row["total"]:
        return "BAD"
    if unit.index < row["wm"] or _staged(db, unit.job, unit.index) is not None:
        return "DUP"
    if output.writer and output.writer != row["writer"]:
        return "LAPSED"
    ends = output.type in ("eos", "error")
    return "BAD" if ends and (unit.index > row["wm"] or unit.index + 1 < row["total"]) else None


def _conclude(db: sqlite3.Connection, row: sqlite3.Row, output: Output, headers: str) -> Committed:
    """The end of a log, as its last unit brings it."""
    _append(db, row["job"], row["seq"], output.type, headers, output.body)
    db.execute(
        "UPDATE logs SET state=?, wm=total, seq=seq+1, audio_ms=audio_ms+?, gen_ms=gen_ms+?, expires=? WHERE job=?",
        (
            "done" if output.type == "eos" else "failed", output.duration_ms, output.gen_ms,
            now_ms() + row["ttl"], row["job"],
        ),
    )  # fmt: skip
    db.execute("DELETE FROM units WHERE job=?", (row["job"],))
    return Committed("OK", row["total"], finished=True)


def _end(db: sqlite3.Connection, row: sqlite3.Row, state: str, kind: str, headers: Mapping[str, Any]) -> None:
    """A last record that is no `eos`."""
    _append(db, row["job"], row["seq"], kind, to_json(headers).decode(), b"")
    db.execute("UPDATE logs SET state=?, seq=seq+1 WHERE job=?", (state, row["job"]))
    for table in ("staged", "units"):
        db.execute(f"DELETE FROM {table} WHERE job=?", (row["job"],))  # noqa: S608  (a name of ours)


def _append(db: sqlite3.Connection, job: str, seq: int, kind: str, headers: str, body: bytes) -> None:
    db.execute("INSERT INTO records VALUES (?,?,?,?,?)", (job, seq, kind, headers, body))


def _row(db: sqlite3.Connection, job: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM logs WHERE job=? AND expires>?", (job, now_ms())).fetchone()
    return row


def _known(db: sqlite3.Connection, job: str) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM logs WHERE job=?", (job,)).fetchone()
    return row


def _staged(db: sqlite3.Connection, job: str, n: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM staged WHERE job=? AND n=?", (job, n)).fetchone()
    return row


def _forget(db: sqlite3.Connection, job: str) -> None:
    for table in ("logs", "records", "units", "staged"):
        db.execute(f"DELETE FROM {table} WHERE job=?", (job,))  # noqa: S608  (a name of ours)


def _forget_expired(db: sqlite3.Connection, now: int) -> None:
    for row in db.execute("SELECT job FROM logs WHERE expires<=? LIMIT 8", (now,)).fetchall():
        _forget(db, row["job"])


def _status(row: sqlite3.Row) -> LogStatus:
    return LogStatus(
        job=row["job"], epoch=row["epoch"], lane=Lane(row["lane"]), job_class=row["class"], state=row["state"],
        closed=bool(row["closed"]), total=row["total"], watermark=row["wm"], next_seq=row["seq"],
        skipped=row["skipped"], audio_ms=row["audio_ms"], gen_ms=row["gen_ms"], created_ms=row["created"],
        first_ms=row["first"], now_ms=now_ms(), expires_ms=row["expires"],
    )  # fmt: skip
