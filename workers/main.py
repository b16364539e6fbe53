"""What every kind of worker does around its shell: connect, load, register, obey signals, exit with a code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uvloop
from prometheus_client import start_http_server

from contracts.adapters import Store, open_source, open_store
from contracts.errors import CastlineError
from contracts.ids import new_worker_id
from contracts.ports import TicketSource
from contracts.units import Lane
from workers.engine_process import EngineProcess
from workers.renderer import Renderer
from workers.settings import WorkerSettings
from workers.shell import Shell

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    """One lane a worker serves. slots: 0 for as many units at once as its engine renders."""

    lane: Lane
    make: Callable[[Store, EngineProcess, TicketSource], Renderer]
    slots: int = 0


def run_worker(posts: Sequence[Post], factory: str, options: Mapping[str, Any], settings: WorkerSettings) -> int:
    """Run one worker until SIGTERM or SIGINT; the exit status. A start that fails is one line on stderr and a 1."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s worker %(name)s %(levelname)s %(message)s")
    failed = False
    try:
        uvloop.run(_work(posts, factory, options, settings))
    except* CastlineError as group:
        failed = True
        for exc in group.exceptions:
            sys.stderr.write(f"worker of lane {posts[0].lane}: {exc}\n")
    return int(failed)


async def _work(posts: Sequence[Post], factory: str, options: Mapping[str, Any], settings: WorkerSettings) -> None:
    worker = new_worker_id(settings.pool)
    async with contextlib.AsyncExitStack() as stack:
        store = open_store(settings.address)
        stack.push_async_callback(store.close)
        engine = EngineProcess(factory, options, settings.engine_start_s)
        stack.push_async_callback(engine.close)
        info = await engine.start()
        shells = []
        for post in posts:
            of_post = replace(info, slots=post.slots or info.slots)
            source = await open_source(settings.address, post.lane, of_post.slots, worker)
            stack.push_async_callback(source.close)
            shells.append(
                Shell(
                    worker, post.lane, settings, log=store.log_writer, scheduler=store.scheduler, source=source,
                    renderer=post.make(store, engine, source), info=of_post,
                )
            )  # fmt: skip
        if settings.metrics_port:
            start_http_server(settings.metrics_port)
        _drain_on_signals(shells)
        lanes = [post.lane for post in posts]
        logger.info("worker is ready", extra={"worker": worker, "lanes": lanes, "engine": info.name})
        async with asyncio.TaskGroup() as group:
            for shell in shells:
                group.create_task(shell.run())


def _drain_on_signals(shells: Sequence[Shell]) -> None:
    def drain() -> None:
        for shell in shells:
            shell.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, drain)
