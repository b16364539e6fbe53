"""Completions from a scripted upstream over real HTTP into a SQLite log: what each failure leaves there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_desk import KEY, desk
from prometheus_client import REGISTRY

from contracts.errors import EngineStopped
from contracts.records import CompletionEnd, DeltaHeaders, Record, StartHeaders
from load_tests.upstream import serving
from workers.llm_proxy import routing


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "BACKOFF_S", (0.0, 0.0))


def stats(url: str, *, anew: bool = False) -> Mapping[str, Any]:
    found: Mapping[str, Any] = httpx.request("POST" if anew else "GET", f"{url}/stats", trust_env=False).json()
    return found


def chunks(records: Sequence[Record]) -> list[Any]:
    return [json.loads(line) for r in records if r.type == "delta" for line in r.body.splitlines()]


async def test_a_completion_is_streamed_into_its_log(tmp_path: Path, url: str) -> None:
    async with desk(tmp_path, url, "tokens=7") as d:
        output, unit = await d.ask(attempt=3)
        start, *deltas = await d.records(unit)
        committed = await d.store.log_writer.commit(unit, output)
    assert StartHeaders(**start.headers) == StartHeaders(i=0, a=3, w="w1", upstream="u0", model="tokens=7")
    assert [r.type for r in deltas] == ["delta"] * len(deltas)
    assert "".join(DeltaHeaders(**r.headers).t for r in deltas) == "0 1 2 3 4 5 6 "
    found = chunks(deltas)
    assert [c["choices"][0]["delta"].get("content") for c in found if c["choices"]] == [
        "",
        *(f"{n} " for n in range(7)),
        None,
    ]
    end = CompletionEnd(**output.headers, a=3, w="w1")
    assert (output.type, end.finish_reason, end.upstream, end.model) == ("eos", "stop", "u0", "tokens=7")
    assert end.usage == {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10} == found[-1]["usage"]
    assert 0 <= end.ttft_ms <= end.g == output.gen_ms
    assert output.writer
    assert committed.finished


async def test_the_request_goes_through_as_it_came(tmp_path: Path, url: str) -> None:
    body: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Grüße \U0001f600"}, {"type": "image_url"}]}
        ],
        "tools": [{"type": "function", "function": {"name": "look"}}], "response_format": {"type": "json_object"},
        "logprobs": True, "seed": 2**60, "of_tomorrow": {"x": [1.5, None]}, "stream_options": {"other": 1},
        "keep_alive": -1,
    }  # fmt: skip
    async with desk(tmp_path, url, "echo", extra={"keep_alive": "5m"}) as d:
        _, unit = await d.ask(**body)
        text = "".join(r.headers["t"] for r in await d.records(unit) if r.type == "delta")
    got = json.loads(text)
    added = {"model": "echo", "stream": True, "keep_alive": "5m", "stream_options": {"other": 1, "include_usage": True}}
    assert got == {**body, **added}


async def test_tool_calls_pass_through(tmp_path: Path, url: str) -> None:
    async with desk(tmp_path, url, "tools") as d:
        output, unit = await d.ask()
        found = chunks(await d.records(unit))
    calls = [c for chunk in found if chunk["choices"] for c in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"place": "the sea"}'
    assert output.headers["finish_reason"] == "tool_calls"


async def test_an_empty_completion_has_a_start(tmp_path: Path, url: str) -> None:
    async with desk(tmp_path, url, "tokens=0") as d:
        output, unit = await d.ask()
        assert await d.types(unit) == ["start", "delta"]
    assert (output.type, output.headers["finish_reason"]) == ("eos", "stop")


@pytest.mark.parametrize(
    "first", ["refuse=401", "refuse=404", "refuse=408", "refuse=409", "refuse=429", "refuse=500", "refuse=503",
              "hang", "garbage=0", "error=0", "die=0", "away"],
)  # fmt: skip
async def test_who_fails_before_the_first_token_leaves_no_trace(tmp_path: Path, url: str, first: str) -> None:
    async with desk(tmp_path, url, first, "tokens=3", first_token_s=0.5 if first == "hang" else 30) as d:
        output, unit = await d.ask()
        types = await d.types(unit)
        cooling = {name for name, health in d.pool.health.items() if health.cooldown_s > 0}
    assert types == ["start", *["delta"] * (len(types) - 1)]
    assert (output.type, output.headers["upstream"]) == ("eos", "u1")
    assert cooling == (set() if first == "refuse=404" else {"u0"})


@pytest.mark.parametrize("first", ["die=2", "garbage=2", "error=2", "idle=2"])
async def test_who_fails_mid_stream_is_followed_by_another_start(tmp_path: Path, url: str, first: str) -> None:
    async with desk(tmp_path, url, first, "tokens=3", idle_s=0.5 if first == "idle=2" else 30) as d:
        output, unit = await d.ask()
        records = await d.records(unit)
        assert (await d.store.log_writer.commit(unit, output)).finished
    starts = [n for n, r in enumerate(records) if r.type == "start"]
    assert [records[n].headers["upstream"] for n in starts] == ["u0", "u1"]
    texts = ["".join(r.headers.get("t", "") for r in part) for part in (records[: starts[1]], records[starts[1] :])]
    assert texts == ["0 1 ", "0 1 2 "]


async def test_the_only_upstream_is_asked_again(tmp_path: Path, url: str) -> None:
    for model in ("refuse=503,times=2", "die=1,times=2"):
        async with desk(tmp_path, url, model) as d:
            output, unit = await d.ask()
            assert output.type == "eos"
            assert (await d.types(unit)).count("start") == (1 if "refuse" in model else 3)


async def test_when_all_have_failed_the_error_says_what_each_of_them_said_and_no_secret(
    tmp_path: Path, url: str
) -> None:
    stats(url, anew=True)
    models = ("refuse=500", "refuse=401", "away", "die=1")
    async with desk(tmp_path, url, *models, retries=1) as d:
        output, unit = await d.ask()
        types = await d.types(unit)
        assert (await d.store.log_writer.commit(unit, output)).finished
    assert output.type == "error"
    assert (output.headers["status"], output.headers["type"]) == (502, "urn:castline:problem:upstream-failed")
    assert KEY not in json.dumps(dict(output.headers))
    detail = output.headers["detail"]
    assert (
        "u0: status 500: refused: Bearer ***; u1: status 401; u2: no connection (ConnectError); u3: the stream"
        in detail
    )
    assert types == ["start", "delta"] * (len(types) // 2)
    assert stats(url)["models"] == {"refuse=500": 2, "refuse=401": 1, "die=1": 2}, "401 stands"


async def test_what_the_client_has_done_wrong_is_not_tried_elsewhere(tmp_path: Path, url: str) -> None:
    for status in (400, 413, 422):
        async with desk(tmp_path, url, f"refuse={status}", "tokens=3") as d:
            output, unit = await d.ask()
            assert await d.types(unit) == []
        assert (output.type, output.headers["status"], output.writer) == ("error", status, "")
        assert output.headers["upstream_error"] == {"message": "refused: Bearer ***", "type": "scripted"}
        assert d.pool.health["u0"].cooldown_s == 0


async def test_what_no_upstream_can_be_asked(tmp_path: Path, url: str) -> None:
    async with desk(tmp_path, url, "tokens=1") as d:
        unknown, _ = await d.ask(alias="other")
        broken, _ = await d.ask(text="{not JSON")
        listed, _ = await d.ask(text="[1]")
    assert (unknown.type, unknown.headers["status"]) == ("error", 404)
    assert unknown.headers["type"] == "urn:castline:problem:unknown-model"
    assert [(o.type, o.headers["status"]) for o in (broken, listed)] == [("error", 400)] * 2


async def test_no_depth_of_a_request_ends_the_worker(tmp_path: Path, url: str) -> None:
    async with desk(tmp_path, url, "tokens=1", retries=0) as d:
        for depth in (100, 880, 900, 920, 940, 960, 980, 1000, 100_000):
            nested = '{"messages": [{"role": "user", "content": "x"}], "x": ' + "[" * depth + "]" * depth + "}"
            output, _ = await d.ask(text=nested)
            assert output.type == ("eos" if depth == 100 else "error" if depth >= 1000 else output.type)


async def test_what_is_measured(tmp_path: Path, url: str) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"castline_llm_{name}", labels) or 0.0

    measured = {
        ("ttft_seconds_count", "u1"): 1, ("tokens_total", "u1"): 7, ("tokens_per_second_count", "u1"): 1,
        ("in_flight", "u1"): 0, ("tokens_total", "u0"): 0,
    }  # fmt: skip
    before = {(name, upstream): value(name, upstream=upstream) for name, upstream in measured}
    refused = value("failures_total", upstream="u0", kind="status")
    async with desk(tmp_path, url, "refuse=503", "tokens=7,rate=100", cooldown_s=60) as d:
        await d.ask()
        assert 0 < value("cooldown_seconds", upstream="u0") <= 60
        assert value("cooldown_seconds", upstream="u1") == 0
    for (name, upstream), more in measured.items():
        assert value(name, upstream=upstream) == before[name, upstream] + more, name
    assert value("failures_total", upstream="u0", kind="status") == refused + 1


async def test_a_stop_closes_the_upstreams_connection(tmp_path: Path, url: str) -> None:
    for model in ("tokens=100000,rate=50", "hang"):
        stats(url, anew=True)
        async with desk(tmp_path, url, model) as d:
            stop = asyncio.Event()
            unit = await d.opened()
            rendering = asyncio.create_task(d.render(unit, stop=stop))
            async with asyncio.timeout(30):
                while (await asyncio.to_thread(stats, url))["open"] == 0 or (
                    await d.types(unit) == [] and model != "hang"
                ):
                    await asyncio.sleep(0.01)
                stop.set()
                with pytest.raises(EngineStopped):
                    await rendering
            async with asyncio.timeout(1):
                while (await asyncio.to_thread(stats, url))["aborted"] == 0:
                    await asyncio.sleep(0.01)


async def test_who_writes_no_more_lets_go_of_the_upstream(tmp_path: Path, url: str) -> None:
    stats(url, anew=True)
    async with desk(tmp_path, url, "tokens=100000,rate=200") as d:
        unit = await d.opened()
        rendering = asyncio.create_task(d.render(unit))
        async with asyncio.timeout(30):
            while await d.types(unit) == []:
                await asyncio.sleep(0.01)
            await d.store.log_writer.cancel(unit.job)
            with pytest.raises(EngineStopped, match="GONE"):
                await rendering
            while (await asyncio.to_thread(stats, url))["aborted"] == 0:
                await asyncio.sleep(0.01)


async def test_no_more_than_its_places_are_asked_of_an_upstream(tmp_path: Path, url: str) -> None:
    stats(url, anew=True)
    async with desk(tmp_path, url, "tokens=5,rate=50", parallel=2) as d:
        units = [await d.opened() for _ in range(6)]
        rendering = asyncio.gather(*(d.render(unit) for unit in units))
        most = 0
        while not rendering.done():
            most = max(most, (await asyncio.to_thread(stats, url))["open"])
        assert {output.type for output in await rendering} == {"eos"}
    assert 1 <= most <= 2
    assert stats(url)["done"] == 6
