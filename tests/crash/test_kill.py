"""Kill any process while a cast is made: it completes, gapless, each sentence once, the same bytes for every reader."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from contracts import text
from contracts.adapters import Address
from load_tests.expected import tone_bodies
from load_tests.reader import Event, follow
from load_tests.services import RabbitServer, RedisServer
from load_tests.system import System, system

SENTENCES = 24
XRT = 20.0
"""A unit of about 2 s takes about 100 ms: long enough to be killed in, short enough to wait for."""


@pytest.fixture(scope="module")
def story() -> str:
    """As many units as sentences, one more for the short first one."""
    return text.normalise(" ".join(f"This is sentence number {n} of a story." for n in range(SENTENCES)))


@pytest.fixture
def running_embedded(tmp_path: Path, embedded: Address) -> Iterator[System]:
    with system(embedded, tmp_path, CASTLINE_LEASE_S="1") as running:
        yield running


@pytest.fixture
def running_real(tmp_path: Path, mortal_redis: RedisServer, mortal_rabbitmq: RabbitServer) -> Iterator[System]:
    address = Address(mortal_redis.url, mortal_rabbitmq.url, f"crash-{uuid4().hex[:8]}:")
    with system(address, tmp_path, CASTLINE_LEASE_S="2") as running:
        yield running


def start(running: System, *, workers: int) -> None:
    running.front()
    for _ in range(workers):
        running.worker("tone", CASTLINE_TTS_TONE_XRT=str(XRT), CASTLINE_TTS_SLOTS="1")
    running.wait_for_workers(workers)


def post(running: System, story: str) -> dict[str, object]:
    body = {"text": story, "voice": "tone"}
    answer = httpx.post(f"{running.url()}/v1/casts", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def check(events: list[Event], running: System, job: str, story: str) -> None:
    """Gapless, once each, by content; and a reader from 0 sees byte for byte what the one that lived through it saw."""
    import base64

    assert [e.record["seq"] for e in events] == list(range(len(events)))
    assert events[-1].record["e"] == "eos"
    audio = [e.record for e in events if e.record["e"] == "audio"]
    assert [a["i"] for a in audio] == list(range(len(audio)))
    assert [base64.b64decode(a["body"]) for a in audio] == tone_bodies(story)
    fresh = asyncio.run(follow([running.url(n) for n in range(len(running.fronts))], job))
    assert [e.raw for e in fresh] == [e.raw for e in events]


def live_through(running: System, job: str, at: dict[int, Callable[[], None]]) -> list[Event]:
    """Follow the cast, and do the deeds at their indexes while it is made."""
    urls = [running.url(n) for n in range(len(running.fronts))]

    async def both() -> list[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        following = asyncio.create_task(follow(urls, job, on_event=queue))
        todo = dict(at)
        while todo:
            event = await asyncio.wait_for(queue.get(), 60)
            if (deed := todo.pop(event.record.get("i", -1), None)) is not None:
                await asyncio.to_thread(deed)
        return await asyncio.wait_for(following, 90)

    return asyncio.run(both())


def test_embedded_survives_the_kill_of_worker_engine_and_front(running_embedded: System, story: str) -> None:
    running = running_embedded
    start(running, workers=2)
    cast = post(running, story)
    job = str(cast["id"])

    def kill_worker() -> None:
        running.workers[0].signal(signal.SIGKILL)
        running.workers[0].start()

    def kill_engine() -> None:
        [child] = psutil.Process(running.workers[1].pid).children()
        child.kill()

    def kill_front() -> None:
        running.fronts[0].signal(signal.SIGKILL)
        running.fronts[0].start()
        running.wait_for_front()

    events = live_through(running, job, {3: kill_worker, 8: kill_engine, 13: kill_front})
    check(events, running, job, story)


def test_real_survives_the_kill_of_every_process(
    running_real: System, story: str, mortal_redis: RedisServer, mortal_rabbitmq: RabbitServer
) -> None:
    running = running_real
    start(running, workers=2)
    running.front()
    cast = post(running, story)
    job = str(cast["id"])

    def kill_worker() -> None:
        running.workers[0].signal(signal.SIGKILL)
        running.workers[0].start()

    def kill_engine() -> None:
        for child in psutil.Process(running.workers[1].pid).children():
            child.kill()

    def kill_front() -> None:
        running.fronts[0].signal(signal.SIGKILL)
        running.fronts[0].start()

    def kill_redis() -> None:
        mortal_redis.kill()
        mortal_redis.start()

    def kill_rabbitmq() -> None:
        mortal_rabbitmq.kill()
        mortal_rabbitmq.start()

    deeds = {2: kill_worker, 6: kill_engine, 9: kill_front, 13: kill_redis, 17: kill_rabbitmq}
    events = live_through(running, job, deeds)
    running.wait_for_front(0)
    check(events, running, job, story)


def test_a_front_that_dies_between_open_and_submit_is_healed_by_the_next_post(
    running_embedded: System, embedded: Address, story: str
) -> None:
    """The log is there, no unit is due: what a front leaves that dies right after OPEN. A second POST submits them."""
    running = running_embedded
    running.front()
    cast = post(running, story)
    job = str(cast["id"])

    async def forget_submission() -> None:
        from contracts.adapters import open_store
        from contracts.topology import speech_lane
        from contracts.units import Unit

        store = open_store(embedded)
        status = await store.log_reader.status(job)
        assert status is not None
        units = [(Unit(job, status.epoch, n), None) for n in range(status.total)]
        await store.scheduler.release(speech_lane("tone"), units)
        assert (await store.scheduler.backlog(speech_lane("tone"))).due == 0
        await store.close()

    asyncio.run(forget_submission())
    running.worker("tone", CASTLINE_TTS_SLOTS="2")
    running.wait_for_workers(1)
    again = httpx.post(f"{running.url()}/v1/casts", json={"text": story, "voice": "tone"}, timeout=30, trust_env=False)
    assert again.status_code == 200
    assert again.json()["id"] == job
    events = asyncio.run(follow([running.url()], job))
    check(events, running, job, story)


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_a_worker_told_to_stop_finishes_or_gives_back(kind: str, request: pytest.FixtureRequest, story: str) -> None:
    running: System = request.getfixturevalue(f"running_{kind}")
    start(running, workers=1)
    job = str(post(running, story)["id"])

    def replace() -> None:
        running.workers[0].signal(signal.SIGTERM)
        assert running.workers[0].popen is not None
        assert running.workers[0].popen.returncode == 0
        running.workers[0].start()

    events = live_through(running, job, {4: replace})
    check(events, running, job, story)
    assert all(e.record["a"] == 1 for e in events if e.record["e"] == "audio"), "a graceful stop wastes no attempt"
