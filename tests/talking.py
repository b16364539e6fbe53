"""What tests of voice chats share: a system with scripted ears and a scripted model, and somebody who talks to it."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import openai
from llm_script import Attempt, ScriptedWorker
from numpy.typing import NDArray
from openai.resources.realtime.realtime import RealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from sounds import voice
from stt_script import ScriptedHearer

from load_tests.services import wait_until
from load_tests.system import System

RATE = 24_000
PIECE_MS = 100
OURS = ("castline.timing",)
"""Events that OpenAI does not have."""
EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
RATES = re.compile(r'"rate": \d+')
"""Those beside 24,000 Hz are ours, too."""
VAD = {"type": "server_vad", "silence_duration_ms": 500}


@dataclass
class Talk:
    """What a test has."""

    system: System
    model: ScriptedWorker
    ears: ScriptedHearer

    def script(self, *attempts: Attempt) -> str:
        """The prompt that makes the model say this."""
        prompt = f"Please {uuid4().hex}"
        self.model.scripts[prompt] = attempts
        return prompt

    def asked(self, prompt: str) -> dict[str, Any]:
        """The request that ends with this prompt, once it has come."""

        def found() -> list[dict[str, Any]]:
            return [request for request in self.model.asked if request["messages"][-1]["content"] == prompt]

        wait_until(lambda: bool(found()), 20, f"a request that ends with {prompt!r}")
        return found()[-1]

    def said(self, prompt: str) -> list[tuple[str, str]]:
        """(role, text) of what the model was told then."""
        return [(message["role"], message["content"]) for message in self.asked(prompt)["messages"]]


def sound(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """Speech, and a second of silence."""
    return np.concatenate([voice(seconds, rate), np.zeros(rate, np.float32)])


def pcm16(samples: NDArray[np.float32]) -> bytes:
    return np.round(samples * 32_767).astype("<i2").tobytes()


@dataclass
class Talker:
    """A client of the GA protocol; every event that comes is one of the official client's types."""

    connection: RealtimeConnection
    events: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, kind: str, **members: Any) -> None:
        self.connection.send({"type": kind, **members})  # type: ignore[arg-type]

    def configure(self, **session: Any) -> dict[str, Any]:
        """session.update; the session then."""
        self.tell("session.update", session={"type": "realtime", **session})
        shown: dict[str, Any] = self.next("session.updated")["session"]
        return shown

    def append(self, wave: bytes, *, piece: int = PIECE_MS * RATE * 2 // 1000) -> None:
        for at in range(0, len(wave), piece):
            self.tell("input_audio_buffer.append", audio=base64.b64encode(wave[at : at + piece]).decode())

    def say(self, seconds: float = 1.0) -> None:
        """Speech, and a second of silence behind it, faster than it would be spoken."""
        self.append(pcm16(sound(seconds)))

    def write(self, text: str, **more: Any) -> str:
        """A message of the user's; the id of its item."""
        part = {"type": "input_text", "text": text}
        self.tell("conversation.item.create", item={"type": "message", "role": "user", "content": [part]}, **more)
        item_id: str = self.next("conversation.item.done")["item"]["id"]
        return item_id

    def ask(self, text: str, **response: Any) -> None:
        """A message that is to be answered."""
        self.write(text)
        self.tell("response.create", response=response)

    def receive(self, timeout_s: float = 30) -> dict[str, Any]:
        try:
            event: dict[str, Any] = json.loads(self.connection._connection.recv(timeout_s))
        except TimeoutError as exc:
            last = [{**event, "delta": event.get("delta", "")[:80]} for event in self.events[-8:]]
            raise AssertionError(f"nothing more came; the last events: {last}") from exc
        if event["type"] not in OURS:
            EVENTS.validate_json(RATES.sub('"rate": 24000', json.dumps(event)))
        self.events.append(event)
        return event

    def next(self, kind: str, *, but: str = "error", timeout_s: float = 30) -> dict[str, Any]:
        """The next event of this kind; none of kind `but` may come before it."""
        while (event := self.receive(timeout_s))["type"] != kind:
            assert event["type"] != but, event
        return event

    def until(self, kind: str) -> list[dict[str, Any]]:
        """All events up to the next one of this kind."""
        at = len(self.events)
        self.next(kind)
        return self.events[at:]

    def done(self) -> dict[str, Any]:
        """The next response that has ended."""
        response: dict[str, Any] = self.next("response.done")["response"]
        return response


def text(response: dict[str, Any]) -> str:
    """What was said in it."""
    [message] = [item for item in response["output"] if item["type"] == "message"]
    part = message["content"][0]
    said: str = part.get("transcript") or part.get("text") or ""
    return said


def wave_of(events: list[dict[str, Any]]) -> bytes:
    """The sound in events of a response."""
    kinds = ("response.output_audio.delta", "response.audio.delta")
    return b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] in kinds)


def records_of(url: str, kind: str, job: str) -> list[dict[str, Any]]:
    """All of a log, up to its last record."""
    with httpx.stream("GET", f"{url}/v1/{kind}/{job}/records", params={"live": "sse"}, timeout=30) as answer:
        assert answer.status_code == 200
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


@contextlib.contextmanager
def talking(url: str, *, session: str = "", tone: bool = True, **query: Any) -> Iterator[Talker]:
    """Connected by the official client; tone: with the voice that needs no model."""
    query = {**query, **({"session": session} if session else {})}
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        client.realtime.connect(model="gpt-realtime", extra_query=query) as connection,
    ):
        talker = Talker(connection)
        talker.next("session.created")
        if tone:
            talker.configure(audio={"output": {"voice": "tone"}})
        yield talker
