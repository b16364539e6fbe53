"""A whole castline of subprocesses, for load tests and crash tests: fronts and workers that may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from contracts.adapters import Address
from load_tests.queues import forget_queues
from load_tests.services import free_port, wait_until

START_TIMEOUT_S = 60.0
SECRET = "a secret for tests only"


@dataclass
class Process:
    """One front or worker."""

    module: str
    environment: dict[str, str]
    log: Path
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start it (again)."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self.environment, stdout=log, stderr=log
            )
        return self

    @property
    def pid(self) -> int:
        """Process id."""
        assert self.popen is not None
        return self.popen.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait for the end if it kills."""
        assert self.popen is not None
        self.popen.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.popen.wait(60)

    @property
    def alive(self) -> bool:
        """Still running."""
        return self.popen is not None and self.popen.poll() is None


@dataclass
class System:
    """Fronts and workers on one store and broker."""

    address: Address
    directory: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    fronts: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)

    def _environment(self, **settings: str) -> dict[str, str]:
        common = {
            "CASTLINE_STORE": self.address.store,
            "CASTLINE_BROKER": self.address.broker,
            "CASTLINE_NAMESPACE": self.address.namespace,
            "CASTLINE_SECRET": SECRET,
            "CASTLINE_CACHE_DIR": str(self.directory / "cache"),
        }
        return {**os.environ, **common, **self.extra, **settings}

    def front(self, module: str = "producer_api") -> Process:
        """Start one more front; its URL is url(n)."""
        environment = self._environment(CASTLINE_PORT=str(free_port()))
        process = Process(module, environment, self.directory / f"front{len(self.fronts)}.log").start()
        self.fronts.append(process)
        self.wait_for_front(len(self.fronts) - 1)
        return process

    def wait_for_front(self, n: int = 0) -> None:
        """Until it answers."""

        def answers() -> bool:
            if not self.fronts[n].alive:
                raise RuntimeError(self.fronts[n].log.read_text()[-2000:])
            try:
                return httpx.get(f"{self.url(n)}/health", timeout=2, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, START_TIMEOUT_S, "the front")

    def url(self, n: int = 0) -> str:
        """Of the n-th front."""
        return f"http://127.0.0.1:{self.fronts[n].environment['CASTLINE_PORT']}"

    def worker(self, engine: str = "tone", **settings: str) -> Process:
        """Start one more worker."""
        environment = self._environment(CASTLINE_TTS_ENGINE=engine, **settings)
        process = Process("workers.tts", environment, self.directory / f"worker{len(self.workers)}.log").start()
        self.workers.append(process)
        return process

    def hearer(self, engine: str = "echo", **settings: str) -> Process:
        """Start one more hearing worker."""
        environment = self._environment(CASTLINE_STT_ENGINE=engine, **settings)
        process = Process("workers.stt", environment, self.directory / f"worker{len(self.workers)}.log").start()
        self.workers.append(process)
        return process

    def proxy(self, config: Path | None = None, **settings: str) -> Process:
        """Start one more completion worker, with this file of upstreams and aliases; without one, settings say."""
        environment = self._environment(CASTLINE_LLM_CONFIG=str(config or ""), **settings)
        log = self.directory / f"worker{len(self.workers)}.log"
        process = Process("workers.llm_proxy", environment, log).start()
        self.workers.append(process)
        return process

    def wait_for_workers(self, count: int) -> None:
        """Until so many are registered."""

        def registered() -> bool:
            for worker in self.workers:
                if not worker.alive:
                    raise RuntimeError(worker.log.read_text()[-2000:])
            answer = httpx.get(f"{self.url()}/ready", timeout=5, trust_env=False).json()
            return bool(sum(answer.get("workers", {}).values()) >= count)

        wait_until(registered, START_TIMEOUT_S, f"{count} workers")

    def stop(self) -> None:
        """Kill what is left."""
        for process in (*self.fronts, *self.workers):
            if process.popen is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.popen.kill()
                process.popen.wait()


@contextlib.contextmanager
def system(address: Address, directory: Path, **extra: str) -> Iterator[System]:
    """A System that is stopped at the end of the block."""
    running = System(address, directory, extra)
    try:
        yield running
    finally:
        running.stop()
        if address.broker and address.namespace:
            forget_queues(address.broker, address.namespace)
