"""`castline say` against a running system with the tone engine."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import av
import httpx
import pytest
from books import chapter, docx, epub, paragraph
from open_casts import spoken
from shells import COPY, Shell, job

from contracts.adapters import Address
from load_tests.services import wait_until
from load_tests.system import System, system

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("say")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="100")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


# --- documents -----------------------------------------------------------------------------------------------


def test_documents_of_each_kind_are_said(shell: Shell, client: httpx.Client) -> None:
    files = {
        "story.epub": epub({"one": chapter("<h1>One</h1><p>He waited.</p>")}),
        "note.md": b"# A note\n\n- rope\n\n```\ncode\n```\n",
        "old.txt": "Früher fuhren hier täglich schöne Züge über die große Brücke.".encode("latin-1"),
        "page.html": b"<html lang=en-AU><title>A page</title><nav>Home</nav><p>Hello there.</p>",
        "letter.docx": docx(paragraph("Dear Anna", "Heading1") + paragraph("It rains.")),
    }
    said = {}
    for name, data in files.items():
        (shell.folder / name).write_bytes(data)
        said[name] = job(shell.good("say", "-f", name, "--voice", "tone"))
    texts = {name: " ".join(spoken(client, cast)) for name, cast in said.items()}
    assert texts == {
        "story.epub": "One. He waited.",
        "note.md": "A note. rope.",
        "old.txt": "Früher fuhren hier täglich schöne Züge über die große Brücke.",
        "page.html": "Hello there.",
        "letter.docx": "Dear Anna. It rains.",
    }
    views = {name: client.get(f"/v1/casts/{cast}").json() for name, cast in said.items()}
    assert [view["title"] for view in views.values()] == ["The lamp & the sea", "A note", "old", "A page", "Dear Anna"]
    assert (views["story.epub"]["language"], views["page.html"]["language"]) == ("en-GB", "en-US")


def test_a_document_on_standard_input_is_told_by_its_bytes(shell: Shell, client: httpx.Client) -> None:
    book = epub({"one": chapter("<p>He waited long.</p>")})
    cast = job(shell.good("say", "-f", "-", "--voice", "tone", "--title", "Mine", given=book))
    assert spoken(client, cast) == ["He waited long."]
    assert client.get(f"/v1/casts/{cast}").json()["title"] == "Mine"


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("-f", "nobody.epub"), b"", "No such file"),
        (("-f", "bin"), b"", "directory"),
        (("-f", "-"), b"PK\x03\x04", "standard input: It is a ZIP archive, and neither"),
        (("-f", "-"), b"%PDF-1.7", "PDF is not read"),
        (("-f", "-"), b"\x00\x01", "not a text"),
        (("-f", "-"), b"", "nothing to speak"),
        (("-f", "http://127.0.0.1/"), b"", "no host that is public"),
        (("text", "-f", "-"), b"text", "give a text"),
        ((), b"", "give a text"),
        (("-",), b"", "nothing to speak"),
        (("-",), b" ... ", "nothing to speak"),
        (("-",), b"\xff\xfe", "not UTF-8"),
        (("text", "--out", "no/folder.opus", "--voice", "tone"), b"", "no/folder.opus: No such file"),
        (("text", "--play"), b"", "none of these is here: ffplay, mpv, pw-play, paplay, aplay, afplay"),
    ],
)
def test_what_can_not_be_said_is_one_line(shell: Shell, arguments: tuple[str, ...], given: bytes, words: str) -> None:
    assert words in shell.bad("say", *arguments, given=given)


# --- standard input, as it is written ------------------------------------------------------------------------


def test_what_is_written_is_spoken_while_it_is_written_and_played(shell: Shell, client: httpx.Client) -> None:
    played = shell.player("ffplay")
    process = shell.start("say", "-", "--voice", "tone", "--play", "--out", "kept.opus")
    assert process.stdin is not None
    assert process.stdout is not None
    link = process.stdout.readline().decode().strip()  # before a word is written
    process.stdin.write(b"The keeper lit the lamp. Nobody ca")
    process.stdin.flush()
    wait_until(lambda: played.exists() and b"OpusTags" in played.read_bytes(), 60, "the player")
    wait_until(lambda: len(played.read_bytes()) > 2_000, 60, "sound at the player")
    assert client.get(f"/v1/casts/{job(link)}").json()["open"]
    out, err = process.communicate(b"me. He waited.", timeout=60)
    assert (process.returncode, out) == (0, b""), err
    assert spoken(client, job(link)) == ["The keeper lit the lamp.", "Nobody came.", "He waited."]
    arguments, _, sound = played.read_bytes().partition(b"\n")
    assert arguments == b"-nodisp -autoexit -loglevel error -i -"
    assert sound[:4] == b"OggS"
    with av.open(str(shell.folder / "kept.opus")) as container:
        seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(client.get(f"/v1/casts/{job(link)}").json()["audio_ms"] / 1000, abs=0.1)
    assert not list(shell.folder.glob("*.part"))


def test_interrupting_the_writer_ends_the_text_and_not_the_cast(shell: Shell, client: httpx.Client) -> None:
    process = shell.start("say", "-", "--voice", "tone")
    assert process.stdin is not None
    assert process.stdout is not None
    cast = job(process.stdout.readline().decode())
    process.stdin.write(b"The keeper lit the lamp. Nobody came")
    process.stdin.flush()
    wait_until(lambda: client.get(f"/v1/casts/{cast}").json()["units"] > 0, 30, "the first sentence")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.decode().count("\n")) == (130, 1), err
    assert "spoken without you" in err.decode()
    assert spoken(client, cast) == ["The keeper lit the lamp.", "Nobody came"]


def test_interrupting_a_listener_leaves_the_cast_and_no_half_file(shell: Shell, client: httpx.Client) -> None:
    process = shell.start("say", "Something long. " * 400, "--voice", "tone", "--out", "kept.wav", "--follow")
    assert process.stdout is not None
    link = process.stdout.readline().decode()
    wait_until((shell.folder / "kept.wav.part").exists, 30, "a file that is begun")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the cast goes on without you" in err.decode().splitlines()[-1]
    assert {path.name for path in shell.folder.iterdir()} == {"bin", "state"}
    assert client.get(f"/v1/casts/{job(link)}").json()["state"] in ("live", "done")
    client.delete(f"/v1/casts/{job(link)}")


def test_a_terminal_is_shown_how_far_it_is(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "producer_api.cli",
        "say",
        "One sentence. " * 9,
        "--voice",
        "tone",
        "--out",
        "a.mp3",
    ]
    environment = {**shell.environment, "TERM": "xterm"}
    process = subprocess.Popen(
        command, env=environment, cwd=shell.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO is the end of a terminal
        while piece := os.read(ours, 4_096):
            shown += piece
    os.close(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.decode().startswith(f"{shell.url}/c/")
    assert b"speaking" in shown
    assert b"a.mp3: " in shown


# --- players -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pw-play", "--rate 24000 --channels 1 --format s16 -"),
        ("paplay", "--raw --format=s16le --rate=24000 --channels=1"),
        ("aplay", "-q -t raw -f S16_LE -r 24000 -c 1 -"),
    ],
)
def test_players_of_samples_are_given_samples(shell: Shell, name: str, arguments: str) -> None:
    played = shell.player(name)
    shell.good("say", "One sentence.", "--voice", "tone", "--play", "--out", "kept.wav")
    said, _, samples = played.read_bytes().partition(b"\n")
    assert said.decode() == arguments
    assert samples == (shell.folder / "kept.wav").read_bytes()[44:]
    assert len(samples) > 10_000


def test_pipewire_is_told_of_samples_where_it_wants_to_be(shell: Shell) -> None:
    played = shell.player(
        "pw-play", COPY.replace("import sys, pathlib", "import sys\nif '--help' in sys.argv: exit('--raw')")
    )
    shell.good("say", "One sentence.", "--voice", "tone", "--play")
    assert played.read_bytes().startswith(b"--raw --rate 24000 ")


def test_a_player_of_files_is_given_a_whole_one(shell: Shell) -> None:
    played = shell.player("afplay", "#!/bin/sh\n/bin/cp \"$1\" '{out}'\n")
    shell.good("say", "One sentence.", "--voice", "tone", "--play", "--out", "kept.wav")
    assert len(played.read_bytes()) == len((shell.folder / "kept.wav").read_bytes())


def test_a_player_that_is_closed_has_had_enough_and_one_that_fails_is_one_line(shell: Shell) -> None:
    shell.player("ffplay", "#!/bin/sh\nexit 0\n")
    shell.good("say", "One sentence. " * 50, "--voice", "tone", "--play")
    shell.player("ffplay", "#!/bin/sh\n/bin/cat >/dev/null\necho first >&2\necho no sound device >&2\nexit 3\n")
    line = shell.bad("say", "One sentence.", "--voice", "tone", "--play")
    assert line == "ffplay ended with status 3: no sound device"
