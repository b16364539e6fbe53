"""Scripts of what an upstream says, and a worker of language models that plays them into logs, through the ports alone.

A script is what the attempts at one completion say; the prompt, or else the alias, chooses it. A prompt without a
script is answered with its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.adapters import Address, open_source, open_store
from contracts.ids import new_worker_id
from contracts.jobs import WorkerInfo
from contracts.ports import Claim, Output, Part
from contracts.records import CompletionEnd, DeltaHeaders, StartHeaders, to_json
from contracts.topology import LLM_LANE

UPSTREAM = "http://upstream.test/v1"
UPSTREAM_MODEL = "upstream-small"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
MANY_ATTEMPTS = 5
Chunk = dict[str, Any]


class Gate:
    """A place in a script where the upstream waits until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def pass_through(self, stop: asyncio.Event) -> None:
        self.reached.set()
        waiting = asyncio.create_task(asyncio.to_thread(self._open.wait, 60))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._open.set()
        await waiting


@dataclass
class Attempt:
    """What the upstream says before it ends: `eos`, RFC 9457 members, `lost` on the way, or `given up`."""

    says: Sequence[Chunk | Gate]
    end: dict[str, Any] | str = "eos"


Script = Sequence[Attempt]


def chunk(index: int = 0, reason: str | None = None, /, **delta: Any) -> Chunk:
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    return _chunk([choice])


def usage() -> Chunk:
    return {**_chunk([]), "usage": USAGE}


def _chunk(choices: list[Chunk]) -> Chunk:
    return {
        "id": "chatcmpl-of-the-upstream", "object": "chat.completion.chunk", "created": 1_767_225_600,
        "model": UPSTREAM_MODEL, "system_fingerprint": "fp_1", "choices": choices,
    }  # fmt: skip


def say(text: str, size: int = 4, reason: str = "stop") -> list[Chunk]:
    """A whole answer, cut into pieces of so many characters."""
    pieces = [chunk(content=text[n : n + size]) for n in range(0, len(text), size)]
    return [chunk(role="assistant", content=""), *pieces, chunk(0, reason), usage()]


