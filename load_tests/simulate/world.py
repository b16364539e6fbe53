"""One world: the real front and the real worker shells on a simulated broker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from contracts.adapters import Store
from contracts.errors import Unavailable
from contracts.ports import LogReader, LogSource, LogWriter, Scheduler
from load_tests.simulate.broker import Broker, Publisher
from load_tests.simulate.parts import Bell, Engine
from load_tests.simulate.plan import Plan
from load_tests.simulate.process import Faults, Gate, Process, Trace
from load_tests.simulate.stores import LANE, SimulatedStore
from load_tests.simulate.witness import Witness
from producer_api.casts import Casts
from producer_api.dispatch import Dispatch
from producer_api.follow.attention import Attention
from producer_api.follow.hub import Hub
from producer_api.janitor import Janitor
from workers.engine import EngineInfo
from workers.renderer import EngineRenderer
from workers.settings import WorkerSettings
from workers.shell import Shell

SECRET = b"simulated"
LEASE_S = 3.0
WATCHDOG_S = 4.0
JANITOR_S = 2.0
RESTART_S = (0.1, 2.0)
"""A process that died is started again after so long."""


@dataclass
class Front:
    """One start of a front process: the parts that producer_api.front puts together."""

    process: Process
    casts: Casts
    hub: Hub
    bell: Bell
    attention: Attention
    janitor: Janitor


@dataclass
class World:
    """What exists in one run, and what was seen of it."""

    plan: Plan
    stored: SimulatedStore
    faults: Faults
    trace: Trace
    broker: Broker
    witness: Witness
    fronts: list[Front] = field(default_factory=list)
    shells: list[Shell] = field(default_factory=list)
    repaired: int = 0
    closing: bool = False
    _starts: int = 0

    # --- processes -------------------------------------------------------------------------------------------

    def process(self, kind: str) -> Process:
        """A new one, with a clock of its own."""
        self._starts += 1
        return Process(f"{kind}-{self._starts}", self.faults.rng.uniform(-1, 1) * self.plan.skew_s)

    def _store_for(self, process: Process) -> Store:
        def gate(port: object) -> Gate:
            return Gate(process, port, self.faults, self.trace, self.witness)

        store = self.stored.store
        return Store(
            cast(LogWriter, gate(store.log_writer)), cast(LogReader, gate(store.log_reader)),
            cast(Scheduler, gate(store.scheduler)), store.blobs, (),
        )  # fmt: skip

    async def keep_front(self) -> None:
        """A front process, started again whenever it dies."""
        while True:
            process = self.process("front")
            store, publisher = self._store_for(process), Publisher(self.broker, process)
            dispatch = Dispatch(store, publisher, max_wait_s=3_600)
            attention, bell = Attention(store.scheduler), Bell(self.faults)
            casts = Casts(store, publisher, dispatch, SECRET, retention_s=self.plan.retention_s, max_text_chars=10_000)
            hub = Hub(store.log_reader, bell, attention)
            janitor = Janitor(store, dispatch, SECRET, open_idle_s=600, take_over=_nobody)
            front = Front(process, casts, hub, bell, attention, janitor)
            self.fronts.append(front)
            self.witness.bells.append(bell)
            works = [process.start(work) for work in (hub.run(), attention.run(), self._keep_house(front))]
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            self.fronts.remove(front)
            self.witness.bells.remove(bell)
            if process.alive:
                done.pop().result()
            await asyncio.sleep(self.faults.rng.uniform(*RESTART_S))

    async def _keep_house(self, front: Front) -> None:
        """Janitor.run for one lane; it looks less often where it would find nothing."""
        while True:
            await asyncio.sleep(JANITOR_S)
            try:
                self.repaired += await front.janitor.round(LANE)
            except Unavailable as exc:
                self.trace.add(front.process.name, f"the janitor waits: {exc}")

    async def keep_worker(self) -> None:
        """A worker process, started again whenever it dies."""
        while not self.closing:
            process = self.process("worker")
            store, source = self._store_for(process), self.broker.connect(process)
            settings = WorkerSettings(store="redis://", broker="", lease_s=LEASE_S, watchdog_s=WATCHDOG_S)
            info = EngineInfo("tone", "tone", "cpu", "cpu", ("tone",), self.plan.slots, probe_xrt=5.0)
            engine = Engine(process, self.faults, self.witness.evidence, self.plan.failing)
            shell = Shell(
                process.name, LANE, settings, log=store.log_writer, scheduler=store.scheduler, source=source,
                renderer=EngineRenderer(engine), info=info,
            )  # fmt: skip
            self.shells.append(shell)
            work = process.start(shell.run())
            await asyncio.wait([work])
            self.shells.remove(shell)
            if process.alive:
                work.result()
                return
            await self.broker.disconnect(source)
            await asyncio.sleep(self.faults.rng.uniform(*RESTART_S))


def _nobody(_: LogSource) -> None:
    """There are no completions."""
