"""`castline transcribe` on SQLite, with the echo engine: files, folders, standard input, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from sounds import sine, wav

from contracts.adapters import Address
from load_tests.system import System, system

RATE = 16_000
LIMIT = 2 << 20
HEARD = re.compile(r"\d+ ms [0-9a-f]{8}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("transcribe")
    address = Address(f"sqlite://{directory}/castline.db", "")
    with system(address, directory, CASTLINE_MAX_UPLOAD_BYTES=str(LIMIT)) as running:
        running.front()
        running.hearer()
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def url(running: System) -> str:
    return running.url()


def speech(*seconds: float) -> bytes:
    """A WAV of sounds of these lengths, one second of silence after each; never twice the same."""
    hz = 200 + np.random.default_rng().uniform(0, 400)
    pause = np.zeros(RATE, np.float32)
    return wav(np.concatenate([part for s in seconds for part in (sine(s, RATE, hz), pause)]))


def start(url: str, *arguments: str | Path, model: str = "echo") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "producer_api.cli", "transcribe", "--model", model, *map(str, arguments)]
    environment = {**os.environ, "CASTLINE_URL": url}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def transcribe(url: str, *arguments: str | Path, given: bytes = b"") -> tuple[int, str, list[str]]:
    """Exit status, stdout, lines of stderr."""
    process = start(url, *arguments)
    out, err = process.communicate(given, timeout=100)
    return process.returncode, out.decode(), err.decode().splitlines()


@pytest.mark.parametrize("fmt", ["txt", "srt", "vtt", "json"])
def test_one_file_goes_to_stdout(url: str, tmp_path: Path, fmt: str) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(speech(3, 28, 2))
    status, out, [link] = transcribe(url, file, "--format", fmt, "--words")
    assert status == 0
    assert link.startswith(f"{url}/v1/transcripts/")
    assert httpx.get(link, trust_env=False).text == out
    assert httpx.get(link.rpartition("/")[0], trust_env=False).json()["title"] == "talk.wav"
    heard = len(HEARD.findall(json.loads(out)["text"] if fmt == "json" else out))
    assert heard >= 2
    match fmt:
        case "txt":
            assert len(out.splitlines()) == heard
        case "srt":
            assert out.startswith("1\n00:00:00,")
        case "vtt":
            assert out.startswith("WEBVTT\n\n00:00:00.")
        case _:
            assert len(json.loads(out)["words"]) == 3 * heard
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def test_standard_input(url: str) -> None:
    status, out, [link] = transcribe(url, "-", given=speech(2))
    assert (status, len(HEARD.findall(out))) == (0, 1)
    assert link.endswith("/transcript.txt")


def test_a_bar_on_a_terminal_leaves_stdout_alone(url: str, tmp_path: Path) -> None:
    file = tmp_path / "talk [1].wav"
    file.write_bytes(speech(2))
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "producer_api.cli", "transcribe", str(file), "--model", "echo", "--url", url]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # Linux: the other end is closed
            while piece := os.read(leader, 1 << 16):
                shown += piece
        os.close(leader)
        assert process.stdout is not None
        out = process.stdout.read().decode()
    assert (process.returncode, len(HEARD.findall(out))) == (0, 1)
    assert out.count("\n") == 1
    assert "\x1b" not in out
    assert b"talk [1].wav: sending" in shown
    assert b"talk [1].wav: hearing" in shown
    assert b"1/1" in shown


def test_options_are_of_the_transcript(url: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(speech(1))
    _, _, [plain] = transcribe(url, file)
    _, _, [again] = transcribe(url, file)
    _, _, [other] = transcribe(url, file, "--language", "de", "--task", "translate", "--prompt", "Grüße & Küsse")
    assert plain == again != other
    view = httpx.get(other.rpartition("/")[0], trust_env=False).json()
    assert (view["language"], view["task"]) == ("de", "translate")


def test_a_folder_has_its_transcripts_beside_the_recordings(url: str, tmp_path: Path) -> None:
    for name in ("b.wav", "a.WAV", "twice.wav", "twice.mp3"):
        (tmp_path / name).write_bytes(speech(1))
    (tmp_path / "notes.md").write_text("No recording.")
    (tmp_path / "deeper.wav").mkdir()
    status, out, err = transcribe(url, tmp_path, "--format", "srt")
    assert (status, err) == (0, [])
    assert len(out.splitlines()) == 4
    assert all(line.startswith(url) for line in out.splitlines())
    written = {path.name for path in tmp_path.glob("*.srt")}
    assert written == {"a.srt", "b.srt", "twice.wav.srt", "twice.mp3.srt"}
    assert all(HEARD.search((tmp_path / name).read_text()) for name in written)
    assert not list(tmp_path.glob("*.part"))


def test_out_is_a_folder_or_a_file(url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    for file in (first, second):
        file.write_bytes(speech(1))
    status, out, err = transcribe(url, first, second, "--out", tmp_path / "new" / "folder")
    assert (status, len(out.splitlines()), err) == (0, 2, [])
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"first.txt", "second.txt"}
    status, out, err = transcribe(url, first, "--out", tmp_path / "kept.vtt")
    assert (status, len(out.splitlines()), err) == (0, 1, [])
    assert (tmp_path / "kept.vtt").read_text().startswith("WEBVTT\n")


def test_what_is_no_audio_is_one_line_and_a_status_of_one(url: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.wav", tmp_path / "good.wav"
    bad.write_bytes(b"This is a text. " * 40)
    good.write_bytes(speech(1))
    status, out, [_link, line] = transcribe(url, bad)
    assert (status, out) == (1, "")
    assert line.startswith(f"castline: {bad}: ")
    status, out, err = transcribe(url, bad, good, tmp_path / "none.wav")
    assert (status, len(out.splitlines())) == (1, 2)
    assert err == [f"castline: {tmp_path / 'none.wav'}: there is no such file", line]
    assert HEARD.search((tmp_path / "good.txt").read_text())
    assert not (tmp_path / "bad.txt").exists()


@pytest.mark.timeout(300)
def test_status_finds_a_transcript_by_its_id_and_by_any_link(url: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(speech(1))
    _, _, [link] = transcribe(url, file)
    job = link.split("/")[-2]
    cast = httpx.post(f"{url}/v1/casts", json={"text": "Nobody speaks here."}, trust_env=False).json()["id"]
    for given in (job, link, f"/v1/transcripts/{job}"):
        done = status(url, given)
        assert done.returncode == 0, done.stderr
        assert (json.loads(done.stdout)["id"], json.loads(done.stdout)["title"]) == (job, "talk.wav")
    for given in (cast, f"{url}/c/{cast}", f"{url}/v1/casts/{cast}/audio.mp3"):
        found = json.loads(status(url, given).stdout)
        assert (found["id"], found["title"]) == (cast, "Nobody speaks here.")
    for given in ("A" * 16, f"{url}/c/{job}", f"/v1/transcripts/{cast}", "", "http://[", "what?"):
        done = status(url, given)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith("castline: ")


def status(url: str, given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "producer_api.cli", "status", "--url", url, "--", given]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.wav",), "none.wav: there is no such file"),
        (("empty",), "empty: there is no audio or video in this folder"),
        (("nothing.wav",), "nothing.wav: The file is empty."),
        (("large.wav",), "larger than"),
        (("talk.wav", "--language", "English!"), "language"),
        (("talk.wav", "--out", "talk.pdf"), "must end in .txt, .srt, .vtt, .json"),
        (("talk.wav", "--out", "talk.wav", "--format", "txt"), "that is the recording"),
        (("talk.wav", "--out", "none/talk.txt"), "there is no such folder"),
        (("talk.wav", "empty/../talk.wav", "--out", "new"), "two files would be"),
    ],
)
def test_a_failure_is_one_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "large.wav").write_bytes(bytes(2 * LIMIT))
    (tmp_path / "talk.wav").write_bytes(speech(1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    status, out, [line] = transcribe(url, *arguments)
    assert (status, out) == (1, "")
    assert line.startswith("castline: ")
    assert words in line


def test_a_stream_that_is_too_large_is_refused(url: str) -> None:
    status, out, [line] = transcribe(url, "-", given=bytes(8 * LIMIT))
    assert (status, out) == (1, "")
    assert "larger than" in line


def test_without_a_server_the_line_says_how_to_start_one(tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(speech(1))
    status, out, [line] = transcribe("http://127.0.0.1:1", file)
    assert (status, out) == (1, "")
    assert "castline up" in line


def unheard(url: str, tmp_path: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The command at work on a transcript that nobody makes, and the link it has printed."""
    file = tmp_path / "talk.wav"
    file.write_bytes(speech(1))
    process = start(url, file, model="nobody-has-it")
    assert process.stderr is not None
    return process, process.stderr.readline().decode().strip()


def test_a_transcript_that_somebody_cancels(url: str, tmp_path: Path) -> None:
    process, link = unheard(url, tmp_path)
    httpx.delete(link.rpartition("/")[0], trust_env=False).raise_for_status()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert err.decode() == f"castline: {tmp_path}/talk.wav: the transcript was cancelled\n"


def test_ctrl_c_leaves_the_transcript_and_says_where_it_is(url: str, tmp_path: Path) -> None:
    process, link = unheard(url, tmp_path)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    [line] = err.decode().splitlines()
    assert link in line
    assert httpx.get(link.rpartition("/")[0], trust_env=False).json()["state"] == "waiting"
