"""A little OpenAI-compatible server that does as it is told: `python -m load_tests.upstream --port 8100`.

What it does with a request is said by words in the model's name, in its first message if that is the system's, and in
the last message, `name` or `name=number`, anything between them:

    tokens=20    write so many tokens         rate=100     so many per second (0: as fast as it goes)
    refuse=503   answer with this status      after=2      with this Retry-After
    hang         no token, for ever           die=5        break the connection after so many tokens
    garbage=3    no JSON after so many        idle=5       nothing more after so many, for ever
    error=3      an error after so many       cut=5        end the response after so many, as if that were all
    bare         leave out [DONE]             plain        one JSON object in place of a stream
    tools        call a tool                  echo         write the request it got, as one token
    times=2      only the first so many requests to this model go wrong
    sentence=8   end a sentence after every so many tokens

GET /stats: requests, open, done, aborted (by the other side), aborted_at (time.monotonic() of the last one), peers
(connections), unloaded (models), models (requests to each); POST /stats begins again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from load_tests.services import free_port, wait_until

NAMES = "tokens rate refuse after hang die garbage idle error cut bare plain tools echo times sentence".split()
_WORD = re.compile(rf"\b({'|'.join(NAMES)})(?:=(\d+))?\b")
DEFAULT_TOKENS = 10
DONE = b"data: [DONE]\n\n"


class Died(Exception):
    """Breaks the connection."""


def script(*texts: object) -> dict[str, int]:
    """What is asked for; a name without a number is 1. Later texts count more; what is no text is left out."""
    told = " ".join(text for text in texts if isinstance(text, str))
    return {name: int(number or 1) for name, number in _WORD.findall(told)}


@dataclass
class Stats:
    """What the server has seen."""

    requests: int = 0
    open: int = 0
    done: int = 0
    aborted: int = 0
    aborted_at: float = 0.0
    models: Counter[str] = field(default_factory=Counter)
    unloaded: list[str] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    """Addresses requests came from: one per connection."""


class Upstream:
    """The server's verbs."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/api/generate", self._unload, methods=["POST"]),
                Route("/stats", self._stats, methods=["GET", "POST"]),
            ]
        )

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "small", "object": "model"}]})

    async def _stats(self, request: Request) -> Response:
        if request.method == "POST":
            self.stats = Stats()
        return JSONResponse({**vars(self.stats), "peers": len(self.stats.peers)})

    async def _unload(self, request: Request) -> Response:
        body = await request.json()
        assert body["keep_alive"] == 0
        self.stats.unloaded.append(body["model"])
        return JSONResponse({})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        model, messages = str(body["model"]), body["messages"]
        instructions = messages[0]["content"] if messages[0]["role"] == "system" else ""
        told = script(model, instructions, messages[-1]["content"])
        stats = self.stats
        stats.requests += 1
        stats.models[model] += 1
        stats.peers.add(str(request.client))
        if "times" in told and stats.models[model] > told["times"]:
            told = {name: told[name] for name in ("tokens", "rate", "echo", "tools") if name in told}
        if "refuse" in told:
            headers = {"Retry-After": str(told["after"])} if "after" in told else {}
            error = {"message": f"refused: {request.headers.get('authorization', 'no key')}", "type": "scripted"}
            return JSONResponse({"error": error}, told["refuse"], headers)
        if "plain" in told:
            return JSONResponse({"choices": [{"message": {"content": "whole"}}]})
        return StreamingResponse(self._watched(stream(told, body), stats), media_type="text/event-stream")

    async def _watched(self, events: AsyncIterator[bytes], stats: Stats) -> AsyncIterator[bytes]:
        """Starlette cancels it when the other side has gone."""
        stats.open += 1
        try:
            async for event in events:
                yield event
            stats.done += 1
        except (asyncio.CancelledError, GeneratorExit):
            stats.aborted += 1
            stats.aborted_at = time.monotonic()
            raise
        finally:
            stats.open -= 1


async def stream(told: Mapping[str, int], body: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """Events of one completion."""
    yield event(body, {"role": "assistant", "content": ""})
    if "hang" in told:
        await asyncio.Event().wait()
    tokens = list(deltas(told, body))
    for n, delta in enumerate(tokens):
        if told.get("cut") == n:
            return
        for name in ("die", "garbage", "idle", "error"):
            if told.get(name) == n:
                yield await misbehave(name)
        yield event(body, delta)
        if told.get("rate"):
            await asyncio.sleep(1 / told["rate"])
    yield event(body, {}, "tool_calls" if "tools" in told else "stop")
    if body.get("stream_options", {}).get("include_usage"):
        usage = {"prompt_tokens": 3, "completion_tokens": len(tokens), "total_tokens": len(tokens) + 3}
        yield event(body, None, usage=usage)
    if "bare" not in told:
        yield DONE


async def misbehave(name: str) -> bytes:
    """What goes wrong mid-stream."""
    match name:
        case "die":
            raise Died
        case "garbage":
            return b"data: {not JSON\n\n"
        case "error":
            return b'data: {"error": {"code": 502, "message": "scripted"}}\n\n'
    await asyncio.Event().wait()
    raise AssertionError("idle for ever")


def deltas(told: Mapping[str, int], body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What is written."""
    if "echo" in told:
        yield {"content": json.dumps(body)}
    elif "tools" in told:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
        yield {"tool_calls": [call]}
        for part in ('{"place": ', '"the sea"}'):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
    else:
        for n in range(told.get("tokens", DEFAULT_TOKENS)):
            place, size = n % told.get("sentence", sys.maxsize), told.get("sentence", 0)
            before, behind = ("Then " if size and place == 0 else ""), (" stars." if place == size - 1 else "")
            yield {"content": f"{before}{n}{behind} "}


def event(body: Mapping[str, Any], delta: Mapping[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    """One chunk; delta None: it has no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": body["model"], "choices": choices}
    return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"


def server(port: int) -> uvicorn.Server:
    """Not running yet. Silent: broken connections are its business."""
    return uvicorn.Server(uvicorn.Config(Upstream().app, port=port, log_level="critical", ws="none", lifespan="off"))


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """URL (without /v1) of one in a thread of this process, for as long as the block runs."""
    port = port or free_port()
    running = server(port)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_until(lambda: running.started, 30, "the upstream")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.force_exit = running.should_exit = True
        thread.join()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server that does as it is told.")
    parser.add_argument("--port", type=int, default=8100)
    server(parser.parse_args().port).run()


if __name__ == "__main__":
    main()
