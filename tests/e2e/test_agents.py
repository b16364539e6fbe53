"""An agent framework as the client: openai-agents, unmodified, hands a conversation on through the whole system."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from completions import write_config
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from contracts.adapters import Address
from load_tests.services import free_port, wait_until
from load_tests.system import System, system
from load_tests.upstream import DONE, event

VERSE = "The sea is wide."


async def write(request: Request) -> StreamingResponse:
    """The clerk hands on whatever it is asked, the poet writes its verse."""
    body = await request.json()
    deltas: Sequence[dict[str, Any]] = [{"content": word} for word in (VERSE[:7], VERSE[7:])]
    if body["model"] == "clerk":
        [tool] = [t["function"]["name"] for t in body["tools"]]
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}}
        deltas = [{"tool_calls": [call]}, {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}]
    else:
        assert [m["role"] for m in body["messages"]][-1] == "tool", "the poet sees that it was handed to"

    async def chunks() -> AsyncIterator[bytes]:
        for delta in deltas:
            yield event(body, delta)
        yield event(body, {}, "tool_calls" if body["model"] == "clerk" else "stop")
        yield event(body, None, usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
        yield DONE

    return StreamingResponse(chunks(), media_type="text/event-stream")


@pytest.fixture
def office() -> Iterator[str]:
    """URL of an upstream with a clerk and a poet."""
    port = free_port()
    app = Starlette(routes=[Route("/v1/chat/completions", write, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, 30, "the office")
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()


@pytest.fixture
def running(office: str, redis_url: str, amqp_url: str, namespace: str, tmp_path: Path) -> Iterator[System]:
    names = {"clerk": [("office", "clerk")], "poet": [("office", "poet")]}
    config = write_config(tmp_path / "llm.yaml", {"office": {"url": office, "parallel": 2}}, names)
    with system(Address(redis_url, amqp_url, namespace), tmp_path) as running:
        running.front()
        running.proxy(config)
        running.wait_for_workers(1)
        yield running


async def test_one_agent_hands_over_to_another(running: System) -> None:
    set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as client:
        poet = Agent(name="Poet", instructions="Write.", model=OpenAIChatCompletionsModel("poet", client))
        clerk = Agent(
            name="Clerk", instructions="Pass on.", handoffs=[poet], model=OpenAIChatCompletionsModel("clerk", client)
        )
        whole = await Runner.run(clerk, "A verse, please.")
        assert (whole.last_agent.name, whole.final_output) == ("Poet", VERSE)
        streamed = Runner.run_streamed(clerk, "A verse, please.")
        kinds = {event.type async for event in streamed.stream_events()}
    assert (streamed.last_agent.name, streamed.final_output) == ("Poet", VERSE)
    assert "agent_updated_stream_event" in kinds
