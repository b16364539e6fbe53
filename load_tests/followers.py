"""Many listeners of live casts on one front process: how late they hear, what one costs, whether anything is lost.

    python -m load_tests.followers [--followers 5000] [--casts 50] [--sentences 20] [--every-ms 2500]

Real RabbitMQ and a redis-server of its own with `appendfsync always`; one front. This process is the other one: it
commits the sentences of all casts straight to the log, each cast one per `every-ms` (what live speech makes) of 2.5 s
of Ogg-Opus, spread over that time, and follows by SSE over bare sockets. Lag: from before the commit to the arrival of
the whole event at a follower, so it has the commit and this process's own load in it. Every follower must get every
sentence once, in order, and the end.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import psutil
import uvloop

from contracts.adapters import Address, Store, open_store
from contracts.codec import CANONICAL_RATE, encode_chunk
from contracts.ids import new_epoch
from contracts.ports import NewLog, Output
from contracts.topology import speech_lane
from contracts.units import Unit
from load_tests.services import own_redis, shared_rabbitmq
from load_tests.system import System, system

SENTENCE_S = 2.5
JOIN_AT_ONCE = 100
SETTLE_S = 20.0
_EVENT = re.compile(rb'id: (\d+)\nevent: (\w+)\ndata: [^\n]*?"t":"(\d+)"')
_END = re.compile(rb"id: (\d+)\nevent: eos\n")


@dataclass
class Tally:
    """What all followers have seen. lags: ms."""

    lags: list[float] = field(default_factory=list)
    joined: int = 0
    ended: int = 0
    lost: int = 0


class Follower(asyncio.Protocol):
    """One SSE connection; `over` is set when the cast has ended here, or the connection."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request, self._tally = request, tally
        self._rest = b""
        self._next = 1
        self.joined, self.over = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        cast("asyncio.WriteTransport", transport).write(self._request)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Count events that are whole."""
        now = time.time_ns()
        if not self.joined.is_set() and b"event: meta" in self._rest + data:
            self._tally.joined += 1
            self.joined.set()
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if (spoken := _EVENT.search(event)) is not None:
                self._tally.lags.append((now - int(spoken[3])) / 1e6)
                self._tally.lost += int(spoken[1]) - self._next
                self._next = int(spoken[1]) + 1
            elif (end := _END.search(event + b"\n")) is not None:
                self._tally.lost += int(end[1]) - self._next
                self._tally.ended += 1
                self.over.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is over, whole or not."""
        self.over.set()


async def open_cast(store: Store, sentences: int) -> Unit:
    """A cast that nobody else works at; its first unit."""
    job, epoch = uuid4().hex[:16], new_epoch()
    meta = {"v": 1, "kind": "tts", "title": "", "model": "tone", "voice": "tone", "language": "en-US", "speed": 1.0}
    log = NewLog(
        job, epoch, speech_lane("tone"), "live", "", {"kind": "tts"}, meta, ["One."] * sentences,
        closed=True, ttl_ms=3_600_000,
    )  # fmt: skip
    await store.log_writer.open(log)
    return Unit(job, epoch, 0)


async def speak(store: Store, cast: Unit, sentences: int, every_s: float, after_s: float, body: bytes) -> None:
    """Commit its sentences at the pace of speech."""
    begun = time.monotonic() + after_s
    for index in range(sentences):
        await asyncio.sleep(max(0.0, begun + index * every_s - time.monotonic()))
        headers = {"i": index, "d": 2500, "n": 60_000, "g": 1, "t": str(time.time_ns()), "engine": "tone"}
        unit = Unit(cast.job, cast.epoch, index)
        await store.log_writer.commit(unit, Output("audio", headers, body, 2_500, 1))


