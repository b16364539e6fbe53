"""What every kind of worker does around its shell: connect, load, register, obey signals, exit with a code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

import uvloop
from prometheus_client import start_http_server

from contracts.adapters import open_source, open_store
from contracts.errors import CastlineError
from contracts.ids import new_worker_id
from contracts.units import Lane
from workers.engine_process import EngineProcess
from workers.settings import WorkerSettings
from workers.shell import Shell

logger = logging.getLogger(__name__)


def run_worker(lane: Lane, factory: str, options: Mapping[str, Any], settings: WorkerSettings) -> int:
    """Run one worker until SIGTERM or SIGINT; the exit status. A start that fails is one line on stderr and a 1."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s worker %(name)s %(levelname)s %(message)s")
    failed = False
    try:
        uvloop.run(_work(lane, factory, options, settings))
    except* CastlineError as group:
        failed = True
        for exc in group.exceptions:
            sys.stderr.write(f"worker of lane {lane}: {exc}\n")
    return int(failed)


async def _work(lane: Lane, factory: str, options: Mapping[str, Any], settings: WorkerSettings) -> None:
    worker = new_worker_id(settings.pool)
    engine = EngineProcess(factory, options, settings.engine_start_s)
    store = open_store(settings.address)
    try:
        info = await engine.start()
        source = await open_source(settings.address, lane, info.slots, worker)
        try:
            if settings.metrics_port:
                start_http_server(settings.metrics_port)
            shell = Shell(
                worker, lane, settings,
                log=store.log_writer, scheduler=store.scheduler, source=source, engine=engine, info=info,
            )  # fmt: skip
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, shell.drain)
            logger.info("worker is ready", extra={"worker": worker, "lane": lane, "engine": info.name})
            await shell.run()
        finally:
            await source.close()
    finally:
        await engine.close()
        await store.close()
