"""Parts of finished casts: ranges, resuming, and listeners who leave before there is anything to hear."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from open_casts import spoken

from contracts.adapters import Address
from load_tests.services import wait_until
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


def post(client: httpx.Client, **fields: Any) -> str:
    """The path of a new cast."""
    job = client.post("/v1/casts", json={"voice": "tone", **fields}).json()["id"]
    return f"/v1/casts/{job}"


@pytest.fixture
def made(client: httpx.Client) -> str:
    """The path of one that is finished."""
    path = post(client, text=f"The keeper lit the lamp. Nobody came. {uuid4().hex}.")
    spoken(client, path.rpartition("/")[2])
    return path


@pytest.mark.parametrize("fmt", ["opus", "mp3", "aac", "wav", "flac"])
def test_a_download_that_broke_off_is_resumed_and_another_one_is_not(client: httpx.Client, made: str, fmt: str) -> None:
    path = f"{made}/audio.{fmt}"
    whole = client.get(path)
    tag = whole.headers["etag"]
    assert (client.head(path).headers["etag"], client.get(path).headers["etag"]) == (tag, tag)
    for validator in (tag, whole.headers["last-modified"]):
        rest = client.get(path, headers={"Range": "bytes=200-299", "If-Range": validator})
        assert (rest.status_code, rest.content, rest.headers["etag"]) == (206, whole.content[200:300], tag)
    other = client.get(path, headers={"Range": "bytes=200-299", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.parametrize("asked", ["items=0-1", "bytes=abc", "bytes=5-2", "bytes=", "bytes=0-"])
def test_a_range_that_is_none_is_ignored(client: httpx.Client, made: str, asked: str) -> None:
    assert client.get(f"{made}/audio.mp3", headers={"Range": asked}).status_code == 200


def test_a_range_behind_the_end_is_a_problem_that_says_where_that_is(client: httpx.Client, made: str) -> None:
    path = f"{made}/audio.mp3"
    answer = client.get(path, headers={"Range": "bytes=99999999-"})
    assert (answer.status_code, answer.headers["content-type"]) == (416, "application/problem+json")
    assert answer.headers["content-range"] == f"bytes */{client.head(path).headers['content-length']}"
    assert len(client.get(path, headers={"Range": "bytes=-100"}).content) == 100


def followers(client: httpx.Client) -> float:
    [line] = [line for line in client.get("/metrics").text.splitlines() if line.startswith("castline_followers ")]
    return float(line.split()[1])


def test_a_listener_who_leaves_before_the_first_sound_is_forgotten(client: httpx.Client) -> None:
    path = post(client, text="", open=True)
    before = followers(client)
    with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as other, contextlib.suppress(OSError):
        waiting = other.build_request("GET", f"{path}/audio.mp3", extensions={"timeout": {"read": 1.0}})
        with pytest.raises(httpx.ReadTimeout):
            other.send(waiting)
    wait_until(lambda: followers(client) == before, 20, "the listener to be forgotten")
    client.delete(path)
