"""/stream on both stores: what the conformance suite does not see of ours. See durable_streams/ for the protocol."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.adapters import Address, Store, open_store
from contracts.ids import new_epoch, new_id
from contracts.ports import NewLog, Output, Part
from contracts.topology import LLM_LANE
from contracts.units import Unit
from load_tests.services import wait_until
from load_tests.system import System, system

LONG = "public, max-age=60, stale-while-revalidate=300"


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    """A front without a worker: logs grow when the test says so."""
    with system(each_store, directory) as running:
        running.front()
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


class Log:
    """A completion that the test writes."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.job, self._epoch, self._parts = new_id(), new_epoch(), 0
        self.path = f"/v1/completions/{self.job}/stream"
        meta = {"v": 1, "kind": "llm", "model": "small", "title": ""}
        log = NewLog(self.job, self._epoch, LLM_LANE, "live", "", {}, meta, ["all"], True, 600_000)
        self._do(lambda store: store.log_writer.open(log))

    def _do(self, verb: Callable[[Store], Awaitable[Any]]) -> Any:
        async def done() -> Any:
            store = open_store(self._address)
            try:
                return await verb(store)
            finally:
                await store.close()

        return asyncio.run(done())

    @property
    def _unit(self) -> Unit:
        return Unit(self.job, self._epoch, 0)

    def write(self, *texts: str) -> None:
        parts = [Part("delta", {"i": 0, "t": text}, text.encode()) for text in texts]
        assert self._do(lambda store: store.log_writer.append(self._unit, "w", self._parts, parts)) == "OK"
        self._parts += len(parts)

    def end(self) -> None:
        end = Output("eos", {"i": 0}, writer="w" if self._parts else "")
        assert self._do(lambda store: store.log_writer.commit(self._unit, end)).verdict == "OK"


def test_pages_say_where_to_go_on_and_how_long_they_keep(running: System, client: httpx.Client) -> None:
    log = Log(running.address)
    log.write("a", "b")
    page = client.get(log.path)
    assert [record["e"] for record in page.json()] == ["meta", "delta", "delta"]
    assert page.json() == client.get(log.path.replace("/stream", "/records")).json()["records"]
    assert (page.headers["Stream-Next-Offset"], page.headers["Stream-Up-To-Date"]) == ("0000000003", "true")
    assert "Stream-Closed" not in page.headers
    assert page.headers["Cache-Control"] == "public, max-age=1", "it may grow"
    same = client.get(log.path, headers={"If-None-Match": f'"x", {page.headers["ETag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    log.write(*["x" * 80_000] * 20)  # more than one page
    part = client.get(log.path, params={"offset": "0000000003"}, headers={"If-None-Match": page.headers["ETag"]})
    assert part.status_code == 200
    assert "Stream-Up-To-Date" not in part.headers
    assert part.headers["Cache-Control"] == LONG, "a full page stays as it is"
    log.end()
    last = part
    while "Stream-Up-To-Date" not in last.headers:
        last = client.get(log.path, params={"offset": last.headers["Stream-Next-Offset"]})
    assert (last.json()[-1]["e"], last.headers["Stream-Closed"], last.headers["Cache-Control"]) == ("eos", "true", LONG)
    head = client.head(log.path)
    assert head.headers["Stream-Next-Offset"] == last.headers["Stream-Next-Offset"] == "0000000024"
    assert (head.headers["Stream-Closed"], head.headers["Cache-Control"]) == ("true", "no-store")


def test_a_long_poll_waits_for_what_comes_and_knows_the_end(running: System, client: httpx.Client) -> None:
    log = Log(running.address)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        poll = {"offset": "now", "live": "long-poll"}
        waiting = pool.submit(client.get, log.path, params=poll)
        followed = lambda: "castline_followers 1.0" in client.get("/metrics").text  # noqa: E731
        wait_until(followed, 20, "a reader that waits")
        log.write("here it is")
        answer = waiting.result()
    assert [record["t"] for record in answer.json()] == ["here it is"]
    assert answer.headers["Cache-Control"] == LONG
    assert answer.headers["Stream-Cursor"].isdigit()
    log.end()
    end = {"offset": "0000000003", "live": "long-poll", "cursor": answer.headers["Stream-Cursor"]}
    closed = client.get(log.path, params=end)
    assert (closed.status_code, closed.headers["Stream-Closed"], closed.headers["Cache-Control"]) == (
        204, "true", "no-store",
    )  # fmt: skip
    assert int(closed.headers["Stream-Cursor"]) > int(answer.headers["Stream-Cursor"])


def test_events_go_on_to_the_end(running: System, client: httpx.Client) -> None:
    log = Log(running.address)
    seen: list[tuple[str, Any]] = []
    with client.stream("GET", log.path, params={"offset": "-1", "live": "sse"}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data:"):
                seen.append((name, json.loads(line.removeprefix("data:"))))
                if len(seen) == 2:
                    log.write("a", "b")
                elif seen[-1][1] and name == "control" and seen[-1][1]["streamNextOffset"] == "0000000003":
                    log.end()
    assert [name for name, _ in seen[::2]] == ["data"] * (len(seen) // 2)
    assert [r["seq"] for name, data in seen if name == "data" for r in data] == [0, 1, 2, 3]
    assert seen[-1] == ("control", {"streamNextOffset": "0000000004", "streamClosed": True})


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?offset=x", 400), ("?offset=", 400), ("?offset=1,2", 400), ("?offset=1&offset=2", 400), ("?live=sse", 400),
        ("?live=long-poll", 400), ("?offset=0&live=websocket", 400), ("?offset=99999999999", 400),
        ("?offset=9999999999", 410), ("?offset=0000000005", 410), ("?offset=0000000003&live=sse", 410),
        ("?offset=0000000003&live=long-poll", 410), ("?offset=0000000002", 200),
    ],
)  # fmt: skip
def test_offsets_that_are_none_or_of_a_log_that_is_gone(
    running: System, client: httpx.Client, query: str, status: int
) -> None:
    log = Log(running.address)
    log.end()
    answer = client.get(log.path + query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == ("application/json" if status == 200 else "application/problem+json")
    assert answer.headers["access-control-allow-origin"] == "*", "a page of another site must see the reason, too"


def test_other_sites_may_read_streams_and_nothing_else(running: System, client: httpx.Client) -> None:
    log = Log(running.address)
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    preflight = client.options(log.path, headers=asked)
    assert preflight.status_code == 204
    assert "If-None-Match" in preflight.headers["access-control-allow-headers"]
    assert "Stream-Next-Offset" in client.get(log.path).headers["access-control-expose-headers"]
    for path in ("/metrics", "/v1/voices", f"/v1/completions/{log.job}", "/v1/casts"):
        assert "access-control-allow-origin" not in client.get(path, headers=asked).headers, path


def test_a_log_of_another_kind_is_none(running: System, client: httpx.Client) -> None:
    log = Log(running.address)
    cast = client.post("/v1/casts", json={"voice": "tone", "text": uuid4().hex}).json()
    assert client.get(cast["links"]["stream"]).status_code == 200
    for path in (
        log.path.replace("completions", "casts"), log.path.replace("completions", "transcripts"),
        cast["links"]["stream"].replace("casts", "transcripts"), f"/v1/casts/{'A' * 16}/stream",
    ):  # fmt: skip
        assert client.get(path).status_code == client.head(path).status_code == 404
