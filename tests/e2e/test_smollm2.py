"""A real model writes: SmolLM2-135M on llama.cpp's server, through the worker, into a log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from completions import counter, shape, write_config, written
from llm_server import ALIAS, smollm2

from contracts.adapters import Address
from load_tests.system import System, system

MODEL = "smollm2-135m"
PROMPT = "Write one sentence about the sea."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("smollm2")
    pull = [sys.executable, "-m", "workers.models", "pull", MODEL, "--dir", str(directory)]
    pulled = subprocess.run(pull, capture_output=True, text=True, check=False)
    assert pulled.returncode == 0, pulled.stderr
    [model] = (directory / MODEL).glob("*.gguf")
    with smollm2(model, directory / "server.log") as url:
        yield url


@pytest.fixture
def embedded_system(tmp_path: Path) -> Iterator[System]:
    with system(Address(f"sqlite://{tmp_path}/castline.db", ""), tmp_path) as running:
        yield running


async def test_what_a_real_model_writes_is_in_the_log(server: str, embedded_system: System, tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "llm.yaml", {"llama": {"url": server, "parallel": 2}}, {"local": [("llama", ALIAS)]}
    )
    embedded_system.proxy(config)
    more = {"temperature": 0, "max_tokens": 24, "cache_prompt": False}
    async with counter(embedded_system.address) as desk, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        records = await desk.records(await desk.ask("local", PROMPT, **more))
        body = {"model": ALIAS, "messages": [{"role": "user", "content": PROMPT}], **more}
        whole = (await client.post(f"{server}/chat/completions", json=body)).json()
    assert shape(records) == "meta start delta eos"
    assert written(records) == whole["choices"][0]["message"]["content"] != ""
    end = records[-1].headers
    assert end["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert end["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert 0 < end["ttft_ms"] <= end["g"]


async def test_without_a_file_the_servers_models_are_the_aliases(server: str, embedded_system: System) -> None:
    embedded_system.proxy(CASTLINE_LLM_URL=server)
    async with counter(embedded_system.address) as desk:
        records = await desk.records(await desk.ask(ALIAS, "Say hello.", max_tokens=8))
        refused = await desk.records(await desk.ask(ALIAS, "x", max_tokens=8, messages="not a list"))
    assert shape(records) == "meta start delta eos"
    assert written(records).strip()
    assert shape(refused) == "meta error"
    assert refused[-1].headers["status"] == 400
    assert refused[-1].headers["upstream_error"]["message"]
