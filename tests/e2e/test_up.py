"""`castline up` with and without ears; tests/e2e/test_commands.py has it with the real models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pulling import pull

from load_tests.services import free_port, wait_until
from workers.models.settings import ModelSettings

pytestmark = pytest.mark.timeout(600)

START_S = 240
"""On a busy machine."""
CLI = "from producer_api.cli import main; main()"
WITHOUT_THE_EXTRA = f"import sys; sys.modules['faster_whisper'] = None; {CLI}"


def start(tmp_path: Path, port: int, *flags: str, script: str = CLI, **settings: str) -> subprocess.Popen[str]:
    """Its model directory can not be written: no model can be pulled."""
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", script, "up", "--engine", "tone", "--no-browser", "--port", str(port)]
    environment = {**os.environ, "CASTLINE_MODEL_DIR": str(tmp_path / "file" / "models"), **settings}
    return subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data"), *flags], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def workers(port: int) -> dict[str, int]:
    """By model; empty until one is there."""
    try:
        found: dict[str, int] = httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).json().get("workers", {})
    except httpx.HTTPError:
        return {}
    return found


@pytest.mark.parametrize(
    ("flags", "script", "lines"),
    [
        ((), CLI, ["castline models: whisper-base", "castline: going on without hearing"]),
        (("--no-hearing",), CLI, []),
        ((), WITHOUT_THE_EXTRA, []),
    ],
    ids=["no model", "not wanted", "no extra"],
)
def test_it_speaks_where_it_can_not_hear(tmp_path: Path, flags: tuple[str, ...], script: str, lines: list[str]) -> None:
    process = start(tmp_path, port := free_port(), *flags, script=script)
    try:
        wait_until(lambda: workers(port) == {"tone": 1}, START_S, "speech")
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=START_S)
    assert process.returncode == 0
    said = [line for line in err.splitlines() if line.startswith("castline")]
    assert [line[: len(words)] for line, words in zip(said, lines, strict=True)] == lines


def test_ears_of_ones_own_need_no_model(tmp_path: Path) -> None:
    process = start(tmp_path, port := free_port(), "--hearing", CASTLINE_STT_ENGINE="echo")
    try:
        wait_until(lambda: workers(port) == {"tone": 1, "echo": 1}, START_S, "speech and hearing")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=START_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("script", "words"),
    [(CLI, "castline models: whisper-base"), (WITHOUT_THE_EXTRA, "castline: --hearing needs faster-whisper: pip")],
    ids=["no model", "no extra"],
)
def test_hearing_that_was_asked_for_and_can_not_be_is_one_line(tmp_path: Path, script: str, words: str) -> None:
    out, err = (process := start(tmp_path, free_port(), "--hearing", script=script)).communicate(timeout=START_S)
    [line] = [line for line in err.splitlines() if line.startswith("castline")]  # there is a bar, too
    assert (process.returncode, out, line[: len(words)]) == (1, "", words)


@pytest.mark.parametrize("also", [{"CASTLINE_LLM_URL": "http://127.0.0.1:1/v1"}, {}], ids=["chats", "does not"])
def test_smart_turn_is_pulled_where_it_can_be_talked_to(tmp_path: Path, also: dict[str, str]) -> None:
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull("whisper-base")
    (models := tmp_path / "models").mkdir()
    (models / "whisper-base").symlink_to(ModelSettings().model_dir.resolve() / "whisper-base")
    process = start(tmp_path, port := free_port(), "--hearing", CASTLINE_MODEL_DIR=str(models), **also)
    try:
        wait_until(lambda: workers(port) == {"tone": 1, "whisper": 1}, START_S, "speech and hearing")
        assert (models / "smart-turn").is_dir() == bool(also)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=START_S)
    assert process.returncode == 0
