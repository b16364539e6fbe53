"""Canaries: one at a time, kept for a while, given up in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import cast

import pytest

from contracts.errors import TooBusy
from contracts.records import Record
from producer_api.canary import TTL_MS, Canary
from producer_api.chat.request import CompletionRequest
from producer_api.completions import Completions

START = Record(1, "start", {"upstream": "up"})
ENDS = {
    "well": [START, Record(2, "delta"), Record(3, "eos", {"ttft_ms": 5})],
    "sick": [START, Record(2, "error", {"detail": "It hurts.", "status": 502, "type": "t"})],
    "dead": [START, Record(2, "skip", {"reason": "given up after 5 attempts"}), Record(3, "eos", {"units": 1})],
}


class Models:
    """Stands in for Completions: each model answers as its name says."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.asked: list[CompletionRequest] = []
        self.at_once = self.most_at_once = 0
        self.left: list[str] = []

    async def models(self) -> list[str]:
        return self.names

    async def post(self, request: CompletionRequest, *, address: str, ttl_ms: int) -> tuple[bool, str]:
        assert (address, ttl_ms) == ("canary", TTL_MS)
        if request.model == "busy":
            raise TooBusy(wait_s=9, retry_after_s=3)
        self.asked.append(request)
        return True, request.model

    async def follow(self, job: str, *, new: bool, ephemeral: bool) -> AsyncGenerator[Sequence[Record], None]:
        assert (new, ephemeral) == (True, True)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0)
            if job == "silent":
                await asyncio.Event().wait()
            for record in ENDS[job]:
                yield [record]
        finally:
            self.at_once -= 1
            self.left.append(job)


def canary(models: Models, *, fresh_s: float = 3600, timeout_s: float = 3600) -> Canary:
    return Canary(cast("Completions", models), fresh_s=fresh_s, timeout_s=timeout_s)


async def test_what_was_found_is_kept_and_asked_once_whoever_wants_to_know() -> None:
    models = Models("well", "sick", "dead", "busy")
    looks = canary(models)
    first, *others = await asyncio.gather(*(looks.look() for _ in range(5)))
    assert all(other == first for other in others)
    assert len(models.asked) == 3
    assert models.most_at_once == 1
    assert {name: (f.ok, f.ttft_ms, f.upstream) for name, f in first.items()} == {
        "well": (True, 5, "up"), "sick": (False, None, "up"), "dead": (False, None, "up"), "busy": (False, None, None),
    }  # fmt: skip
    assert first["sick"].error == "It hurts."
    assert "given up" in (first["dead"].error or "")
    assert "work wait" in (first["busy"].error or "")
    asked = json.loads(models.asked[0].text)
    assert (asked["max_tokens"], asked["temperature"], asked["model"]) == (1, 0, "well")


@pytest.mark.parametrize(("fresh_s", "names"), [(0, ["well"]), (3600, [])])
async def test_it_looks_again_when_that_is_old_or_nothing_was_known(fresh_s: float, names: list[str]) -> None:
    models = Models(*names)
    looks = canary(models, fresh_s=fresh_s)
    await looks.look()
    models.names = ["well", "sick"]
    assert set(await looks.look()) == {"well", "sick"}


async def test_a_model_that_does_not_answer_is_left_and_not_well() -> None:
    models = Models("silent")
    found = (await canary(models, timeout_s=0.01).look())["silent"]
    assert (found.ok, found.error, models.left) == (False, "No answer within 0.01 s.", ["silent"])