async def join(url: str, casts: list[Unit], count: int, tally: Tally) -> list[Follower]:
    """So many followers, spread over the casts; each has the first record."""
    host, port = urlsplit(url).netloc.split(":")
    loop = asyncio.get_running_loop()
    everybody = []
    for at in range(0, count, JOIN_AT_ONCE):
        connecting = []
        for n in range(at, min(count, at + JOIN_AT_ONCE)):
            path = f"/v1/casts/{casts[n % len(casts)].job}/records?live=sse"
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            connecting.append(loop.create_connection(partial(Follower, request, tally), host, int(port)))
        batch = [follower for _, follower in await asyncio.gather(*connecting)]
        async with asyncio.timeout(SETTLE_S):
            await asyncio.gather(*(follower.joined.wait() for follower in batch))
        everybody += batch
    return everybody


async def measure(running: System, arguments: argparse.Namespace) -> Tally:
    """Join, speak, listen to the end."""
    tally, every_s = Tally(), arguments.every_ms / 1000
    front = psutil.Process(running.fronts[0].pid)
    store = open_store(running.address)
    time_axis = np.arange(round(SENTENCE_S * CANONICAL_RATE)) / CANONICAL_RATE
    body = encode_chunk((0.2 * np.sin(2 * np.pi * 220 * time_axis)).astype(np.float32))
    casts = [await open_cast(store, arguments.sentences) for _ in range(arguments.casts)]
    before = front.memory_info().rss
    began = time.monotonic()
    followers = await join(running.url(), casts, arguments.followers, tally)
    joining_s = time.monotonic() - began
    idle, cpu, own, began = front.memory_info().rss, sum(front.cpu_times()[:2]), time.process_time(), time.monotonic()
    offsets = [every_s * n / len(casts) for n in range(len(casts))]
    await asyncio.gather(
        *(
            speak(store, cast, arguments.sentences, every_s, after, body)
            for cast, after in zip(casts, offsets, strict=True)
        )
    )
    async with asyncio.timeout(SETTLE_S):
        await asyncio.gather(*(follower.over.wait() for follower in followers))
    seconds = time.monotonic() - began
    busy, load = (sum(front.cpu_times()[:2]) - cpu) / seconds, (time.process_time() - own) / seconds
    peak = front.memory_info().rss
    each = 1024 * arguments.followers
    sys.stdout.write(
        f"{arguments.followers} followers of {arguments.casts} casts, {len(tally.lags)} sentences delivered in"
        f" {seconds:.0f} s ({len(tally.lags) / seconds:.0f}/s, {len(body)} bytes each)\n"
        f"  joined in {joining_s:.1f} s; the front's resident memory: {(idle - before) / each:.1f} KiB per follower,"
        f" {(peak - before) / each:.1f} KiB at the end; {busy:.2f} cores, and\n  {load:.2f} here\n"
    )
    await store.close()
    return tally


def report(tally: Tally, arguments: argparse.Namespace) -> int:
    """Print; the exit status."""
    lags = np.array(tally.lags)
    p50, p90, p99 = np.percentile(lags, [50, 90, 99])
    sys.stdout.write(f"  lag p50 {p50:.1f}   p90 {p90:.1f}   p99 {p99:.1f}   max {lags.max():.1f} ms\n")
    missing = arguments.followers * arguments.sentences - lags.size
    sys.stdout.write(f"  lost {tally.lost + missing}, heard to the end by {tally.ended} of {arguments.followers}\n")
    return int(bool(tally.lost or missing or tally.ended < arguments.followers))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--followers", type=int, default=5000)
    parser.add_argument("--casts", type=int, default=50)
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--every-ms", type=float, default=2500.0)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with own_redis() as redis, shared_rabbitmq() as broker, tempfile.TemporaryDirectory() as directory:
        address = Address(redis.url, broker, f"load-{uuid4().hex[:8]}:")
        with system(address, Path(directory)) as running:
            running.front()
            tally = uvloop.run(measure(running, arguments))
    sys.exit(report(tally, arguments))


if __name__ == "__main__":
    main()
