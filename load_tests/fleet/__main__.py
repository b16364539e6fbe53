"""Fleets of simulated engines on a real RabbitMQ (quorum queues) and a redis-server of its own (fsync always).

    python -m load_tests.fleet [speedup] [listeners] [mixed] [ceilings] [plot] [--short] [--workers 1 4 32]

speedup    one cast of up to 1,000 sentences on 1 to 32 workers of 3 x
listeners  underruns and time to first audio at loads of 0.5, 0.9, 1.3 and 2.0, on 1, 4 and 32 workers of 3 x, beside
           casts one by one (FIFO) and plain earliest deadline first in the same run
mixed      a GPU (40 x), a Jetson (3 x) and a CPU (2 x) in one fleet
ceilings   tickets and claims per second
plot       docs/fleet.svg: seconds in hand per cast over time, at a load of 1.3 (needs matplotlib: castline[plots])

Without names, all but plot. Worker shells, tickets, store and followers are the real ones, in this process; engines
wait instead of computing. `listeners` runs faster than the clock (all durations and the rule's numbers divided); the
times it prints are as on a clock.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from uuid import uuid4

from contracts.adapters import Address
from contracts.schedule import CAST_BY_CAST, EARLIEST_DEADLINE, RULE, Rule
from load_tests.fleet.ceilings import ceilings
from load_tests.fleet.plot import plot
from load_tests.fleet.world import Heard, sentences, world
from load_tests.services import own_redis, shared_rabbitmq

JETSON, CPU, GPU = 3.0, 2.0, 40.0
LOADS = (0.5, 0.9, 1.3, 2.0)
POLICIES: dict[str, Rule] = {"the rule": RULE, "cast by cast": CAST_BY_CAST, "earliest deadline": EARLIEST_DEADLINE}
FLEETS = {1: (40, 8.0), 4: (150, 8.0), 32: (300, 2.0)}
"""Workers: casts, times the clock. A delay of this machine counts so many times: protection is 8 s divided by it."""
COMPARED = (0.9, 1.3)
"""Loads at which the other rules run, too."""
MEAN_SENTENCES = 25
MEAN_AUDIO_S = 4.0 * MEAN_SENTENCES


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def speedup(address: Address, *, short: bool) -> None:
    """Rate of one cast against the rate of one worker."""
    say("one cast on N workers of 3 x, sentences of 2 to 6 s")
    one = 0.0
    for count in (1, 4, 32) if short else (1, 2, 4, 8, 16, 32):
        units = min(1_000, (8 if short else 32) * count)
        cast = sentences(units, random.Random(count))
        async with world(address, [JETSON] * count) as running:
            began = time.monotonic()
            heard = await running.listen(await running.post(cast), began)
            elapsed = time.monotonic() - began
        rate = sum(s.real for s in cast) / 1000 / elapsed
        one = one or rate
        say(
            f"  {count:3d} workers  {units:5d} sentences  {elapsed:7.1f} s  {rate:6.2f} x  "
            f"speed-up {rate / one:6.2f} = {rate / one / count:.3f} N  underruns {heard.underruns}"
        )


async def crowd(
    address: Address, speeds: list[float], rule: Rule, audio_rate: float, casts: int, times: float
) -> list[Heard]:
    """Listeners that come at random (Poisson), each with a cast of his own. Theirs are times of the faster world.

    audio_rate: seconds of audio they want per second.
    """
    rng = random.Random(f"{len(speeds)} {casts}")
    rate = audio_rate / MEAN_AUDIO_S * times
    async with world(address, speeds, rule=rule, times=times) as running:

        async def one(at: float, count: int, seed: int) -> Heard:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            posted = time.monotonic()
            job = await running.post(sentences(count, random.Random(seed)))
            return await running.listen(job, posted)

        at = time.monotonic() + 0.5
        listeners = []
        for n in range(casts):
            at += rng.expovariate(rate)
            count = rng.randint(MEAN_SENTENCES // 2, MEAN_SENTENCES * 3 // 2)
            listeners.append(asyncio.create_task(one(at, count, n)))
        return await asyncio.gather(*listeners)


async def capacity(address: Address, speeds: list[float], times: float) -> float:
    """Seconds of audio per second that a busy fleet really makes: between units there is more than the engine."""
    cast = sentences(40 * len(speeds), random.Random(0))
    async with world(address, speeds, times=times) as running:
        began = time.monotonic()
        await running.listen(await running.post(cast), began)
        return sum(s.real for s in cast) / 1000 / times / (time.monotonic() - began)


def summary(heard: list[Heard], times: float) -> str:
    """Share of casts that stood still, and waiting times."""
    waits = sorted(h.waited * times for h in heard)
    under = sum(h.underruns > 0 for h in heard)
    p95 = waits[int(0.95 * (len(waits) - 1))]
    stalled = sum(h.stalled for h in heard) * times
    return (
        f"underran {100 * under / len(heard):6.2f} % of {len(heard)}  first audio p50 {statistics.median(waits):7.1f} s"
        f"  p95 {p95:7.1f} s  stood still {stalled:6.1f} s"
    )


async def listeners(address: Address, *, short: bool, of: Sequence[int] = (1, 4, 32)) -> None:
    """The table of the design, on the real thing."""
    for workers, (casts, times) in FLEETS.items():
        if workers not in of:
            continue
        speeds = [JETSON] * workers
        speed = await capacity(address, speeds, times)
        say(
            f"{workers} workers of 3 x, {MEAN_AUDIO_S:.0f} s of audio a cast, {times:.0f} times the clock; "
            f"measured capacity {speed:.2f} x"
        )
        for load in LOADS[1:2] if short else LOADS:
            for name, rule in POLICIES.items() if load in COMPARED else [("the rule", RULE)]:
                heard = await crowd(address, speeds, rule, load * speed, casts // 8 if short else casts, times)
                say(f"  load {load:.1f}  {name:18s} {summary(heard, times)}")


async def mixed(address: Address, *, short: bool) -> None:
    """Slow workers beside a fast one."""
    say("a GPU (40 x), two Jetsons (3 x), two CPUs (2 x), and the GPU alone; 4 times the clock")
    for name, speeds in (("GPU alone", [GPU]), ("all five", [GPU, JETSON, JETSON, CPU, CPU])):
        for load in (0.5, 0.9):
            heard = await crowd(address, speeds, RULE, load * GPU, 60 if short else 300, 4.0)
            say(f"  {name:10s} {load:.1f} of the GPU's capacity  {summary(heard, 4.0)}")


def main() -> None:
    """Command line."""
    parts: dict[str, Callable[..., Coroutine[None, None, None]]] = {
        "speedup": speedup, "listeners": listeners, "mixed": mixed, "ceilings": ceilings, "plot": plot,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure")
    parser.add_argument("--workers", type=int, nargs="+", choices=FLEETS, default=list(FLEETS), help="of `listeners`")
    parser.add_argument("--short", action="store_true", help="a smaller version of each")
    arguments = parser.parse_args()
    with own_redis() as redis, shared_rabbitmq() as broker:
        address = Address(redis.url, broker, f"fleet-{uuid4().hex[:8]}:")
        for name in arguments.parts or [p for p in parts if p != "plot"]:
            options = {"of": arguments.workers} if name == "listeners" else {}
            asyncio.run(parts[name](address, short=arguments.short, **options))


if __name__ == "__main__":
    main()
