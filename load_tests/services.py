"""Real servers for load tests and tests: what is installed, else (root, Debian) what can be installed.

Servers started here are ours: they listen on free ports of the loopback, and may be killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT_S = 60.0
RABBITMQ_BIN = Path("/usr/lib/rabbitmq/bin")


class ServiceMissing(Exception):
    """A server that is not installed, and can not be."""


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with contextlib.closing(socket.socket()) as s:
        s.settimeout(0.5)
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll a condition; fail after timeout_s."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s} s for {what}")
        time.sleep(0.02)


def install(package: str) -> bool:
    """Install a Debian package where we may; True if it worked."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update"], check=False, env=environment, **quiet)  # type: ignore[call-overload]
    done = subprocess.run(["apt-get", "install", "-y", package], check=False, env=environment, **quiet)  # type: ignore[call-overload]
    return bool(done.returncode == 0)


@dataclass
class RedisServer:
    """A redis-server of our own, that may be killed: appendonly, appendfsync always."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """redis:// URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it and wait until it answers (again)."""
        binary = shutil.which("redis-server") or (install("redis-server") and shutil.which("redis-server"))
        if not binary:
            raise ServiceMissing("redis-server")
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""]
        settings += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL)
        wait_until(self._answers, START_TIMEOUT_S, "redis-server")
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class RabbitServer:
    """A RabbitMQ node of our own, that may be killed."""

    directory: Path
    port: int = field(default_factory=free_port)
    dist_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """amqp:// URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def _environment(self) -> dict[str, str]:
        (self.directory / "enabled_plugins").write_text("[].")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "RABBITMQ_NODENAME": f"castline{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "none"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-rabbit cluster_formation_disabled true",
        }

    def start(self) -> RabbitServer:
        """Start it and wait until it accepts connections."""
        if not (RABBITMQ_BIN / "rabbitmq-server").exists() and not install("rabbitmq-server"):
            raise ServiceMissing("rabbitmq-server")
        self.process = subprocess.Popen(
            [str(RABBITMQ_BIN / "rabbitmq-server")],
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the shell script, the VM and its helpers are one group
        )
        wait_until(lambda: listens(self.port), START_TIMEOUT_S, "rabbitmq-server")
        return self

    def kill(self) -> None:
        """SIGKILL of the whole group."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def own_redis() -> Iterator[RedisServer]:
    """A redis-server for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="castline-redis-") as directory:
        server = RedisServer(Path(directory)).start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def own_rabbitmq() -> Iterator[RabbitServer]:
    """A RabbitMQ node for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="castline-rabbitmq-", ignore_cleanup_errors=True) as directory:
        server = RabbitServer(Path(directory)).start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def shared_rabbitmq() -> Iterator[str]:
    """URL of a broker that is not to be killed: the environment's, one on the standard port, else one of our own."""
    if url := os.environ.get("CASTLINE_TEST_AMQP"):
        yield url
    elif listens(5672):
        yield "amqp://guest:guest@127.0.0.1:5672/"
    else:
        with own_rabbitmq() as server:
            yield server.url
