"""Systems that write completions."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import openai
import pytest
from chatting import Chat
from llm_script import ScriptedWorker, playing

from contracts.adapters import Address
from load_tests.system import system


@pytest.fixture(scope="module", params=["embedded", "real"])
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    directory, second = tmp_path_factory.mktemp("chat"), tmp_path_factory.mktemp("eager")
    if request.param == "embedded":
        address = Address(f"sqlite://{directory}/castline.db", "")
    else:
        servers = (request.getfixturevalue("redis_url"), request.getfixturevalue("amqp_url"))
        address = Address(*servers, f"chat-{uuid4().hex[:8]}:")
    settings = {"CASTLINE_CANARY_S": "0", "CASTLINE_MAX_BODY_BYTES": str(1 << 20)}
    worker = ScriptedWorker(address, ("small", "large", "org/broken"))
    with (
        system(address, directory, **settings, CASTLINE_FIRST_BYTE_S="60") as patient,
        system(address, second, **settings, CASTLINE_FIRST_BYTE_S="0.05") as eager,
        playing(worker),
    ):
        patient.front()
        eager.front()
        yield Chat(patient, eager, worker)


@pytest.fixture
def client(chat: Chat) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(chat: Chat) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=chat.url, timeout=30, trust_env=False) as http:
        yield http
