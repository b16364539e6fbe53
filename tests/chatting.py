"""What tests of completions share: a system with a scripted worker, and what they ask and read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from llm_script import Attempt, ScriptedWorker
from openai.types.chat import ChatCompletionChunk

from load_tests.system import System

GOOD = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
STORY = "The keeper lit the lamp. Nobody had come that way for years."
REFUSED = {
    "type": "urn:castline:problem:upstream-refused", "title": "Upstream refused", "status": 400,
    "detail": "The upstream has refused the request: too long.",
    "upstream_error": {
        "message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages",
    },
}  # fmt: skip
LOST = {"type": "urn:castline:problem:upstream-failed", "title": "", "status": 502, "detail": "The upstream is lost."}


@dataclass
class Chat:
    """What a test has: a front (and a second one that answers a stream at once), a worker, clients."""

    system: System
    eager: System
    worker: ScriptedWorker

    @property
    def url(self) -> str:
        return self.system.url()

    def script(self, *attempts: Attempt) -> str:
        """The prompt that makes the upstream say this."""
        prompt = uuid4().hex
        self.worker.scripts[prompt] = attempts
        return prompt


def asked(prompt: str) -> list[Any]:
    return [{"role": "user", "content": prompt}]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def records(http: httpx.Client, job: str) -> list[dict[str, Any]]:
    """All records, once it has ended."""
    with http.stream("GET", f"/v1/completions/{job}/records", params={"live": "sse"}) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]
