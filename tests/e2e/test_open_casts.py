"""Casts whose text arrives while they are spoken, on SQLite and on Redis + RabbitMQ, with the tone engine."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from open_casts import STORY, heard, opened, records, spoken, units_of

from contracts.adapters import Address
from load_tests.system import System, system

LIMIT = 3_000


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory, CASTLINE_MAX_TEXT_CHARS=str(LIMIT)) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


class Writer:
    """A body that is sent piece by piece."""

    def __init__(self, running: System, job: str, front: int = 0, **params: str) -> None:
        self._pieces: queue.Queue[bytes | None] = queue.Queue()
        self._answer: list[httpx.Response] = []
        url = f"{running.url(front)}/v1/casts/{job}/text"

        def send() -> None:
            self._answer.append(httpx.post(url, params=params, content=self._sent(), timeout=60, trust_env=False))

        self._thread = threading.Thread(target=send)
        self._thread.start()

    def _sent(self) -> Iterator[bytes]:
        while (piece := self._pieces.get()) is not None:
            yield piece

    def say(self, piece: str | bytes) -> None:
        self._pieces.put(piece.encode() if isinstance(piece, str) else piece)

    def end(self) -> httpx.Response:
        self._pieces.put(None)
        self._thread.join(60)
        return self._answer[0]


def test_text_is_heard_while_it_is_written(client: httpx.Client, running: System) -> None:
    job = opened(client, title="Radio")
    writer = Writer(running, job)
    writer.say("The keeper lit the lamp. Nobody had")
    assert heard(client, job, 1) == ["The keeper lit the lamp."]
    writer.say(" come that way! And n")
    assert heard(client, job, 2)[1] == "Nobody had come that way!"
    writer.say("ow")
    assert writer.end().json() == {"units": 3}
    assert heard(client, job, 3)[2] == "And now"
    view = client.get(f"/v1/casts/{job}").json()
    assert (view["state"], view["open"], view["units"], view["title"]) == ("live", True, 3, "Radio")
    for _ in range(2):
        closed = client.post(f"/v1/casts/{job}/close")
        assert (closed.status_code, closed.json()["open"]) == (200, False)
    assert len(spoken(client, job)) == 3
    assert client.get(f"/v1/casts/{job}").json()["state"] == "done"


def test_units_are_those_of_the_whole_text_however_it_is_cut(client: httpx.Client, running: System) -> None:
    for size in (1, 7, 10_000):
        job = opened(client)
        writer = Writer(running, job, close="true")
        body = STORY.encode()
        for at in range(0, len(body), size):
            writer.say(body[at : at + size])
        assert writer.end().json() == {"units": len(units_of(STORY))}
        assert spoken(client, job) == units_of(STORY)


def test_a_cast_may_begin_with_text_and_go_on_body_by_body(client: httpx.Client) -> None:
    job = opened(client, text="First of all. This")
    for body in ("is one", "...", "", "And two. Three"):
        assert client.post(f"/v1/casts/{job}/text", content=body).status_code == 200
    assert client.post(f"/v1/casts/{job}/text?close=true", content="End").json() == {"units": 6}
    assert spoken(client, job) == ["First of all.", "This", "is one", "And two.", "Three", "End"]


def test_two_open_casts_of_one_text_are_two(client: httpx.Client) -> None:
    first, second = (opened(client, text="The same.") for _ in range(2))
    assert first != second
    for job in (first, second):
        client.post(f"/v1/casts/{job}/close")
        assert spoken(client, job) == ["The same."]


def test_of_two_writers_one_is_told(client: httpx.Client, running: System) -> None:
    job = opened(client)
    first = Writer(running, job)
    first.say("One is here. And g")
    assert heard(client, job, 1) == ["One is here."]
    second = Writer(running, job)
    second.say("Two is here. And th")
    assert heard(client, job, 2)[1] == "Two is here."
    first.say("oes on. And on")
    refused = first.end()
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:castline:problem:another-writer")
    assert second.end().json() == {"units": 3}
    client.post(f"/v1/casts/{job}/close")
    assert spoken(client, job) == ["One is here.", "Two is here.", "And th"]


def test_who_leaves_in_the_middle_of_a_sentence_is_spoken_to_his_last_word(
    client: httpx.Client, running: System
) -> None:
    job = opened(client)
    body = b"All is well. But then sudd"
    head = f"POST /v1/casts/{job}/text HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    port = httpx.URL(running.url()).port
    with socket.create_connection(("127.0.0.1", port or 0)) as connection:
        connection.sendall(head.encode() + body + b"\r\n")
        assert heard(client, job, 1) == ["All is well."]
    assert heard(client, job, 2)[1] == "But then sudd"
    assert client.post(f"/v1/casts/{job}/text?close=true", content="Go on.").json() == {"units": 3}
    assert spoken(client, job)[2] == "Go on."


def test_too_much_text_is_refused_and_what_came_before_stays(client: httpx.Client) -> None:
    job = opened(client)
    sentence = "This is a sentence of a book. "
    count = LIMIT // len(sentence)
    assert client.post(f"/v1/casts/{job}/text", content=sentence * (count - 5)).status_code == 200
    refused = client.post(f"/v1/casts/{job}/text", content=sentence * 10)
    assert (refused.status_code, refused.json()["type"]) == (413, "urn:castline:problem:text-too-long")
    assert client.post(f"/v1/casts/{job}/text", content="No more. " * 50).status_code == 413
    client.post(f"/v1/casts/{job}/close")
    said = spoken(client, job)
    assert " ".join(said).startswith((sentence * (count - 1)).strip())
    assert sum(map(len, said)) <= LIMIT


def test_what_is_no_utf8_is_refused_behind_what_is(client: httpx.Client) -> None:
    job = opened(client)
    for body in (b"Gr\xc3\xbc\xc3\x9fe. Und \xff nichts.", b"Und halb\xc3"):
        assert client.post(f"/v1/casts/{job}/text", content=body).status_code == 422
    client.post(f"/v1/casts/{job}/close")
    assert spoken(client, job) == ["Grüße.", "Und", "Und halb"]


@pytest.mark.parametrize("verb", ["text", "close"])
def test_casts_that_are_not_open(client: httpx.Client, verb: str) -> None:
    whole = client.post("/v1/casts", json={"voice": "tone", "text": f"All of it {uuid4().hex}."}).json()["id"]
    cancelled = opened(client)
    assert client.delete(f"/v1/casts/{cancelled}").json()["state"] == "cancelled"
    closed = opened(client)
    client.post(f"/v1/casts/{closed}/close")
    expected = {whole: 409, cancelled: 409, closed: 409, "A" * 16: 404}
    if verb == "close":
        expected |= {whole: 200, closed: 200}
    for job, status in expected.items():
        answer = client.post(f"/v1/casts/{job}/{verb}", content="More.")
        assert answer.status_code == status, answer.text


def test_a_cast_that_is_cancelled_while_it_is_written(client: httpx.Client, running: System) -> None:
    job = opened(client)
    writer = Writer(running, job)
    writer.say("One. Two ")
    assert client.delete(f"/v1/casts/{job}").json()["open"] is False
    writer.say("three. Four five. Six")
    assert writer.end().status_code == 409
    assert records(client, job)[-1]["e"] == "cancelled"


@pytest.mark.parametrize(
    "fields",
    [{}, {"open": False}, {"text": "a", "source": {"completion": "A" * 16}}, {"source": {}},
     {"source": {"completion": "../x"}}, {"open": "yes"}],
)  # fmt: skip
def test_what_can_not_be_opened(client: httpx.Client, fields: dict[str, Any]) -> None:
    assert client.post("/v1/casts", json={"voice": "tone", **fields}).status_code == 422
