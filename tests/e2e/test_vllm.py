"""A real vLLM as upstream. Not part of a usual run, for it is large:

python -m vllm.entrypoints.openai.api_server --model MODEL --port 18083
CASTLINE_TEST_VLLM=http://127.0.0.1:18083/v1 python -m pytest -m vllm tests/e2e/test_vllm.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from contracts.adapters import Address
from load_tests.services import wait_until
from load_tests.system import System, system

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
PROMPT: Any = [{"role": "user", "content": "Write two sentences about the sea."}]


@pytest.fixture
def upstream() -> str:
    return os.environ["CASTLINE_TEST_VLLM"]


@pytest.fixture
def running(upstream: str, redis_url: str, amqp_url: str, namespace: str, tmp_path: Path) -> Iterator[System]:
    with system(Address(redis_url, amqp_url, namespace), tmp_path) as running:
        running.front()
        running.proxy(CASTLINE_LLM_URL=upstream)
        running.wait_for_workers(1)
        yield running


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0)


def test_it_writes_the_same_through_the_queue(running: System, upstream: str) -> None:
    with client(upstream) as direct, client(f"{running.url()}/v1") as through:
        [model] = [m.id for m in through.models.list()]
        settings: Any = {"model": model, "messages": PROMPT, "temperature": 0, "max_tokens": 48, "seed": 1}
        known = direct.chat.completions.create(**settings)
        whole = through.chat.completions.create(**settings)
        stream = through.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
    assert whole.choices[0].message.content == known.choices[0].message.content
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert known.usage is not None
    tokens = known.usage.completion_tokens
    assert whole.usage.completion_tokens == chunks[-1].usage.completion_tokens == tokens > 5


def test_json_mode_and_refusals_pass_through(running: System) -> None:
    schema = {
        "type": "object", "properties": {"colour": {"enum": ["blue", "green"]}},
        "required": ["colour"], "additionalProperties": False,
    }  # fmt: skip
    with client(f"{running.url()}/v1") as through:
        [model] = [m.id for m in through.models.list()]
        said = through.chat.completions.create(
            model=model, messages=PROMPT, max_tokens=40,
            response_format={"type": "json_schema", "json_schema": {"name": "sea", "schema": schema, "strict": True}},
        )  # fmt: skip
        assert re.fullmatch(r'\s*\{\s*"colour"\s*:\s*"(blue|green)"\s*\}\s*', said.choices[0].message.content or "")
        with pytest.raises(openai.BadRequestError):
            through.chat.completions.create(model=model, messages=PROMPT, max_tokens=1_000_000)


def test_a_cancelled_completion_is_aborted_in_the_engine(running: System, upstream: str) -> None:
    def at_work() -> float:
        text = httpx.get(f"{upstream.removesuffix('/v1')}/metrics", trust_env=False).text
        return sum(float(n) for n in re.findall(r"^vllm:num_requests_running\{[^}]*\} (\S+)$", text, re.MULTILINE))

    with client(f"{running.url()}/v1") as through:
        [model] = [m.id for m in through.models.list()]
        raw = through.chat.completions.with_raw_response.create(
            model=model, messages=PROMPT, max_tokens=900, stream=True, extra_body={"ignore_eos": True}
        )
        wait_until(lambda: at_work() == 1, 60, "the request")
        job = raw.headers["X-Castline-Completion"]
        httpx.delete(f"{running.url()}/v1/completions/{job}", trust_env=False).raise_for_status()
        wait_until(lambda: at_work() == 0, 10, "the abort")
        state = httpx.get(f"{running.url()}/v1/completions/{job}", trust_env=False).json()
    assert (state["state"], state["finish_reason"]) == ("cancelled", None)
