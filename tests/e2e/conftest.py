"""Systems that write completions."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import openai
import pytest
from chatting import Chat
from llm_script import ScriptedWorker, playing
from stt_script import ScriptedHearer, hearing
from talking import Talk

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


@pytest.fixture(scope="module", params=["embedded", "real"])
def talk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Scripted ears and a scripted model, a test tone for a voice, and a real hearing worker for `echo`."""
    directory = tmp_path_factory.mktemp("talk")
    if request.param == "embedded":
        address = Address(f"sqlite://{directory}/castline.db", "")
    else:
        servers = (request.getfixturevalue("redis_url"), request.getfixturevalue("amqp_url"))
        address = Address(*servers, f"talk-{uuid4().hex[:8]}:")
    model, ears = ScriptedWorker(address, ("small",)), ScriptedHearer(address)
    with system(address, directory, CASTLINE_SEND_TIMEOUT_S="2") as running, playing(model), hearing(ears):
        running.front()
        running.hearer(CASTLINE_STT_SLOTS="2", CASTLINE_STT_ECHO_XRT="50")
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(4)
        yield Talk(running, model, ears)
