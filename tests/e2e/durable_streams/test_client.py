"""The official client of Durable Streams, unmodified, follows a cast to its end and resumes where it was."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from contracts.adapters import Address
from load_tests.system import System, system

logger = logging.getLogger(__name__)

STORY = " ".join(f"Sentence number {n} of a story that takes a while." for n in range(10))


@pytest.fixture(params=["embedded", "real"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    address: Address = request.getfixturevalue(request.param)
    with system(address, tmp_path) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_TONE_XRT="8")
        running.wait_for_workers(1)
        yield running


def follow(packages: Path, url: str, mode: str, offset: str, count: int) -> list[dict[str, Any]]:
    """The batches a client saw."""
    command = ["node", "follow.js", url, mode, offset, str(count)]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def seen(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for batch in batches for record in batch["items"]]


@pytest.mark.parametrize("mode", ["true", "sse", "long-poll"])
def test_the_official_client_follows_a_cast_to_its_end_and_resumes(running: System, packages: Path, mode: str) -> None:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as http:
        cast = http.post("/v1/casts", json={"voice": "tone", "text": f"{STORY} {uuid4().hex}."}).json()
        url = running.url() + cast["links"]["stream"]
        first = follow(packages, url, mode, "-1", 3)
        assert not first[-1]["closed"]
        assert http.get(f"/v1/casts/{cast['id']}").json()["state"] == "live", "it was read while it is made"
        rest = follow(packages, url, mode, first[-1]["offset"], 0)
        assert rest[-1]["closed"]
        whole = http.get(f"/v1/casts/{cast['id']}/records").json()
        again = follow(packages, url, mode, "-1", 0)
    assert whole["closed"]
    assert seen(first) + seen(rest) == whole["records"]
    assert seen(again) == whole["records"], "who comes later reads the same"
    assert len(seen(first)) < len(whole["records"]) > 10
    logger.info("%s: %d + %d batches, %d records", mode, len(first), len(rest), len(whole["records"]))
