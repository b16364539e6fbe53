"""The systems that voice chats are measured on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from contracts.adapters import Address
from load_tests.services import free_port, wait_until
from load_tests.system import System, system

HEAR_XRT, SPEAK_XRT = 12.0, 8.0


@contextmanager
def simulated(
    address: Address, directory: Path, slots: int, *, speak_xrt: float = SPEAK_XRT, **speaking: str
) -> Iterator[tuple[System, str]]:
    """Engines that wait as long as models would, with slots for all browsers; and the URL of the scripted upstream.

    speaking: settings of the speech worker.
    """
    upstream = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "load_tests.upstream", "--port", str(port)]
    with subprocess.Popen(command) as server, system(address, directory) as running:
        try:
            wait_until(lambda: _answers(upstream), 30, "the upstream")
            running.front()
            running.hearer(CASTLINE_STT_SLOTS=str(slots), CASTLINE_STT_ECHO_XRT=str(HEAR_XRT))
            running.worker("tone", CASTLINE_TTS_SLOTS=str(slots), CASTLINE_TTS_TONE_XRT=str(speak_xrt), **speaking)
            running.proxy(CASTLINE_LLM_URL=f"{upstream}/v1", CASTLINE_LLM_PARALLEL=str(slots))
            running.wait_for_workers(3)
            yield running, upstream
        finally:
            server.terminate()


@contextmanager
def real(address: Address, directory: Path, upstream: str) -> Iterator[System]:
    """Real models on this machine's cores. upstream: an OpenAI-compatible server."""
    with system(address, directory) as running:
        running.front()
        running.hearer("faster-whisper", CASTLINE_STT_MODEL="whisper-tiny.en", CASTLINE_STT_SLOTS="1")
        running.worker("kokoro-onnx")
        running.proxy(CASTLINE_LLM_URL=upstream)
        running.wait_for_workers(3)
        yield running


def _answers(upstream: str) -> bool:
    try:
        return httpx.get(f"{upstream}/v1/models", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
