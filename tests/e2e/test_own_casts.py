"""`castline ls`, `open` and `rm`: casts of one user, as this machine remembers them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from open_casts import spoken
from shells import Shell, job

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


def test_ls_knows_what_was_made_and_rm_forgets_it(shell: Shell, client: httpx.Client, running: System) -> None:
    assert shell.run("ls") == (0, "", "no casts were made from this machine yet\n")
    first = shell.good("say", "The first one.", "--voice", "tone", "--title", "First\x1b[31m").strip()
    spoken(client, job(first))
    live = client.post("/v1/casts", json={"voice": "tone", "open": True, "text": "It is open."}).json()["id"]
    writer = shell.start("say", "-", "--voice", "tone")
    with contextlib.ExitStack() as stack:
        stack.callback(writer.communicate)
        assert writer.stdout is not None
        second = writer.stdout.readline().decode().strip()
        wait_until(lambda: len(shell.listed()) == 2, 30, "the second in the list")
        rows = shell.listed()
        assert [(row["link"], row["state"], row["open"]) for row in rows] == [
            (second, rows[0]["state"], True),
            (first, "done", False),
        ]
        assert rows[1]["units"] == rows[1]["watermark"] == 1
        assert rows[1]["audio_ms"] > 0
        line = shell.good("ls", "--limit", "1").splitlines()
        assert len(line) == 1
        assert line[0].startswith(second)
        assert shell.good("ls").splitlines()[1].split()[:3] == [first, "done", "1/1"]
        assert "\x1b" not in shell.good("ls")
        removed = shell.good("rm", first, job(second), live).splitlines()
        assert [line.partition(": ")[2].split(";")[0] for line in removed] == ["forgotten", "cancelled", "cancelled"]
        assert all("the server keeps what was made until 20" in line for line in removed)
    assert client.get(f"/v1/casts/{job(first)}").json()["state"] == "done"
    assert client.get(f"/v1/casts/{job(second)}").json()["state"] == "cancelled"
    assert shell.listed() == []


def test_ls_and_rm_where_the_server_has_it_no_more_or_is_away(shell: Shell) -> None:
    away = {"id": "B" * 16, "server": "http://127.0.0.1:1", "title": "Away", "created": 2}
    gone = {"id": "A" * 16, "server": shell.url, "title": "Gone", "created": 1}
    (shell.folder / "state").mkdir()
    (shell.folder / "state" / "casts.jsonl").write_text(f"{json.dumps(gone)}\n{json.dumps(away)}\n")
    assert [(row["title"], row["state"]) for row in shell.listed()] == [("Away", "unknown"), ("Gone", "gone")]
    code, out, err = shell.run("rm", "A" * 16, "B" * 16, "C" * 16)
    assert (code, out) == (1, f"{shell.url}/c/{'A' * 16}: forgotten; its server has it no more\n")
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["B" * 16, "C" * 16]
    assert [row["title"] for row in shell.listed()] == ["Away"]


def test_open_shows_the_page_in_the_browser_or_prints_its_link(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    link = shell.good("say", "To be opened.", "--voice", "tone").strip()
    assert shell.good("open", job(link)).strip() == link  # there is no browser on this PATH
    opened = shell.folder / "opened"
    browser = shell.folder / "bin" / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    assert shell.good("open", link) == ""
    wait_until(lambda: opened.exists() and opened.read_text().strip() == link, 10, "the browser")
    assert "There is no log" in shell.bad("open", "A" * 16)
    assert "is no cast" in shell.bad("open", "/v1/transcripts/AAAAAAAAAAAAAAAA")


def test_say_goes_on_where_nothing_can_be_remembered(shell: Shell) -> None:
    (shell.folder / "state").touch()
    code, out, err = shell.run("say", "Not remembered.", "--voice", "tone")
    assert (code, err.count("\n")) == (0, 1)
    assert out.startswith(f"{shell.url}/c/")
    assert "`castline ls` will not know it" in err


def test_two_at_once_are_both_remembered(shell: Shell) -> None:
    threads = [
        threading.Thread(target=shell.good, args=("say", f"Number {n}.", "--voice", "tone")) for n in range(3)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shell.listed()) == 3
