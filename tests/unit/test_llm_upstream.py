"""One upstream over real HTTP: how a stream may end, what is asked again on one connection, what it is told at exit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from load_tests.upstream import serving
from workers.llm_proxy.config import UpstreamConfig
from workers.llm_proxy.failures import UpstreamFailed
from workers.llm_proxy.upstream import Answer, Upstream, retry_after_s

REQUEST = {"model": "alias", "messages": [{"role": "user", "content": "Hello."}]}


@pytest.fixture
def url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
async def upstream(url: str) -> AsyncIterator[Upstream]:
    opened = Upstream("u", UpstreamConfig(url=f"{url}/v1"), "")
    yield opened
    await opened.close()


async def text(upstream: Upstream, model: str, answer: Answer | None = None, **more: Any) -> str:
    request = {**REQUEST, **more}
    return "".join([chunk.text async for chunk in upstream.complete(model, request, answer or Answer())])


async def failure(upstream: Upstream, model: str, **more: Any) -> UpstreamFailed:
    with pytest.raises(UpstreamFailed) as error:
        await text(upstream, model, **more)
    return error.value


async def stats(url: str) -> Mapping[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        found: Mapping[str, Any] = (await client.get(f"{url}/stats")).json()
        return found


async def test_an_end_without_done_is_one_if_every_choice_has_ended(upstream: Upstream) -> None:
    answer = Answer()
    assert await text(upstream, "tokens=2,bare", answer) == "0 1 "
    assert (answer.done, answer.complete, answer.finish_reason) == (False, True, "stop")
    for cut in ("cut=0", "cut=2"):
        cut_off = await failure(upstream, cut)
        assert (cut_off.kind, cut_off.said) == ("died", "the stream ended before the completion did")


async def test_what_is_no_stream_is_garbage(upstream: Upstream) -> None:
    plain = await failure(upstream, "plain")
    assert (plain.kind, plain.said) == ("garbage", "status 200 with application/json, no event stream")


async def test_requests_after_each_other_share_a_connection(upstream: Upstream, url: str) -> None:
    for _ in range(5):
        await text(upstream, "tokens=3")
    await failure(upstream, "refuse=503")
    assert (await stats(url))["peers"] == 1


async def test_a_server_that_accepts_and_is_silent_hangs() -> None:
    gone = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side closes
        writer.close()
        gone.set()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        upstream = Upstream("u", UpstreamConfig(url=f"http://127.0.0.1:{port}/v1", first_token_s=0.2), "")
        silent = await failure(upstream, "m")
        assert (silent.kind, silent.said) == ("hung", "no answer within 0.2 s")
        await gone.wait()
        await upstream.close()


async def test_a_refusal_says_when_to_come_again(upstream: Upstream) -> None:
    busy = await failure(upstream, "refuse=429,after=7")
    assert (busy.kind, busy.retry_after_s, busy.standing, busy.cools) == ("status", 7.0, False, True)
    unknown = await failure(upstream, "refuse=404")
    assert (unknown.standing, unknown.cools) == (True, False)


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < retry_after_s(soon) <= 60
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert [retry_after_s(value) for value in ("12", "", "soon", past, "-3")] == [12, 0, 0, 0, 0]


async def test_values_of_our_headers_are_not_told(url: str) -> None:
    upstream = Upstream("u", UpstreamConfig(url=f"{url}/v1", headers={"Authorization": "Basic secret"}), "")
    quoted = await failure(upstream, "refuse=500")
    await upstream.close()
    assert quoted.said == "status 500: refused: ***"


async def test_models_are_unloaded_at_exit_where_configured(url: str) -> None:
    for unload in (False, True):
        upstream = Upstream("u", UpstreamConfig(url=f"{url}/v1", unload=unload), "")
        await text(upstream, "tokens=1")
        await upstream.close()
        assert (await stats(url))["unloaded"] == (["tokens=1"] if unload else [])


async def test_an_upstream_that_is_gone_does_not_hinder_the_exit(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as url:
        upstream = Upstream("u", UpstreamConfig(url=f"{url}/v1", unload=True), "")
        await text(upstream, "tokens=1")
    await upstream.close()
    assert "models not unloaded" in caplog.text


async def test_its_models(upstream: Upstream, url: str) -> None:
    assert await upstream.models() == ["small"]
    other = Upstream("o", UpstreamConfig(url=url), "")
    with pytest.raises(UpstreamFailed, match="status 404"):
        await other.models()
    await other.close()
