"""A completion renderer in this process, on a SQLite log, before upstreams of a server that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from contracts.adapters import Address, Store, open_store
from contracts.ids import new_epoch, new_id
from contracts.ports import Claim, NewLog, Output, TicketSource
from contracts.records import Record
from contracts.topology import LLM_LANE
from contracts.units import Unit
from workers.llm_proxy.config import Route, UpstreamConfig
from workers.llm_proxy.renderer import CompletionRenderer, Pool, pool_of
from workers.llm_proxy.upstream import Upstream
from workers.main import Bench

KEY = "sk-very-secret"


@dataclass
class Desk:
    """A renderer, its pool and its store."""

    store: Store
    renderer: CompletionRenderer
    pool: Pool

    async def ask(self, *, stop: asyncio.Event | None = None, attempt: int = 1, **body: Any) -> tuple[Output, Unit]:
        unit = await self.opened(**body)
        return await self.render(unit, stop=stop, attempt=attempt), unit

    async def opened(self, text: str | None = None, alias: str = "m", **body: Any) -> Unit:
        request = {"model": alias, "messages": [{"role": "user", "content": "Hello."}], **body}
        unit = Unit(new_id(), new_epoch(), 0)
        recipe, texts = {"kind": "llm", "model": alias}, [text or json.dumps(request)]
        log = NewLog(unit.job, unit.epoch, LLM_LANE, "live", "", recipe, {}, texts, closed=True, ttl_ms=600_000)
        await self.store.log_writer.open(log)
        return unit

    async def render(self, unit: Unit, *, stop: asyncio.Event | None = None, attempt: int = 1) -> Output:
        task = await self.store.log_writer.look(unit)
        claim = Claim(unit, 0, attempt, dead=False)
        return await self.renderer.render(claim, task, alone=True, stop=stop or asyncio.Event())

    async def records(self, unit: Unit) -> Sequence[Record]:
        page = await self.store.log_reader.read(unit.job, 1)
        assert page is not None
        return page.records

    async def types(self, unit: Unit) -> list[str]:
        return [record.type for record in await self.records(unit)]


@contextlib.asynccontextmanager
async def desk(path: Path, url: str, *models: str, retries: int = 2, **config: Any) -> AsyncIterator[Desk]:
    """models: of the routes of alias `m`, in order, each at an upstream of its own: u0, u1 …; `away`: no server."""
    store = open_store(Address(f"sqlite://{path}/castline.db", ""))
    limits = {"first_token_s": 30, "idle_s": 30, **config}
    upstreams = {}
    for n, model in enumerate(models):
        place = "http://127.0.0.1:1" if model == "away" else url
        upstreams[f"u{n}"] = Upstream(f"u{n}", UpstreamConfig(url=f"{place}/v1", **limits), KEY)
    pool = pool_of(upstreams, {"m": [Route(f"u{n}", model, n) for n, model in enumerate(models)]})
    bench = Bench("w1", store, cast("TicketSource", None))
    try:
        yield Desk(store, CompletionRenderer(bench, pool, gather_s=0.0, retries=retries), pool)
    finally:
        for upstream in upstreams.values():
            await upstream.close()
        await store.close()
