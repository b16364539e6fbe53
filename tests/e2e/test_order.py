"""What a front does for the order of work: says where a cast stands, refuses in time, repairs what stands still."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.sync.client import connect

from contracts import text
from contracts.adapters import Address, Store, open_store
from contracts.ids import new_epoch
from contracts.ports import NewLog, Place
from contracts.topology import speech_lane
from load_tests.system import System, system

LANE = speech_lane("tone")
STORY = "One. Two is longer than one was. And three is the longest of them all, by far. {}."


@pytest.fixture(params=["embedded", "real"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """A front that lets 60 s of work wait, and no worker."""
    address: Address = request.getfixturevalue(request.param)
    with system(address, tmp_path, CASTLINE_MAX_WAIT_S="60") as running:
        running.front()
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


def post(client: httpx.Client, text: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/casts", json={"voice": "tone", "text": text, **fields})


def ask(address: Address, question: Callable[[Store], Any]) -> Any:
    async def asked() -> Any:
        store = open_store(address)
        try:
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(asked())


def place(running: System, cast: dict[str, Any]) -> Place | None:
    async def look(store: Store) -> Place | None:
        status = await store.log_reader.status(cast["id"])
        assert status is not None
        return await store.scheduler.place(LANE, f"{cast['id']}:{status.epoch}")

    found: Place | None = ask(running.address, look)
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_a_fleet_with_too_much_to_do_refuses_new_casts_and_keeps_its_own(client: httpx.Client) -> None:
    long = " ".join(f"Sentence number {n} of a long story is long enough to be cut." for n in range(40))
    first = post(client, long)
    assert first.status_code == 201
    assert first.json()["workers"] == 0
    assert first.json()["eta_ms"] is None
    end = time.monotonic() + 30
    while (refused := post(client, STORY.format(uuid4().hex))).status_code == 201:
        assert time.monotonic() < end, "what waits is asked for once a second"
    assert refused.status_code == 503
    assert refused.json()["type"] == "urn:castline:problem:too-busy"
    assert 1 <= int(refused.headers["Retry-After"]) <= 600
    again = post(client, long)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"]), "a cast that is here is not refused"
    assert post(client, STORY.format(uuid4().hex), **{"class": "bulk"}).status_code == 201, "bulk has a day"


def test_waiting_casts_are_told_their_place(client: httpx.Client) -> None:
    casts = [post(client, STORY.format(uuid4().hex)).json() for _ in range(3)]
    views = [client.get(f"/v1/casts/{c['id']}").json() for c in casts]
    assert [(v["state"], v["position"]) for v in views] == [("waiting", 0), ("waiting", 1), ("waiting", 2)]


def test_a_log_whose_front_died_before_it_submitted_is_made_by_the_janitor(
    running: System, client: httpx.Client
) -> None:
    job = uuid4().hex[:16]
    recipe = {
        "kind": "tts", "model": "tone", "model_version": "1", "voice": "tone", "language": "en-US", "speed": 1.0,
        "normaliser": text.NORMALISER_VERSION,
    }  # fmt: skip
    meta = {"v": 1, "kind": "tts", **{k: recipe[k] for k in ("model", "model_version", "voice", "language", "speed")}}

    async def open_and_die(store: Store) -> None:
        await store.scheduler.expect(LANE, job, 0)
        log = NewLog(
            job, new_epoch(), LANE, "live", "", recipe, {**meta, "title": "x"}, ["One. ", "Two."], True, 600_000
        )
        await store.log_writer.open(log)

    ask(running.address, open_and_die)
    running.worker("tone")
    until(lambda: client.get(f"/v1/casts/{job}").json()["state"] == "done", "the janitor")
    until(lambda: not ask(running.address, lambda s: s.scheduler.overdue(LANE, 0, 9)), "it is settled")


def test_a_page_that_pauses_gives_way(running: System, client: httpx.Client) -> None:
    cast = post(client, STORY.format(uuid4().hex)).json()
    url = running.url().replace("http", "ws") + f"/v1/casts/{cast['id']}/follow"
    with connect(url) as socket:
        socket.recv()
        socket.send(json.dumps({"position_ms": None}))
        until(lambda: (p := place(running, cast)) is not None and not p.heard, "it gives way")
        socket.send("what is this?")
        socket.send(json.dumps({"position_ms": 0}))
        until(lambda: (p := place(running, cast)) is not None and p.heard, "it is heard again")
