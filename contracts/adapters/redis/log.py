"""The log on Redis: LogWriter and LogReader. The verbs that write are Lua scripts of the same name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from contracts import ports
from contracts.adapters.redis.connection import Scripts, guarded
from contracts.ports import Assignment, Committed, Grown, LogSource, LogStatus, NewLog, Opened, Output, Page, Part
from contracts.records import Record, to_json
from contracts.topology import log_keys
from contracts.units import Lane, Unit

LogKeys = dict[str, str]


class RedisLog:
    """Logs under one namespace of one Redis."""

    def __init__(self, client: Redis, namespace: str) -> None:
        self._redis = client
        self._namespace = namespace
        self._scripts = Scripts(client)

    def _keys(self, job: str) -> LogKeys:
        return log_keys(self._namespace, job)

    @guarded
    async def open(self, log: NewLog) -> Opened:
        """See LogWriter.open."""
        k = self._keys(log.job)
        head = (log.epoch, log.lane, log.job_class, log.owner, to_json(log.recipe), to_json(log.meta), log.reply_to)
        new, status = await self._scripts.call(
            "open",
            (k["meta"], k["log"], k["staged"], k["units"]),
            (*head, int(log.closed), log.ttl_ms, int(log.replace), *log.units),
        )
        return Opened(bool(new), _status(log.job, status))

    @guarded
    async def look(self, unit: Unit) -> Assignment:
        """See LogWriter.look."""
        k = self._keys(unit.job)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(k["meta"], ["epoch", "state", "wm", "recipe", "reply_to"])
            pipe.hget(k["units"], str(unit.index))
            pipe.hexists(k["staged"], str(unit.index))
            (epoch, state, watermark, recipe, reply_to), text, staged = await pipe.execute()
        if epoch is None or epoch.decode() != unit.epoch or state in (b"cancelled", b"failed"):
            return Assignment("GONE")
        if staged or unit.index < int(watermark):
            return Assignment("DUP")
        if text is None:
            return Assignment("GONE")
        return Assignment("RENDER", text.decode(), json.loads(recipe), reply_to.decode())

    @guarded
    async def commit(self, unit: Unit, output: Output) -> Committed:
        """See LogWriter.commit."""
        k = self._keys(unit.job)
        verdict, watermark, finished = await self._scripts.call(
            "commit",
            (k["meta"], k["log"], k["staged"], k["units"]),
            (
                unit.index, unit.epoch, output.type, to_json(output.headers), output.body,
                output.duration_ms, output.gen_ms, k["bell"], output.writer,
            ),
        )  # fmt: skip
        return Committed(verdict.decode(), int(watermark), bool(finished))

    @guarded
    async def append(self, unit: Unit, writer: str, at: int, parts: Sequence[Part]) -> ports.AppendVerdict:
        """See LogWriter.append."""
        k = self._keys(unit.job)
        flat = [field for part in parts for field in (part.type, to_json(part.headers), part.body)]
        verdict = await self._scripts.call(
            "append",
            (k["meta"], k["log"], k["staged"], k["units"]),
            (unit.index, unit.epoch, writer, at, k["bell"], *flat),
        )
        answer: ports.AppendVerdict = verdict.decode()
        return answer

    @guarded
    async def grow(
        self, job: str, epoch: str, first: int, texts: Sequence[str], *, close: bool, exact: bool = False
    ) -> Grown:
        """See LogWriter.grow."""
        k = self._keys(job)
        verdict, total, finished = await self._scripts.call(
            "grow",
            (k["meta"], k["log"], k["staged"], k["units"]),
            (epoch, first, int(close), k["bell"], int(exact), *texts),
        )
        return Grown(verdict.decode(), int(total), bool(finished))

    @guarded
    async def fail(self, job: str, epoch: str, problem: Mapping[str, Any]) -> bool:
        """See LogWriter.fail."""
        k = self._keys(job)
        keys = (k["meta"], k["log"], k["staged"], k["units"])
        return bool(await self._scripts.call("fail", keys, (epoch, to_json(problem), k["bell"])))

    @guarded
    async def source(self, job: str) -> LogSource | None:
        """See LogWriter.source."""
        k = self._keys(job)
        found = await self._scripts.call("source", (k["meta"], k["log"], k["units"]), ())
        if found is None:
            return None
        fields, (owner, recipe, reply_to, ttl), [(_, first)], pairs = found
        meta = dict(zip(first[::2], first[1::2], strict=True))[b"h"]
        status = _status(job, fields)
        texts = {int(n): text.decode() for n, text in zip(pairs[::2], pairs[1::2], strict=True)}
        if any(n not in texts for n in range(status.watermark)):
            records = await self._texts(status)
            if records is None:
                return await self.source(job)
            texts = {**records, **texts}
        headers = {name: value for name, value in json.loads(meta).items() if name != "created"}
        return LogSource(
            status, owner.decode(), json.loads(recipe), headers, texts, reply_to=reply_to.decode(), ttl_ms=int(ttl)
        )

    async def _texts(self, status: LogStatus) -> dict[int, str] | None:
        """Texts of the records this incarnation had; None if another has taken its place, or it has expired."""
        texts: dict[int, str] = {}
        at = 1
        while at < status.next_seq:
            page = await self.read(status.job, at)
            if page is None or page.epoch != status.epoch:
                return None
            texts.update((r.headers["i"], r.headers["t"]) for r in page.records if r.type in ("audio", "skip"))
            at = page.next_seq
        return texts

    @guarded
    async def cancel(self, job: str) -> LogStatus | None:
        """See LogWriter.cancel."""
        k = self._keys(job)
        fields = await self._scripts.call("cancel", (k["meta"], k["log"], k["staged"], k["units"]), (k["bell"],))
        return None if fields is None else _status(job, fields)

    @guarded
    async def status(self, job: str) -> LogStatus | None:
        """See LogReader.status."""
        fields = await self._scripts.call("status", (self._keys(job)["meta"],), ())
        return None if fields[0] is None else _status(job, fields)

    @guarded
    async def read(self, job: str, start: int, *, max_records: int = 256, max_bytes: int = 1 << 20) -> Page | None:
        """See LogReader.read."""
        k = self._keys(job)
        records: list[Record] = []
        size = 0
        while True:
            at = start + len(records)
            async with self._redis.pipeline(transaction=False) as pipe:
                # the hash first: what it says is readable is in the stream that is read after it
                pipe.hmget(k["meta"], ["epoch", "state", "seq"])
                pipe.xrange(k["log"], min=f"{at + 1}-0", max="+", count=min(READ_AT_ONCE, max_records - len(records)))
                (epoch, state, seq), entries = await pipe.execute()
            if epoch is None:
                return None
            records += [_record(entry) for entry in entries]
            size += sum(len(r.body) + len(r.head) for r in records[at - start :])
            if len(entries) < READ_AT_ONCE or size >= max_bytes or len(records) >= max_records:
                end = start + len(records)
                closed = bool(records and records[-1].terminal) or (state != b"live" and end >= int(seq))
                return Page(epoch.decode(), records, end, closed)


READ_AT_ONCE = 16
"""Records fetched per round trip: of about 20 kB each."""


def _record(entry: tuple[bytes, dict[bytes, bytes]]) -> Record:
    stream_id, fields = entry
    seq = int(stream_id.partition(b"-")[0]) - 1
    return Record(seq, fields[b"e"].decode(), json.loads(fields[b"h"]), fields[b"b"])


def _status(job: str, fields: Sequence[Any]) -> LogStatus:
    epoch, lane, job_class, state = (f.decode() for f in fields[:4])
    closed, total, watermark, seq, skipped, audio_ms, gen_ms, created, first = (int(f) for f in fields[4:13])
    now, ttl = int(fields[13]), int(fields[14])
    return LogStatus(
        job=job, epoch=epoch, lane=Lane(lane), job_class=job_class, state=state, closed=bool(closed), total=total,
        watermark=watermark, next_seq=seq, skipped=skipped, audio_ms=audio_ms, gen_ms=gen_ms, created_ms=created,
        first_ms=first, now_ms=now, expires_ms=now + ttl,
    )  # fmt: skip