@dataclass
class ScriptedWorker:
    """One worker of the lane. Its thread ends with `playing`."""

    address: Address
    aliases: tuple[str, ...]
    scripts: dict[str, Script] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Requests as they came, in order."""
    jobs: dict[str, str] = field(default_factory=dict)
    """Prompt -> the completion that was last written for it."""
    stopped: set[str] = field(default_factory=set)
    """Completions that were cancelled while they were written."""
    known: threading.Event = field(default_factory=threading.Event)

    def run(self, over: threading.Event) -> None:
        asyncio.run(self._run(over))

    async def _run(self, over: threading.Event) -> None:
        self._id = new_worker_id("script")
        self._stops: dict[str, asyncio.Event] = {}
        async with contextlib.AsyncExitStack() as stack:
            self._store = open_store(self.address)
            stack.push_async_callback(self._store.close)
            self._source = await open_source(self.address, LLM_LANE, 4, self._id)
            stack.push_async_callback(self._source.close)
            parts = [self._register(), self._obey(), *(self._slot() for _ in range(4))]
            tasks = [asyncio.create_task(part) for part in parts]
            ending = asyncio.create_task(asyncio.to_thread(over.wait))
            await asyncio.wait((*tasks, ending), return_when=asyncio.FIRST_COMPLETED)
            over.set()
            await ending
            failed = [task.exception() for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if failed and failed[0] is not None:
                raise failed[0]

    async def _register(self) -> None:
        info = WorkerInfo(
            id=self._id, pool="script", lane=LLM_LANE, engine="script", model="", device_asked="", device_active="",
            voices=self.aliases, slots=4, xrt=4.0, rss_mb=1, seen_ms=0,
        )  # fmt: skip
        while True:
            await self._store.scheduler.register(info, 10_000)
            self.known.set()
            await asyncio.sleep(3)

    async def _obey(self) -> None:
        async for job in self._source.cancellations():
            if job in self._stops:
                self._stops[job].set()

    async def _slot(self) -> None:
        while True:
            delivery = await self._source.next(0.1)
            ticket = "" if delivery is None or delivery.ticket is None else str(delivery.ticket.unit)
            claim = await self._store.scheduler.claim(LLM_LANE, self._id, 30_000, ticket=ticket)
            if claim is not None:
                await self._write(claim)
            if delivery is not None:
                await delivery.ack()

    async def _write(self, claim: Claim) -> None:
        unit = claim.unit
        task = await self._store.log_writer.look(unit)
        if task.verdict == "RENDER":
            request = json.loads(task.text)
            self.asked.append(request)
            prompt = request["messages"][-1]["content"]
            self.jobs[prompt] = unit.job
            script = self.scripts.get(prompt) or self.scripts.get(request["model"]) or [Attempt(say(f"Echo: {prompt}"))]
            stop = self._stops[unit.job] = asyncio.Event()
            for number, attempt in enumerate(script, 1):
                await self._play(claim, attempt, number, stop)
        await self._store.scheduler.release(LLM_LANE, [(unit, None)])

    async def _play(self, claim: Claim, attempt: Attempt, number: int, stop: asyncio.Event) -> None:
        unit, log, writer = claim.unit, self._store.log_writer, f"{self._id}:{number}"
        start = StartHeaders(i=0, a=number, w=self._id, upstream=UPSTREAM, model=UPSTREAM_MODEL)
        parts = [Part("start", start.model_dump())]
        at = 0
        async for batch in _batches(attempt.says, stop):
            parts.append(_delta(batch))
            if await log.append(unit, writer, at, parts) != "OK":
                self.stopped.add(unit.job)
                return
            at, parts = at + len(parts), []
        if stop.is_set():
            self.stopped.add(unit.job)
        if (end := self._end(attempt, number, writer if at else "")) is not None:
            await log.commit(unit, end)

    def _end(self, attempt: Attempt, number: int, writer: str) -> Output | None:
        """None: another attempt follows."""
        if isinstance(attempt.end, dict):
            return Output("error", attempt.end, writer=writer)
        if attempt.end == "given up":
            return Output("skip", {"i": 0, "t": "", "reason": f"given up after {MANY_ATTEMPTS} attempts"})
        if attempt.end == "lost":
            return None
        said = [one for one in attempt.says if not isinstance(one, Gate)]
        reasons = [c["finish_reason"] for one in said for c in one["choices"] if c["index"] == 0 and c["finish_reason"]]
        counted = next((one["usage"] for one in said if "usage" in one), None)
        end = CompletionEnd(
            i=0, finish_reason=reasons[0] if reasons else None, usage=counted, upstream=UPSTREAM, model=UPSTREAM_MODEL,
            ttft_ms=3, g=9, a=number, w=self._id,
        )  # fmt: skip
        return Output("eos", end.model_dump(), gen_ms=9, writer=writer)


async def _batches(says: Sequence[Chunk | Gate], stop: asyncio.Event) -> AsyncIterator[list[Chunk]]:
    """Chunks by twos, as if they came within 25 ms; a gate has what was before it written."""
    for gated, group in itertools.groupby(says, lambda one: isinstance(one, Gate)):
        found = list(group)
        if gated:
            for gate in found:
                assert isinstance(gate, Gate)
                await gate.pass_through(stop)
            continue
        chunks = [one for one in found if isinstance(one, dict)]
        for n in range(0, len(chunks), 2):
            yield chunks[n : n + 2]


def _delta(batch: Sequence[Chunk]) -> Part:
    text = "".join(c["delta"].get("content") or "" for one in batch for c in one["choices"] if c["index"] == 0)
    body = b"".join(to_json(one) + b"\n" for one in batch)
    return Part("delta", DeltaHeaders(i=0, t=text).model_dump(), body)


@contextlib.contextmanager
def playing(worker: ScriptedWorker) -> Iterator[ScriptedWorker]:
    """The worker, at work in a thread of its own."""
    over = threading.Event()
    thread = threading.Thread(target=worker.run, args=(over,))
    thread.start()
    try:
        assert worker.known.wait(30)
        yield worker
    finally:
        over.set()
        thread.join(30)
