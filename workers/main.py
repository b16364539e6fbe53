"""What every kind of worker does around its shell: connect, load, register, obey signals, exit with a code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import uvloop
from prometheus_client import start_http_server

from contracts.adapters import Store, open_source, open_store
from contracts.errors import CastlineError
from contracts.ids import new_worker_id
from contracts.ports import TicketSource
from contracts.units import Lane
from workers.engine import EngineInfo
from workers.engine_process import EngineProcess
from workers.renderer import Renderer
from workers.settings import WorkerSettings
from workers.shell import Shell

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a renderer works with."""

    worker: str
    """Name of this start of this process."""
    store: Store
    source: TicketSource


@dataclass(frozen=True, slots=True)
class Post:
    """One lane a worker serves. info: of its engine; slots are units at once in this lane."""

    lane: Lane
    info: EngineInfo
    make: Callable[[Bench], Renderer]


Posts = Callable[[WorkerSettings], AbstractAsyncContextManager[Sequence[Post]]]
"""Opens what a kind of worker needs, and says what it serves. Raises CastlineError."""


def with_engine(
    factory: str, options: Mapping[str, Any], posts: Callable[[EngineProcess, EngineInfo], Sequence[Post]]
) -> Posts:
    """Posts of a worker with an engine process: factory is `module:function`, options are its JSON."""

    @contextlib.asynccontextmanager
    async def opened(settings: WorkerSettings) -> AsyncIterator[Sequence[Post]]:
        engine = EngineProcess(factory, options, settings.engine_start_s)
        try:
            yield posts(engine, await engine.start())
        finally:
            await engine.close()

    return opened


def run_worker(posts: Posts, settings: WorkerSettings) -> int:
    """Run one worker until SIGTERM or SIGINT; the exit status. A start that fails is one line on stderr and a 1."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s worker %(name)s %(levelname)s %(message)s")
    failed = False
    try:
        uvloop.run(_work(posts, settings))
    except* CastlineError as group:
        failed = True
        for exc in group.exceptions:
            sys.stderr.write(f"worker of pool {settings.pool}: {exc}\n")
    return int(failed)


async def _work(open_posts: Posts, settings: WorkerSettings) -> None:
    worker = new_worker_id(settings.pool)
    async with contextlib.AsyncExitStack() as stack:
        store = open_store(settings.address)
        stack.push_async_callback(store.close)
        posts = await stack.enter_async_context(open_posts(settings))
        shells = []
        for post in posts:
            source = await open_source(settings.address, post.lane, post.info.slots, worker)
            stack.push_async_callback(source.close)
            shells.append(
                Shell(
                    worker, post.lane, settings, log=store.log_writer, scheduler=store.scheduler, source=source,
                    renderer=post.make(Bench(worker, store, source)), info=post.info,
                )
            )  # fmt: skip
        if settings.metrics_port:
            start_http_server(settings.metrics_port)
        _drain_on_signals(shells)
        lanes = [post.lane for post in posts]
        logger.info("worker is ready", extra={"worker": worker, "lanes": lanes, "engine": posts[0].info.name})
        async with asyncio.TaskGroup() as group:
            for shell in shells:
                group.create_task(shell.run())


def _drain_on_signals(shells: Sequence[Shell]) -> None:
    def drain() -> None:
        for shell in shells:
            shell.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, drain)
