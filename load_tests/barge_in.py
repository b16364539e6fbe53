"""Somebody interrupts: how soon everything stops, down to the engines.

    python -m load_tests.barge_in [--times 10]

A reply is being written (10 tokens a second), spoken (slowly) and played when somebody speaks. Times
are ms from the first loud sample of what he says, by the clock by which it is sent, 40 ms a message, to: the client is
told that he speaks; the reply is over for it; the language model's server sees its connection closed; the speech worker
has stopped its engine. Real RabbitMQ, a redis-server of its own, engines that wait.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import uvloop

from contracts.adapters import Address
from load_tests.services import free_port, own_redis, shared_rabbitmq
from load_tests.voice_chat import Browser, Setting, question, talking
from load_tests.voice_system import simulated

ANSWER = "tokens=400 rate=10 sentence=8"
SPEAK_XRT = 0.3
"""So slow that there is always a unit in work."""
HEARD_S = 1.5
"""Of the reply, before it is interrupted."""
PATIENCE_S = 20.0
POLL_S = 0.004
STOPPED = 'castline_units_total{outcome="stopped"}'
STAGES = ("speech_started", "response.done", "upstream closed", "engine stopped")


async def until(done: Callable[[], bool], browser: Browser, what: str) -> None:
    """Be silent until then."""
    began = time.perf_counter()
    while not done():
        await browser.be_silent()
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError(f"{what}: {sorted(browser.seen)}")


async def stopped(metrics: httpx.AsyncClient) -> float:
    """Units of the speech worker that were stopped."""
    lines = (await metrics.get("/metrics")).text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(STOPPED)), 0.0)


async def stops(metrics: httpx.AsyncClient) -> float:
    """time.perf_counter() when it stops one more."""
    before = await stopped(metrics)
    while await stopped(metrics) == before:
        await asyncio.sleep(POLL_S)
    return time.perf_counter()


async def interrupt(browser: Browser, upstream: httpx.AsyncClient, metrics: httpx.AsyncClient) -> Mapping[str, float]:
    """Ask, hear a little of the answer, speak again; ms to each of STAGES."""
    await browser.speak(time.perf_counter())
    await until(lambda: "response.output_audio.delta" in browser.seen, browser, "no answer came")
    heard = time.perf_counter() + HEARD_S
    await until(lambda: time.perf_counter() >= heard, browser, "")
    browser.seen.clear()
    stopping = asyncio.create_task(stops(metrics))
    began = time.perf_counter()
    await browser.speak(began)
    await until(lambda: "response.done" in browser.seen and stopping.done(), browser, "the reply did not stop")
    aborted_at = (await upstream.get("/stats")).json()["aborted_at"] + time.perf_counter() - time.monotonic()
    at = (browser.seen["input_audio_buffer.speech_started"], browser.seen["response.done"], aborted_at, await stopping)
    return {name: 1000 * (when - began) for name, when in zip(STAGES, at, strict=True)}


async def measure(url: str, upstream: str, metrics: str, times: int) -> list[Mapping[str, float]]:
    """One session each: what was begun in answer to the interruption ends with it."""
    found = []
    async with (
        httpx.AsyncClient(base_url=upstream, trust_env=False) as server,
        httpx.AsyncClient(base_url=metrics, trust_env=False) as worker,
    ):
        for _ in range(times):
            async with talking(url, Setting(question(None), answer=ANSWER)) as browser:
                found.append(await interrupt(browser, server, worker))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        redis, broker = stack.enter_context(own_redis()), stack.enter_context(shared_rabbitmq())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address, port = Address(redis.url, broker, f"barge-{uuid4().hex[:8]}:"), free_port()
        running, upstream = stack.enter_context(
            simulated(address, directory, 2, speak_xrt=SPEAK_XRT, CASTLINE_METRICS_PORT=str(port))
        )
        found = uvloop.run(measure(running.url(), upstream, f"http://127.0.0.1:{port}", arguments.times))
    for name in STAGES:
        values = sorted(one[name] for one in found)
        sys.stdout.write(f"{name:16s} p50 {statistics.median(values):5.0f}   max {values[-1]:5.0f} ms\n")


if __name__ == "__main__":
    main()
