"""How many tickets and claims per second the broker and the store of this machine take."""

from __future__ import annotations

import asyncio
import sys
import time
from uuid import uuid4

from contracts.adapters import Address, open_publisher, open_store
from contracts.jobs import Ticket, WorkerInfo
from contracts.ports import Scheduler, Work
from contracts.units import Lane

LANE = Lane("tts.tone")


async def ceilings(address: Address, *, short: bool) -> None:
    """Publish with confirms; claim and release out of 20,000 units of 1,000 casts."""
    count = 1_000 if short else 5_000
    publisher, store = await open_publisher(address), open_store(address)
    tickets = [Ticket(job=uuid4().hex[:16], epoch="e1", index=0) for _ in range(count)]
    began = time.monotonic()
    await publisher.publish(LANE, tickets)
    published = count / (time.monotonic() - began)
    info = WorkerInfo(
        id="w1", pool="p", lane=LANE, engine="none", model="tone", device_asked="", device_active="", voices=(),
        slots=1, xrt=2_000, rss_mb=0, seen_ms=0,
    )  # fmt: skip
    await store.scheduler.register(info, 600_000)
    for n in range(1_000):
        await store.scheduler.submit(LANE, Work(f"{n:016d}", "e1", f"client{n % 50}", "live", [4_000] * 20))
    sys.stdout.write(f"tickets published and confirmed: {published:,.0f} /s\n")
    for beside in (1, 16):
        began = time.monotonic()
        await asyncio.gather(*(_claims(store.scheduler, count // beside) for _ in range(beside)))
        rate = count / (time.monotonic() - began)
        sys.stdout.write(f"claims, each released, {beside:2d} at once: {rate:,.0f} /s (fsync always)\n")
    for part in (publisher, store):
        await part.close()


async def _claims(scheduler: Scheduler, count: int) -> None:
    for _ in range(count):
        claim = await scheduler.claim(LANE, "w1", 60_000, xrt=2_000)
        assert claim is not None, "there are more units than claims"
        await scheduler.release(LANE, [(claim.unit, 4_000)])
