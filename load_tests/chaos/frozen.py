"""Readers that never read, beside healthy ones: what they cost the others, and the front."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil

from contracts.adapters import open_bell
from load_tests.chaos.load import PATIENCE_S, Load
from load_tests.chaos.stage import LOOK_S, Stage
from load_tests.reader import events

HEALTHY = 10
LONG_SENTENCES = 1_000
"""What the frozen readers follow: it is being made all the while, in what time the short casts leave."""
BACKLOG = 40
"""Records of it that are there when they come: of 14 kB each, more than all buffers on the way hold."""
CONNECT_S = 5.0
"""They come within so long."""
RECEIVE_BUFFER = 4096
WATCH_S = 0.5
"""Looking for connections is work, in the process that measures."""
SEGMENT = 1400
"""As over a network: with the loopback's 64 kB segments the kernel would buffer 2.6 MB for each reader."""


@dataclass
class FrozenResult:
    """ms from the commit, as the bell tells it, to the record at a healthy reader; RSS in MiB; seconds."""

    readers: int
    before_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    rss_before: float = 0.0
    rss_peak: float = 0.0
    rss_after: float = 0.0
    uncut: int = 0
    """Frozen readers whose connection the front still had at the end."""
    cut_s: float = float("nan")
    """From the last connection to the last cut."""


class _Healthy:
    """Healthy readers of one front, and a bell of our own to tell when each record was committed."""

    def __init__(self, stage: Stage, load: Load) -> None:
        self._stage, self._load = stage, load
        self._bell = open_bell(stage.direct)
        self._rung: dict[tuple[str, int], float] = {}

    async def _listen(self) -> None:
        async for ring in self._bell.rings():
            if ring.record is not None:
                self._rung.setdefault((ring.job, ring.record.seq), time.perf_counter())

    async def measure(self, over: asyncio.Event) -> list[float]:
        """Cast after cast, each with all the readers, until it is over; ms of every record at every reader."""
        delays: list[float] = []
        listening = asyncio.create_task(self._listen())
        limits = httpx.Limits(max_connections=4 * HEALTHY)
        async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as client:
            while not over.is_set():
                cast = await self._load.post(self._load.story())
                await self._bell.watch(cast.job)
                for seen in await asyncio.gather(*(self._read(client, cast.job) for _ in range(HEALTHY))):
                    delays += seen
                await self._bell.unwatch(cast.job)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        return delays

    async def _read(self, client: httpx.AsyncClient, job: str) -> list[float]:
        times = [((job, e.record["seq"]), e.at) async for e in events(client, self._load.urls[0], job)]
        return [1000 * (at - self._rung[key]) for key, at in times if key in self._rung]

    async def wait_for(self, job: str, watermark: int) -> None:
        """Until so much of a cast is made."""
        async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(trust_env=False) as client:
            while (await client.get(f"{self._load.urls[0]}/v1/casts/{job}")).json()["watermark"] < watermark:
                await asyncio.sleep(LOOK_S)

    async def end(self, job: str) -> None:
        """Cancel a cast, and close the bell."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.delete(f"{self._load.urls[0]}/v1/casts/{job}")).raise_for_status()
        await self._bell.close()


@contextlib.contextmanager
def _frozen(url: str, job: str) -> Iterator[socket.socket]:
    """A client that asks for a stream and never reads."""
    port = urlsplit(url).port
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        s.connect(("127.0.0.1", port))
        s.sendall(f"GET /v1/casts/{job}/records?live=sse HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield s


def _still_there(front: psutil.Process, ports: set[int]) -> int:
    """How many of these clients the front has a socket for."""
    return sum(1 for c in front.net_connections("tcp") if getattr(c.raddr, "port", 0) in ports)


async def frozen_readers(stage: Stage, load: Load, count: int, send_timeout_s: float) -> FrozenResult:
    """Measure for as long as readers may be frozen without them, then beside them."""
    result = FrozenResult(count)
    front = psutil.Process(stage.running.fronts[0].pid)
    healthy = _Healthy(stage, load)
    long = await load.post(load.story(LONG_SENTENCES))
    result.rss_before = _rss_mib(front)
    result.before_ms = await _for(send_timeout_s, healthy)
    await healthy.wait_for(long.job, BACKLOG)
    with contextlib.ExitStack() as clients:
        over = asyncio.Event()
        measuring = asyncio.create_task(healthy.measure(over))
        ports = set()
        for _ in range(count):
            ports.add(clients.enter_context(_frozen(load.urls[0], long.job)).getsockname()[1])
            await asyncio.sleep(CONNECT_S / count)
        began = time.perf_counter()
        while time.perf_counter() - began < 2 * send_timeout_s + 5:
            result.rss_peak = max(result.rss_peak, _rss_mib(front))
            result.uncut = await asyncio.to_thread(_still_there, front, ports)
            result.cut_s = time.perf_counter() - began
            if result.uncut == 0:
                break
            await asyncio.sleep(WATCH_S)
        over.set()
        result.beside_ms = await measuring
    result.rss_after = _rss_mib(front)
    await healthy.end(long.job)
    return result


async def _for(seconds: float, healthy: _Healthy) -> list[float]:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    return await healthy.measure(over)


def _rss_mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20
