"""The bell rings for watched logs that grow, before the slow poll would."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from contracts.adapters import Store
from contracts.ports import Bell, NewLog, Output, Ring
from contracts.units import Lane, Unit


async def test_a_commit_and_a_cancel_ring(store: Store, bell: Bell) -> None:
    for job in ("a" * 16, "b" * 16):
        await store.log_writer.open(NewLog(job, "e1", Lane("tts"), "live", "", {}, {"v": 1}, ["0", "1"], True, 60_000))
    rung: asyncio.Queue[Ring] = asyncio.Queue()

    async def listen() -> None:
        async with aclosing(bell.rings()) as rings:  # type: ignore[type-var]
            async for news in rings:
                rung.put_nowait(news)

    listening = asyncio.create_task(listen())
    try:
        await bell.watch("a" * 16)
        async with asyncio.timeout(10):
            for grow in (
                lambda: store.log_writer.commit(Unit("a" * 16, "e1", 0), Output("audio", {"i": 0}, b"x")),
                lambda: store.log_writer.cancel("a" * 16),
            ):
                while not rung.empty():
                    rung.get_nowait()
                await grow()
                news = await rung.get()
                assert news.job == "a" * 16
                page = await store.log_reader.read(news.job, 1)
                assert page is not None
                assert news.record is None or (news.epoch, news.record) == (page.epoch, page.records[-1])
        await bell.unwatch("a" * 16)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
