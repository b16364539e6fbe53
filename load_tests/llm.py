"""What the system adds to a completion: the same upstream, called directly and through the queue, in turns.

    python -m load_tests.llm [--streams 1 32] [--rounds 20] [--tokens 60] [--rate 40] [--gather-ms 25 0] [--burst]

Real RabbitMQ (quorum queues) and a redis-server of its own with `appendfsync always`; one front, one completion worker;
the upstream is load_tests.upstream in a process of its own, which writes `rate` tokens per second. Each round has so
many streams, first directly, then through; they begin spread over the time one takes, or with --burst in one instant.
TTFT: from the request to the first text; gap: between one event with text and the next, so with gathering on there are
fewer and longer ones. Every completion is then read again from the middle on with Last-Event-ID, and must be what was
read from its beginning, byte for byte.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import uvloop

from contracts.adapters import Address
from load_tests.services import free_port, own_redis, shared_rabbitmq, wait_until
from load_tests.system import system

MODEL = "small"
WARM_UP = 3


@dataclass
class Times:
    """Milliseconds, see the module."""

    ttft: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Load:
    """What is asked for."""

    tokens: int
    rate: int

    @property
    def body(self) -> dict[str, object]:
        """Of a request; never the same twice."""
        prompt = f"{uuid4().hex}: tokens={self.tokens} rate={self.rate}"
        return {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}


async def one(url: str, load: Load, times: Times, after_s: float) -> str:
    """One streamed completion; its id, if it has one. Over a bare socket: 32 clients of a library's are the load."""
    await asyncio.sleep(after_s)
    host, port = urlsplit(url).netloc.split(":")
    body = json.dumps(load.body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}"
    text, last, job, began = "", 0.0, "", time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body)
    while line := await reader.readline():  # chunk sizes stand on lines of their own, as each chunk is whole events
        if line.lower().startswith(b"x-castline-completion: "):
            job = line.split()[1].decode()
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter()
        choices = json.loads(line.removeprefix(b"data: "))["choices"]
        if not (piece := choices[0]["delta"].get("content") if choices else None):
            continue
        if not text:
            times.ttft.append((now - began) * 1000)
        elif now - last > 1e-4:  # not of the same packet
            times.gap.append((now - last) * 1000)
        text, last = text + piece, now
    writer.close()
    if text.split() != [str(n) for n in range(load.tokens)]:
        raise AssertionError(f"not what the upstream wrote: {text!r}")
    return job


async def resumed(client: httpx.AsyncClient, url: str, job: str) -> None:
    """Read it again, whole and from the middle. Raises AssertionError if the two differ."""
    target = f"{url}/v1/completions/{job}/records?live=sse"
    whole = (await client.get(target)).raise_for_status().content.split(b"\n\n")
    events = [event for event in whole if event.startswith(b"id: ")]
    middle = len(events) // 2
    rest = (await client.get(target, headers={"Last-Event-ID": str(middle - 1)})).raise_for_status().content
    again = [event for event in rest.split(b"\n\n") if event.startswith(b"id: ")]
    if events[middle:] != again or b"event: eos" not in events[-1]:
        raise AssertionError(f"{job} reads differently from its middle")


async def measure(
    direct: str, through: str, streams: int, rounds: int, load: Load, spread_s: float
) -> tuple[Times, Times]:
    """Rounds in turns; spread_s: between the first one's begin and the last one's."""
    alone, queued = Times(), Times()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        for n in range(WARM_UP + rounds):
            into = (alone, queued) if n >= WARM_UP else (Times(), Times())
            after = [spread_s * i / streams for i in range(streams)]
            await asyncio.gather(*(one(direct, load, into[0], after_s) for after_s in after))
            for job in await asyncio.gather(*(one(through, load, into[1], after_s) for after_s in after)):
                await resumed(client, through, job)
    return alone, queued


def report(name: str, direct: list[float], through: list[float]) -> str:
    """One line of percentiles."""
    a, b = statistics.quantiles(direct, n=100), statistics.quantiles(through, n=100)
    figures = [f"{label} {a[i]:7.1f} -> {b[i]:7.1f} (+{b[i] - a[i]:5.1f})" for label, i in (("p50", 49), ("p99", 98))]
    return f"    {name:5s} " + "   ".join(figures) + " ms"


def run(address: Address, upstream: str, gather_ms: float, arguments: argparse.Namespace) -> None:
    """A front and a worker; print."""
    address = Address(address.store, address.broker, f"{address.namespace}{gather_ms:g}:")
    with tempfile.TemporaryDirectory() as directory, system(address, Path(directory)) as running:
        running.front()
        running.proxy(
            CASTLINE_LLM_URL=f"{upstream}/v1", CASTLINE_LLM_PARALLEL=str(max(arguments.streams)),
            CASTLINE_LLM_GATHER_MS=str(gather_ms),
        )  # fmt: skip
        running.wait_for_workers(1)
        load = Load(arguments.tokens, arguments.rate)
        for streams in arguments.streams:
            spread_s = 0.0 if arguments.burst else arguments.tokens / arguments.rate
            times = uvloop.run(measure(upstream, running.url(), streams, arguments.rounds, load, spread_s))
            sys.stdout.write(f"  {streams} streams, gathering {gather_ms:g} ms: direct -> through the queue\n")
            for name in ("ttft", "gap"):
                sys.stdout.write(report(name, getattr(times[0], name), getattr(times[1], name)) + "\n")
            count = streams * (WARM_UP + arguments.rounds)
            sys.stdout.write(f"    {count} completions read again from their middle: the same bytes\n")
            sys.stdout.flush()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--rate", type=int, default=40)
    parser.add_argument("--gather-ms", type=float, nargs="+", default=[25.0, 0.0])
    parser.add_argument("--burst", action="store_true", help="streams of a round begin in the same instant")
    arguments = parser.parse_args()
    upstream = f"http://127.0.0.1:{(port := free_port())}"
    with (
        own_redis() as redis,
        shared_rabbitmq() as broker,
        subprocess.Popen([sys.executable, "-m", "load_tests.upstream", "--port", str(port)]) as server,
    ):
        try:
            wait_until(lambda: _answers(upstream), 30, "the upstream")
            for gather_ms in arguments.gather_ms:
                run(Address(redis.url, broker, f"llm-{uuid4().hex[:8]}:"), upstream, gather_ms, arguments)
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/models", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
