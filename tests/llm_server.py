"""SmolLM2-135M on llama.cpp's server, in a process of its own: an upstream that writes something."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

from load_tests.services import free_port, wait_until

ALIAS = "smollm2"
START_S = 120
_SERVE = """
import sys, threading, xllamacpp
given = xllamacpp.CommonParams()
given.model.path, given.port, given.model_alias = sys.argv[1], int(sys.argv[2]), {sys.argv[3]}
given.hostnames, given.n_ctx, given.n_parallel = ["127.0.0.1"], 2048, 2
given.cpuparams.n_threads = given.cpuparams_batch.n_threads = 1  # more wait for each other, busily, on a busy machine
server = xllamacpp.Server(given)
threading.Event().wait()
"""


@contextlib.contextmanager
def smollm2(model: Path, log: Path) -> Iterator[str]:
    """URL (with /v1) of a server of this GGUF file, for as long as the block runs."""
    port = free_port()
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _SERVE, str(model), str(port), ALIAS], stdout=out, stderr=out)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).status_code == 200
        return False

    try:
        wait_until(answers, START_S, "SmolLM2")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()
