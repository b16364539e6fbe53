"""Systems that write completions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import openai
import pytest
from chatting import Chat
from llm_script import ScriptedWorker, playing
from shells import Shell
from stt_script import ScriptedHearer, hearing
from talking import Talk

from contracts.adapters import Address
from load_tests.system import System, system


@pytest.fixture(scope="module", params=["embedded", "real"])
def kind_of_store(request: pytest.FixtureRequest) -> str:
    """A module's tests run on both."""
    return str(request.param)


@pytest.fixture(scope="module")
def directory(kind_of_store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a module's system."""
    return tmp_path_factory.mktemp(kind_of_store)


@pytest.fixture(scope="module")
def each_store(kind_of_store: str, directory: Path, request: pytest.FixtureRequest) -> Address:
    """Of a module's system."""
    if kind_of_store == "embedded":
        return Address(f"sqlite://{directory}/castline.db", "")
    servers = (request.getfixturevalue("redis_url"), request.getfixturevalue("amqp_url"))
    return Address(*servers, f"test-{uuid4().hex[:12]}:")


@pytest.fixture(scope="module")
def chat(each_store: Address, directory: Path) -> Iterator[Chat]:
    second = directory / "eager"
    second.mkdir()
    settings = {"CASTLINE_CANARY_S": "0", "CASTLINE_MAX_BODY_BYTES": str(1 << 20)}
    worker = ScriptedWorker(each_store, ("small", "large", "org/broken"))
    with (
        system(each_store, directory, **settings, CASTLINE_FIRST_BYTE_S="60") as patient,
        system(each_store, second, **settings, CASTLINE_FIRST_BYTE_S="0.05") as eager,
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


@pytest.fixture(scope="module")
def talk(each_store: Address, directory: Path) -> Iterator[Talk]:
    """Scripted ears and a scripted model, a test tone for a voice, and a real hearing worker for `echo`."""
    model, ears = ScriptedWorker(each_store, ("small",)), ScriptedHearer(each_store)
    with system(each_store, directory, CASTLINE_SEND_TIMEOUT_S="2") as running, playing(model), hearing(ears):
        running.front()
        running.hearer(CASTLINE_STT_SLOTS="2", CASTLINE_STT_ECHO_XRT="50")
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(4)
        yield Talk(running, model, ears)


@pytest.fixture
def shell(running: System, tmp_path: Path) -> Shell:
    """Somebody who types commands."""
    (tmp_path / "bin").mkdir()
    return Shell(running.url(), tmp_path)
