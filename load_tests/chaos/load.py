"""Casts that are posted throughout, each with a reader that lives through everything."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import httpx

from load_tests.chaos.checker import Cast, seen
from load_tests.reader import Event, follow

SENTENCES = 6
EVERY_S = 0.6
"""Mean time between casts: about half of what four workers do at 150 ms a unit, so that most kills hit a unit."""
AT_ONCE = 12
RETRY_S = 0.1
PATIENCE_S = 120.0
"""How long the casts of a phase may take to their ends once its faults are over."""


class Load:
    """Posts casts to fronts in turn, and keeps all that was seen of them."""

    def __init__(self, urls: Sequence[str], rng: random.Random) -> None:
        self.urls = list(urls)
        self._rng = rng
        self._run = uuid4().hex[:8]
        self._count = 0
        self.casts: list[Cast] = []
        self.answers: Counter[str] = Counter()
        """Answers to POST by status, or by the error there was instead."""
        self._client = httpx.AsyncClient(timeout=30, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def story(self, sentences: int = SENTENCES) -> str:
        """A text nobody else has."""
        self._count += 1
        head = f"of cast number {self._count} in run {self._run}"
        return " ".join(f"This is sentence {n} {head}." for n in range(sentences))

    async def post(self, text: str) -> Cast:
        """Post until it is acknowledged: the same text is the same cast, so posting again is harmless."""
        cast = Cast(text)
        self.casts.append(cast)
        while not cast.acknowledged:
            url = self.urls[(self._count + cast.posts) % len(self.urls)]
            cast.posts += 1
            try:
                answer = await self._client.post(f"{url}/v1/casts", json={"text": text, "voice": "tone"})
            except httpx.HTTPError as exc:
                self.answers[type(exc).__name__] += 1
                await asyncio.sleep(RETRY_S)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.is_success:
                cast.job, cast.acknowledged = answer.json()["id"], True
            else:
                await asyncio.sleep(RETRY_S)
        return cast

    async def live(self, text: str) -> Cast:
        """Post a text, and follow its cast to the end, or until cancelled: what was seen is kept."""
        cast = await self.post(text)
        queue: asyncio.Queue[Event] = asyncio.Queue()
        try:
            await follow(self._shuffled(), cast.job, on_event=queue)
        finally:
            cast.records = [seen(queue.get_nowait()) for _ in range(queue.qsize())]
        return cast

    def _shuffled(self) -> list[str]:
        return self._rng.sample(self.urls, len(self.urls))

    @contextlib.asynccontextmanager
    async def pouring(self) -> AsyncIterator[list[Cast]]:
        """Casts all the while; the list holds them when the block, and their readers, have ended."""
        casts: list[Cast] = []
        first = len(self.casts)
        over = asyncio.Event()
        pouring = asyncio.create_task(self._pour(over))
        try:
            yield casts
        finally:
            over.set()
            await pouring
            casts += self.casts[first:]

    async def _pour(self, over: asyncio.Event) -> None:
        readers: set[asyncio.Task[Cast]] = set()
        while not over.is_set() or not readers:
            if len(readers) < AT_ONCE:
                readers.add(asyncio.create_task(self.live(self.story())))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._rng.expovariate(1 / EVERY_S))
            readers -= _finished(readers)
            if over.is_set():
                break
        if readers:
            _, late = await asyncio.wait(readers, timeout=PATIENCE_S)
            for task in late:  # its cast has no end: the checker will say so
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            _finished(readers - late)

    async def read_again(self, casts: Sequence[Cast]) -> None:
        """A fresh reader for each cast, by a front at random."""
        for cast in casts:
            if cast.acknowledged:
                began = time.perf_counter()
                try:
                    async with asyncio.timeout(PATIENCE_S if cast.records else 1.0):
                        cast.fresh = [seen(e) for e in await follow(self._shuffled(), cast.job)]
                except TimeoutError:
                    sys.stderr.write(f"{cast.job}: no end after {time.perf_counter() - began:.0f} s\n")


def _finished(tasks: set[asyncio.Task[Cast]]) -> set[asyncio.Task[Cast]]:
    """Those that are; an error of a reader is an error of the run."""
    done = {task for task in tasks if task.done()}
    for task in done:
        task.result()
    return done
