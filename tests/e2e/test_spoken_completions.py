"""Completions that are spoken while they are written, on SQLite and on Redis + RabbitMQ, with the tone engine."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import anyio
import httpx
import pytest
from open_casts import STORY, heard, opened, spoken, units_of

from contracts.adapters import Address, Store, open_store
from contracts.ids import new_id
from contracts.ports import NewLog, Output, Part
from contracts.topology import LLM_LANE
from contracts.units import Unit
from load_tests.system import System, system


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


class Completion:
    """A completion's log, written by hand as a worker does."""

    def __init__(self, address: Address) -> None:
        self.job = new_id()
        self._address = address
        self._unit = Unit(self.job, "e1", 0)
        self._attempt = self._parts = 0

        async def begin(store: Store) -> None:
            recipe = {"kind": "llm", "model": "echo"}
            log = NewLog(self.job, "e1", LLM_LANE, "live", "", recipe, {"v": 1}, ["ask"], closed=True, ttl_ms=600_000)
            assert (await store.log_writer.open(log)).new

        self._with_store(begin)

    def _with_store(self, do: Callable[[Store], Awaitable[None]]) -> None:
        async def run() -> None:
            store = open_store(self._address)
            try:
                await do(store)
            finally:
                await store.close()

        anyio.run(run)

    def start(self) -> None:
        """A new attempt."""
        self._attempt += 1
        self._parts = 0
        self._append([Part("start", {"i": 0, "a": self._attempt})])

    def write(self, *texts: str) -> None:
        self._append([Part("delta", {"i": 0, "t": text}) for text in texts])

    def _append(self, parts: Sequence[Part]) -> None:
        async def append(store: Store) -> None:
            at, writer = self._parts, f"w:{self._attempt}"
            assert await store.log_writer.append(self._unit, writer, at, parts) == "OK"

        self._with_store(append)
        self._parts += len(parts)

    def end(self, kind: str = "eos") -> None:
        async def commit(store: Store) -> None:
            if kind == "cancelled":
                assert await store.log_writer.cancel(self.job) is not None
                return
            output = Output("eos" if kind == "eos" else "error", {}, writer=f"w:{self._attempt}")
            assert (await store.log_writer.commit(self._unit, output)).finished

        self._with_store(commit)


@pytest.mark.parametrize("end", ["eos", "error", "cancelled"])
def test_a_completion_is_spoken_while_it_is_written(client: httpx.Client, running: System, end: str) -> None:
    completion = Completion(running.address)
    job = opened(client, open=False, source={"completion": completion.job})
    assert client.post(f"/v1/casts/{job}/text", content="Me, too.").status_code == 409
    completion.start()
    completion.write("The keeper", " lit the lamp. Nob", "ody ", "came")
    assert heard(client, job, 1) == ["The keeper lit the lamp."]
    completion.write(" at a")
    completion.end(end)
    assert spoken(client, job) == ["The keeper lit the lamp.", "Nobody came at a"]


def test_a_completion_that_is_written_already(client: httpx.Client, running: System) -> None:
    completion = Completion(running.address)
    completion.start()
    completion.write(*STORY)
    completion.end()
    job = opened(client, source={"completion": completion.job})
    assert spoken(client, job) == units_of(STORY)


def test_an_attempt_that_differs_is_spoken_from_where_it_does(client: httpx.Client, running: System) -> None:
    completion = Completion(running.address)
    job = opened(client, source={"completion": completion.job})
    completion.start()
    completion.write("One is one. Two is two. Three is th")
    assert heard(client, job, 2) == ["One is one.", "Two is two."]
    completion.start()
    completion.write("One is one. Two is three. Four")
    completion.start()
    completion.write("One is one. Two is three. Four is four.")
    completion.end()
    assert spoken(client, job) == ["One is one.", "Two is two.", "Two is three.", "Four is four."]


def test_unknown_completions(client: httpx.Client) -> None:
    cast = client.post("/v1/casts", json={"voice": "tone", "text": f"No completion {uuid4().hex}."}).json()["id"]
    for unknown in ("A" * 16, cast):
        answer = client.post("/v1/casts", json={"voice": "tone", "source": {"completion": unknown}})
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:castline:problem:unknown-log")


def test_a_front_that_dies_is_followed_by_another(running: System) -> None:
    """It dies in the middle of the second sentence; each sentence is spoken once."""
    victim = running.front()
    completion = Completion(running.address)
    with httpx.Client(base_url=running.url(len(running.fronts) - 1), timeout=30, trust_env=False) as doomed:
        job = opened(doomed, source={"completion": completion.job})
        completion.start()
        completion.write("The keeper lit the lamp. Nobody had co")
        assert heard(doomed, job, 1) == ["The keeper lit the lamp."]
    victim.signal(signal.SIGKILL)
    running.fronts.remove(victim)
    completion.write("me that way! And th")
    completion.write("en? ", "Then ", "he waited.")
    completion.end()
    with httpx.Client(base_url=running.url(), timeout=100, trust_env=False) as client:
        assert spoken(client, job) == [
            "The keeper lit the lamp.",
            "Nobody had come that way!",
            "And then?",
            "Then he waited.",
        ]
