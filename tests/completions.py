"""Completions without a front: their logs are opened, submitted and read by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contracts.adapters import Address, Store, open_publisher, open_store
from contracts.ids import new_epoch, new_id
from contracts.jobs import CompletionRecipe, Ticket
from contracts.ports import NewLog, TicketPublisher, Work
from contracts.records import CompletionMeta, Record
from contracts.topology import LLM_LANE
from contracts.units import Unit

PATIENCE_S = 60


@dataclass
class Counter:
    """Where completions are asked for, and read."""

    store: Store
    publisher: TicketPublisher

    async def ask(self, alias: str, prompt: str = "Hello.", **more: Any) -> Unit:
        """Post a completion, as a front does."""
        body = {"model": alias, "messages": [{"role": "user", "content": prompt}], **more}
        unit = Unit(new_id(), new_epoch(), 0)
        meta = CompletionMeta(model=alias, title=prompt, created=0).model_dump(exclude={"created"})
        recipe = CompletionRecipe(model=alias).model_dump()
        await self.store.log_writer.open(
            NewLog(
                unit.job, unit.epoch, LLM_LANE, "live", "me", recipe, meta, [json.dumps(body)], closed=True,
                ttl_ms=600_000,
            )
        )  # fmt: skip
        await self.store.scheduler.submit(LLM_LANE, Work(unit.job, unit.epoch, "me", "live", [1000]))
        await self.publisher.publish(LLM_LANE, [Ticket(job=unit.job, epoch=unit.epoch, index=0)])
        return unit

    async def records(self, unit: Unit, until: Callable[[Sequence[Record]], bool] | None = None) -> Sequence[Record]:
        """All of them, once there is enough; as a rule the last one."""
        enough = until or (lambda records: records[-1].terminal)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                page = await self.store.log_reader.read(unit.job, 0, max_records=100_000)
                assert page is not None
                if enough(page.records):
                    return page.records
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def counter(address: Address) -> AsyncIterator[Counter]:
    """Of this system."""
    store = open_store(address)
    publisher = await open_publisher(address)
    try:
        yield Counter(store, publisher)
    finally:
        await publisher.close()
        await store.close()


def written(records: Sequence[Record]) -> str:
    """What a reader has at the end: a start begins anew."""
    text = ""
    for record in records:
        text = "" if record.type == "start" else text + str(record.headers.get("t", ""))
    return text


def shape(records: Sequence[Record]) -> str:
    """Kinds of the records, deltas in a row as one."""
    return re.sub(r"(delta )+", "delta ", "".join(f"{record.type} " for record in records)).strip()


def write_config(path: Path, upstreams: dict[str, Any], models: dict[str, list[tuple[str, str]]]) -> Path:
    """A file for the worker. models: alias -> (upstream, its model), in order."""
    routes = {alias: [{"upstream": u, "model": m} for u, m in found] for alias, found in models.items()}
    path.write_text(yaml.safe_dump({"upstreams": upstreams, "models": routes}, sort_keys=False))
    return path
