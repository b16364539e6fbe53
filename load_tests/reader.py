"""A reader as a browser is one: follows by SSE, resumes by Last-Event-ID whatever breaks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

TERMINAL = ("eos", "error", "cancelled")
RETRY_S = 0.1


@dataclass(frozen=True)
class Event:
    """One record as it came: raw is the data line, at the time of arrival (time.perf_counter seconds)."""

    raw: str
    at: float
    record: dict[str, Any]

    @property
    def content(self) -> str:
        """Hash of the body."""
        return hashlib.sha256(base64.b64decode(self.record.get("body", ""))).hexdigest()


async def events(
    client: httpx.AsyncClient, url: str, job: str, last: int | None = None, *, kind: str = "casts"
) -> AsyncIterator[Event]:
    """Events of one connection, to its end. Raises httpx.HTTPError when it breaks before the terminal record."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.stream("GET", f"{url}/v1/{kind}/{job}/records?live=sse", headers=headers) as response:
        response.raise_for_status()
        ended = False
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                raw = line.removeprefix("data: ")
                event = Event(raw, time.perf_counter(), json.loads(raw))
                ended = event.record["e"] in TERMINAL
                yield event
    if not ended:
        raise httpx.RemoteProtocolError("the stream ended without a terminal record")


async def follow(urls: list[str], job: str, *, on_event: asyncio.Queue[Event] | None = None) -> list[Event]:
    """All events until the terminal one, over as many connections as it takes, trying the fronts in turn."""
    seen: list[Event] = []
    attempt = 0
    async with httpx.AsyncClient(timeout=httpx.Timeout(5.0, read=30.0), trust_env=False) as client:
        while not seen or seen[-1].record["e"] not in TERMINAL:
            last = seen[-1].record["seq"] if seen else None
            try:
                async for event in events(client, urls[attempt % len(urls)], job, last):
                    seen.append(event)
                    if on_event is not None:
                        on_event.put_nowait(event)
            except httpx.HTTPError:
                attempt += 1
                await asyncio.sleep(RETRY_S)
    return seen
