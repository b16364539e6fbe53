"""Open casts over HTTP: what their tests have in common."""

from __future__ import annotations

import json
from typing import Any

import httpx

from contracts import text

STORY = (
    "The keeper lit the lamp. Nobody had come that way for years! “Would anyone come now? Ever?” he asked. "
    "Dr. Smith paid $3.14 for it...\n\nHe waited – 😀 – for 好的 and naïve café words. That was all."
)


def opened(client: httpx.Client, **fields: Any) -> str:
    answer = client.post("/v1/casts", json={"voice": "tone", "open": True, **fields})
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert view["open"]
    assert answer.headers["Location"] == f"/v1/casts/{view['id']}"
    return str(view["id"])


def units_of(story: str) -> list[str]:
    return [unit.strip() for unit in text.split_units(text.normalise(story), "en-US")]


def records(client: httpx.Client, job: str) -> list[dict[str, Any]]:
    """All records, once the cast has ended."""
    found: list[dict[str, Any]] = []
    with client.stream("GET", f"/v1/casts/{job}/records", params={"live": "sse"}) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def spoken(client: httpx.Client, job: str) -> list[str]:
    """Texts of a cast that has ended with eos."""
    meta, *audio, eos = records(client, job)
    assert (meta["e"], eos["e"], eos["units"]) == ("meta", "eos", len(audio))
    assert [(r["e"], r["i"]) for r in audio] == [("audio", n) for n in range(len(audio))]
    return [r["t"] for r in audio]


def heard(client: httpx.Client, job: str, count: int) -> list[str]:
    """Texts of the first `count` units, as soon as they are there."""
    found: list[str] = []
    while len(found) < count:
        query = {"offset": str(len(found) + 1), "live": "long-poll"}
        page = client.get(f"/v1/casts/{job}/records", params=query).json()
        assert not page["closed"], page
        found += [r["t"] for r in page["records"]]
    return found
