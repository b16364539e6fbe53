"""`castline up`: front and workers on one machine, on SQLite, each started again if it dies."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from contracts.errors import Misconfigured
from contracts.voices import MODELS
from producer_api.commands.client import Server, ServerError

DEFAULT_PORT = 8080
HEARING_MODEL = "whisper-base"
TURN_MODEL = "smart-turn"
CHATS = {"CASTLINE_LLM_URL", "CASTLINE_LLM_CONFIG"}
"""Where one of them is set, completions are written, and it can be talked to."""
RESTART_S = (0.2, 10.0)
"""First and longest pause before a process that died is started again."""
STEADY_S = 30.0
"""A process that lived so long starts again at once."""
STOP_S = 30.0
CHECK_S = 0.1


@dataclass(frozen=True)
class Plan:
    """What the command line asked for."""

    host: str
    port: int | None
    engine: str
    data_dir: Path
    workers: int
    browser: bool
    hearing: bool | None
    """None: if what it takes is here."""


@dataclass
class _Child:
    """One process that is kept alive."""

    name: str
    module: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = RESTART_S[0]
    not_before: float = 0.0

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", self.module], env=self.environment)
        self.started = time.monotonic()

    def tend(self) -> None:
        """Start it again if it has ended, a little later each time."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.not_before:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        if now - self.started > STEADY_S:
            self.pause = RESTART_S[0]
        sys.stderr.write(f"castline: {self.name} ended ({code}); starting it again in {self.pause:.1f} s\n")
        self.process, self.not_before = None, now + self.pause
        self.pause = min(2 * self.pause, RESTART_S[1])


@dataclass
class _Supervisor:
    """All of them, until a signal."""

    children: list[_Child]
    stopping: bool = field(default=False)

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def shut_down(self) -> None:
        running = [c.process for c in self.children if c.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        end = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


def run(plan: Plan) -> int:
    """Serve until SIGINT or SIGTERM; the exit status. Raises Misconfigured."""
    hearing = _can_hear(asked=plan.hearing)
    environment = _environment(plan)
    if plan.engine == "kokoro-onnx" and not _pulled("kokoro-onnx", environment):
        return 1
    # who names another engine or model has seen to it
    if hearing and not environment.keys() & {"CASTLINE_STT_ENGINE", "CASTLINE_STT_MODEL"}:
        hearing = _ears(environment)
        if plan.hearing and not hearing:
            return 1
        if not hearing:
            sys.stderr.write("castline: going on without hearing\n")
    supervisor = _Supervisor(_children(plan.workers, environment, hearing=hearing))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, supervisor.stop)
    link = f"http://{_reachable(plan.host)}:{environment['CASTLINE_PORT']}/"
    told = False
    try:
        while not supervisor.stopping:
            for child in supervisor.children:
                child.tend()
            if not told and _ready(link):
                told = True
                sys.stdout.write(f"\n  castline is ready:  {link}\n\n")
                sys.stdout.flush()
                if plan.browser:
                    webbrowser.open(link)
            time.sleep(CHECK_S)
    finally:
        supervisor.shut_down()
    return 0


def _children(workers: int, environment: dict[str, str], *, hearing: bool) -> list[_Child]:
    """The processes; completions are written where the environment says what models there are."""
    children = [_Child("front", "producer_api", environment)]
    children += [_Child(f"worker {n + 1}", "workers.tts", environment) for n in range(workers)]
    if hearing:
        children.append(_Child("hearing worker", "workers.stt", environment))
    if environment.keys() & CHATS:
        children.append(_Child("completion worker", "workers.llm_proxy", environment))
    return children


def _can_hear(*, asked: bool | None) -> bool:
    """Whether there is to be a hearing worker. Raises Misconfigured if there can be none, though it was asked for."""
    here = importlib.util.find_spec("faster_whisper") is not None
    if asked and not here:
        raise Misconfigured('--hearing needs faster-whisper: pip install "castline[stt]"')
    return here if asked is None else asked


def _ears(environment: dict[str, str]) -> bool:
    """Whether what it takes to hear is here now. Without Smart Turn it is silence alone that ends a turn."""
    if not _pulled(HEARING_MODEL, environment):
        return False
    if environment.keys() & CHATS and not _pulled(TURN_MODEL, environment):
        sys.stderr.write("castline: going on without knowing whether a speaker has finished\n")
    return True


def _pulled(model: str, environment: dict[str, str]) -> bool:
    """Whether all files of a model are here now; what hinders is one line of the command's own."""
    command = [sys.executable, "-m", "workers.models", "pull", model]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _environment(plan: Plan) -> dict[str, str]:
    plan.data_dir.mkdir(parents=True, exist_ok=True)
    settings = {
        "CASTLINE_STORE": f"sqlite://{plan.data_dir.resolve()}/castline.db",
        "CASTLINE_BROKER": "",
        "CASTLINE_NAMESPACE": "",
        "CASTLINE_HOST": plan.host,
        "CASTLINE_PORT": str(_port(plan)),
        "CASTLINE_SECRET": _secret(plan.data_dir / "secret"),
        "CASTLINE_CACHE_DIR": str(plan.data_dir / "cache"),
        "CASTLINE_TTS_ENGINE": plan.engine,
    }
    given = os.environ  # noqa: TID251  children inherit what this process was given
    return {"CASTLINE_MODEL_DIR": str(plan.data_dir / "models"), **given, **settings}


def _secret(path: Path) -> str:
    """The ids of casts depend on it: made once, kept, readable by its owner alone."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()


def _port(plan: Plan) -> int:
    for port in (plan.port,) if plan.port is not None else (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((plan.host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Misconfigured(f"can not listen on {plan.host}:{plan.port}: it is taken, or not an address of this machine")


def _reachable(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104


def _ready(link: str) -> bool:
    """Whether it can speak: a hearing worker alone is not what the page is for."""
    try:
        answer = Server(link).call("GET", "/ready")
    except ServerError:
        return False
    return any(model in MODELS for model in answer["workers"])
