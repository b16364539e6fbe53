"""What the system adds: from POST to the record at an SSE reader, minus the engine's time.

    python -m load_tests.overhead [--count 300] [--engine-ms 100]

Real RabbitMQ (quorum queues) and a redis-server of its own with `appendfsync always`; one front, one worker with the
tone engine, which waits as long as a model would compute. Each cast is one short sentence; the reader opens its stream
when the answer to its POST has come, as a browser does. Prints milliseconds; the engine's own time, measured around
the engine, is subtracted per cast. Beside it, in the same run, the protocol alone: what Redis, RabbitMQ and this
machine's disk leave of it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx

from contracts.adapters import Address, open_publisher, open_source, open_store
from contracts.ids import new_epoch, new_worker_id
from contracts.jobs import Ticket
from contracts.ports import NewLog, Output, Work
from contracts.topology import speech_lane
from contracts.units import Unit
from load_tests.reader import events
from load_tests.services import own_redis, shared_rabbitmq
from load_tests.system import System, system

SENTENCE = "Number {n:04d} of run {run}."
"""A short clause, as the first unit of every cast is."""
RUN = uuid4().hex[:8]
WARM_UP = 20


async def one(client: httpx.AsyncClient, url: str, n: int) -> tuple[float, float, float]:
    """(POST answered, audio at the reader, engine time) in ms since the POST was sent."""
    began = time.perf_counter()
    answer = await client.post(f"{url}/v1/casts", json={"text": SENTENCE.format(n=n, run=RUN), "voice": "tone"})
    answered = time.perf_counter()
    assert answer.status_code == 201, answer.text
    arrived = engine = 0.0
    async for event in events(client, url, answer.json()["id"]):
        if event.record["e"] == "audio":
            arrived, engine = event.at, float(event.record["g"])
    return (answered - began) * 1000, (arrived - began) * 1000, engine


async def measure(url: str, count: int) -> list[tuple[float, float, float]]:
    """One cast after the other."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        for n in range(WARM_UP):
            await one(client, url, n)
        return [await one(client, url, WARM_UP + n) for n in range(count)]


async def bare(address: Address, count: int) -> list[float]:
    """The protocol alone, in this process: open, submit, ticket, claim, look, commit, read; ms. No HTTP, no engine."""
    lane, worker = speech_lane("tone"), new_worker_id("bare")
    store = open_store(address)
    publisher = await open_publisher(address)
    source = await open_source(address, lane, 2, worker)
    times = []
    for _ in range(WARM_UP + count):
        unit = Unit(uuid4().hex[:16], new_epoch(), 0)
        meta = {"v": 1, "kind": "tts"}
        log = NewLog(unit.job, unit.epoch, lane, "live", "", {}, meta, ["One."], closed=True, ttl_ms=60_000)
        began = time.perf_counter()
        await store.log_writer.open(log)
        ticket = Ticket(job=unit.job, epoch=unit.epoch, index=0)
        work = Work(unit.job, unit.epoch, "bare", "live", [1_000])
        publishing = asyncio.gather(store.scheduler.submit(lane, work), publisher.publish(lane, [ticket]))
        delivery = await source.next(10)
        assert delivery is not None
        while await store.scheduler.claim(lane, worker, 10_000, ticket=str(unit)) is None:
            await asyncio.sleep(0)
        await store.log_writer.look(unit)
        await store.log_writer.commit(unit, Output("audio", {"i": 0}, bytes(8_000), 1_000, 1))
        await store.log_reader.read(unit.job, 0)
        times.append((time.perf_counter() - began) * 1000)
        await publishing
        await store.scheduler.release(lane, [(unit, None)])
        await delivery.ack()
    for part in (publisher, source, store):
        await part.close()
    return times[WARM_UP:]


def report(name: str, values: list[float]) -> None:
    """One line of percentiles."""
    cuts = statistics.quantiles(values, n=100)
    line = f"  {name:34s} p50 {cuts[49]:7.2f}   p90 {cuts[89]:7.2f}   p99 {cuts[98]:7.2f}   max {max(values):7.2f} ms"
    sys.stdout.write(line + "\n")


def run(address: Address, count: int, engine_ms: float) -> None:
    """Start a system, measure, print."""
    alone = asyncio.run(bare(replace(address, namespace=address.namespace + "bare:"), count))
    spoken_ms = 60 * len(SENTENCE.format(n=0, run=RUN))
    xrt = spoken_ms / engine_ms if engine_ms else float("inf")
    with tempfile.TemporaryDirectory() as directory, system(address, Path(directory)) as running:
        start(running, xrt)
        results = asyncio.run(measure(running.url(), count))
    sys.stdout.write(f"{count} casts, one after the other, engine {engine_ms:.0f} ms\n")
    report("the protocol alone, one process", alone)
    report("POST answered", [r[0] for r in results])
    report("POST -> record at the reader", [r[1] for r in results])
    report("the same, minus engine", [r[1] - r[2] for r in results])


def start(running: System, xrt: float) -> None:
    """One front, one worker with two slots."""
    running.front()
    running.worker("tone", CASTLINE_TTS_TONE_XRT=str(xrt), CASTLINE_TTS_SLOTS="2")
    running.wait_for_workers(1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--engine-ms", type=float, default=100.0)
    parser.add_argument("--embedded", action="store_true", help="SQLite instead of RabbitMQ and Redis")
    arguments = parser.parse_args()
    if arguments.embedded:
        with tempfile.TemporaryDirectory() as directory:
            run(Address(f"sqlite://{directory}/castline.db", ""), arguments.count, arguments.engine_ms)
        return
    with own_redis() as redis, shared_rabbitmq() as broker:
        address = Address(redis.url, broker, f"load-{uuid4().hex[:8]}:")
        run(address, arguments.count, arguments.engine_ms)


if __name__ == "__main__":
    main()
