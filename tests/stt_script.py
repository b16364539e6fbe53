"""A hearing worker that is told what it hears, through the ports alone: texts, how likely each ends a turn, gates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llm_script import Gate

from contracts.adapters import Address, open_source, open_store
from contracts.ids import new_worker_id
from contracts.jobs import HeardPiece, PieceOrder, WorkerInfo
from contracts.ports import Claim, Output
from contracts.topology import DEFAULT_HEARING_MODEL, live_lane, transcript_lane
from contracts.units import Unit

LANE = live_lane(transcript_lane(DEFAULT_HEARING_MODEL))


@dataclass(frozen=True)
class Hears:
    """One utterance. turn: how likely it was the end; gate: it is not heard before the test says so; skip: never."""

    text: str
    turn: float | None = None
    tone: str = ""
    gate: Gate | None = None
    skip: bool = False


@dataclass
class ScriptedHearer:
    """One worker of the lane of live transcripts. Utterances are heard in the order in which they come."""

    address: Address
    says: deque[Hears] = field(default_factory=deque)
    now: str = ""
    """The text of the moment, of all that is being said."""
    _heard: dict[tuple[str, int], tuple[PieceOrder, Hears]] = field(default_factory=dict)
    """(Transcript, start): what may be over is heard ahead, and once more if it was not."""
    known: threading.Event = field(default_factory=threading.Event)

    @property
    def heard(self) -> list[PieceOrder]:
        """Utterances as they came."""
        return [order for order, _ in self._heard.values()]

    def will_hear(self, *says: Hears | str) -> None:
        """In place of what was not heard yet."""
        self.says = deque(Hears(one) if isinstance(one, str) else one for one in says)

    def run(self, over: threading.Event) -> None:
        asyncio.run(self._run(over))

    async def _run(self, over: threading.Event) -> None:
        self._id = new_worker_id("ears")
        async with contextlib.AsyncExitStack() as stack:
            self._store = open_store(self.address)
            stack.push_async_callback(self._store.close)
            self._source = await open_source(self.address, LANE, 2, self._id)
            stack.push_async_callback(self._source.close)
            tasks = [asyncio.create_task(part) for part in (self._register(), self._slot(), self._slot())]
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
        """As hearing workers do: under the lane of recordings, too."""
        infos = [
            WorkerInfo(
                id=self._id, pool="ears", lane=lane, engine="script", model="script", device_asked="",
                device_active="", voices=(), slots=2, xrt=100.0, rss_mb=1, seen_ms=0,
            )
            for lane in (LANE, transcript_lane(DEFAULT_HEARING_MODEL))
        ]  # fmt: skip
        while True:
            for info in infos:
                await self._store.scheduler.register(info, 10_000)
            self.known.set()
            await asyncio.sleep(3)

    async def _slot(self) -> None:
        while True:
            delivery = await self._source.next(0.1)
            ticket = "" if delivery is None or delivery.ticket is None else str(delivery.ticket.unit)
            claim = await self._store.scheduler.claim(LANE, self._id, 60_000, ticket=ticket)
            if claim is not None:
                await self._hear(claim)
            if delivery is not None:
                await delivery.ack()

    async def _hear(self, claim: Claim) -> None:
        unit = claim.unit
        task = await self._store.log_writer.look(unit)
        if task.verdict == "RENDER":
            await self._store.log_writer.commit(unit, await self._said(unit, task.text))
        await self._store.scheduler.release(LANE, [(unit, None)])

    async def _said(self, unit: Unit, text: str) -> Output:
        if "heard" in json.loads(text):
            headers = HeardPiece.model_validate_json(text).heard
            return Output("segment", headers, gen_ms=1, duration_ms=headers["end"] - headers["start"])
        order = PieceOrder.model_validate_json(text)
        if order.spoken is not None and order.spoken.interim:
            return self._output(unit.index, order, Hears(self.now))
        key = unit.job.removesuffix("-now"), order.start
        said = self._heard[key][1] if key in self._heard else self.says.popleft() if self.says else Hears("Hello.")
        self._heard[key] = order, said
        if said.gate is not None:
            await said.gate.pass_through(asyncio.Event())
        return self._output(unit.index, order, said)

    def _output(self, index: int, order: PieceOrder, said: Hears) -> Output:
        if said.skip:
            return Output("skip", {"i": index, "t": "", "reason": "given up after 5 attempts"})
        headers: dict[str, Any] = {
            "i": index, "start": order.start, "end": order.end, "t": said.text, "language": "en", "segments": [],
            "words": [], "g": 1, "a": 1, "w": self._id, "engine": "script",
        }  # fmt: skip
        if said.turn is not None:
            headers["turn"] = said.turn
        if said.tone:
            headers["tone"] = {"label": said.tone}
        return Output("segment", headers, gen_ms=1, duration_ms=order.end - order.start)


@contextlib.contextmanager
def hearing(worker: ScriptedHearer) -> Iterator[ScriptedHearer]:
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
