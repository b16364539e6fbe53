"""A story is heard while it is written: SmolLM2 writes it, Kokoro speaks it, through RabbitMQ and Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from llm_server import ALIAS, smollm2
from pulling import pull

from contracts.adapters import Address
from contracts.text import normalise
from load_tests.system import System, system
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore

LANGUAGE_MODEL = "smollm2-135m"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def running(redis_url: str, amqp_url: str, namespace: str, tmp_path: Path) -> Iterator[System]:
    pull(LANGUAGE_MODEL, "kokoro-onnx")
    [weights] = ModelStore(ModelSettings().model_dir).path(LANGUAGE_MODEL).glob("*.gguf")
    address = Address(redis_url, amqp_url, namespace)
    with smollm2(weights, tmp_path / "llm.log") as upstream, system(address, tmp_path) as running:
        running.front()
        running.worker("kokoro-onnx")
        running.proxy(CASTLINE_LLM_URL=upstream)
        running.wait_for_workers(2)
        yield running


def records(client: httpx.Client, path: str) -> Iterator[dict[str, Any]]:
    with client.stream("GET", f"{path}/records", params={"live": "sse"}) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_a_story_is_heard_while_it_is_written(running: System) -> None:
    with (
        openai.OpenAI(base_url=f"{running.url()}/v1", api_key="none", max_retries=0) as writer,
        httpx.Client(base_url=running.url(), timeout=120, trust_env=False) as listener,
    ):
        prompt = "Write a long story about an old lighthouse keeper."
        raw = writer.chat.completions.with_raw_response.create(
            model=ALIAS, messages=[{"role": "user", "content": prompt}], stream=True, max_tokens=1_500,
            extra_body={"ignore_eos": True},
        )  # fmt: skip
        completion = raw.headers["X-Castline-Completion"]
        made = listener.post("/v1/casts", json={"source": {"completion": completion}, "voice": "af_heart"})
        assert made.status_code == 201, made.text
        cast = made.json()["id"]
        spoken = (record for record in records(listener, f"/v1/casts/{cast}") if record["e"] == "audio")
        first = next(spoken)
        assert first["n"] > 0
        state = listener.get(f"/v1/completions/{completion}").json()
        assert state["state"] == "live", "it was heard before it was written to its end"
        assert listener.delete(f"/v1/completions/{completion}").json()["state"] == "cancelled"
        heard = [first["t"], *(record["t"] for record in spoken)]
        text = listener.get(f"/v1/completions/{completion}").json()["text"]
    assert " ".join(heard).split() == normalise(text).split(), "what was written is spoken, each sentence once"
