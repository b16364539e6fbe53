"""Sees every call of the store take effect, answered or not, and keeps what the oracle needs of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.ports import Assignment, Claim, Committed, LogStatus, NewLog, Opened, Output, Page, Ring
from contracts.records import Record
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Unit
from load_tests.simulate.clock import START_S
from load_tests.simulate.oracle import Evidence, Log
from load_tests.simulate.parts import UNIT, Bell
from load_tests.simulate.stores import SimulatedStore


@dataclass
class Witness:
    """Of one world. texts: job -> its units; expires: job -> until when its log must be kept, ms."""

    stored: SimulatedStore
    bells: list[Bell] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)
    texts: dict[str, list[str]] = field(default_factory=dict)
    expires: dict[str, int] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)
    ttl_ms: int = 0

    async def __call__(self, verb: str, args: Sequence[Any], result: Any) -> Any:  # noqa: ANN401  any verb of any port
        """Note a call; what the caller is answered."""
        match verb, result:
            case "look", Assignment(verdict="RENDER"):
                return replace(result, recipe={**result.recipe, UNIT: str(args[0])})
            case "open", Opened(new=True):
                self._opened(args[0], result.status)
            case "expect", _:
                self.expected.add(args[1])
            case "claim", Claim():
                self.evidence.claims[str(result.unit)] += 1
            case "commit", Committed():
                await self._committed(args[0], args[1], result)
            case "cancel", LogStatus(state="cancelled"):
                self.expires.pop(result.job, None)
                await self._ended(result.job)
            case "read", Page():
                self.evidence.saw(args[0], result.epoch, result.records)
        return result

    def _opened(self, log: NewLog, status: LogStatus) -> None:
        """A new incarnation, in place of one that has expired or was cancelled."""
        self.evidence.forgotten += self.expires.get(log.job, 0) > status.now_ms
        self.texts[log.job] = list(log.units)
        self._keeps(status, log.ttl_ms)

    def _keeps(self, status: LogStatus, ttl_ms: int) -> None:
        """Retention counts from the last record."""
        self.ttl_ms = ttl_ms
        self.expires[status.job] = status.now_ms + ttl_ms
        self.evidence.forgotten += abs(status.expires_ms - self.expires[status.job]) > 1  # clocks are read in between

    async def _committed(self, unit: Unit, output: Output, result: Committed) -> None:
        if result.verdict not in ("OK", "STAGED"):
            return
        self.evidence.accepted[str(unit)] += 1
        made_for = json.loads(output.body)["unit"] if output.type == "audio" else str(unit)
        self.evidence.strangers += made_for != str(unit)
        if result.finished:
            await self._ended(unit.job)
        if result.verdict == "OK":
            status = await self.stored.log.status(unit.job)
            if status is not None:
                self._keeps(status, self.ttl_ms)
            record = Record(unit.index + 1, output.type, output.headers, output.body)
            self.evidence.saw(unit.job, unit.epoch, [record])
            for bell in self.bells:
                bell.ring(Ring(unit.job, unit.epoch, record))

    async def _ended(self, job: str) -> None:
        """Read what stands in the log at this very moment: it may expire, or be replaced."""
        page = await self.stored.log.read(job, 0)
        if page is None:
            return
        self.evidence.saw(job, page.epoch, page.records)
        skippable = {n for n in range(len(self.texts[job])) if self._worn(job, page.epoch, n)}
        self.evidence.logs[job, page.epoch] = Log(job, page.epoch, self.texts[job], page.records, skippable)

    def _worn(self, job: str, epoch: str, index: int) -> bool:
        """It was handed out so often that it may be given up."""
        return self.evidence.claims[f"{job}:{epoch}:{index}"] > MAX_ATTEMPTS

    def text_of(self, unit: str) -> str:
        """The text of `job:epoch:index`."""
        found = Unit.parse(unit)
        return self.texts[found.job][found.index]

    def live_job(self, text: str) -> str | None:
        """The job of a text, if its log stands and a janitor knows: it will come to an end, whoever dies."""
        now = START_S * 1000 + asyncio.get_running_loop().time() * 1000
        jobs = (j for j, units in self.texts.items() if "".join(units) == text and j in self.expected)
        return next((j for j in jobs if self.expires.get(j, 0) > now), None)
