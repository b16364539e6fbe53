"""What tests of the page to talk on share: browsers with a microphone, a system that answers, what they look at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import bidi
from browser.bidi import Page
from browser.conftest import find, sound_card
from llm_script import ScriptedWorker, playing

from contracts.adapters import Address
from load_tests.system import System, system

ELSEWHERE = "talk.test"
"""A name of this machine that browsers do not know to be this machine: pages on it are not secure."""
MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
FIREFOX = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "network.dns.localDomains": ELSEWHERE,
}

SPEAKER = "window.castline.sound.speaker"
STATE = "document.querySelector('#state').textContent"
PROBLEM = "document.querySelector('#problem').textContent"
RECORD = """(() => {
  const { line, chat } = window.castline;
  window.told = [];
  const types = ["input_audio_buffer.speech_started", "response.output_audio_transcript.delta",
    "response.output_audio.delta", "response.done", "conversation.item.truncated", "castline.timing", "error"];
  for (const type of types)
    line.addEventListener(type, ({ detail }) => {
      const samples = type === "response.output_audio.delta" ? atob(detail.delta).length / 2 : 0;
      window.told.push({ ...detail, delta: samples ? "" : detail.delta, samples, playing: chat.playing });
    });
  return true;
})()"""
"""From now on window.told has what the server tells, samples counted, and whether a reply still sounds then."""


def report(line: str) -> None:
    """A figure for whoever reads the output (pytest -rP)."""
    sys.stdout.write(f"{line}\n")


def rows(page: Page, who: str) -> list[str]:
    """Texts of one side of the conversation, as they are read."""
    found: list[str] = page.evaluate(f"[...document.querySelectorAll('.turn.{who} p')].map((p) => p.textContent)")
    return found


def told(page: Page, kind: str) -> list[dict[str, Any]]:
    """Events of a type, since RECORD."""
    found: list[dict[str, Any]] = page.evaluate(f"window.told.filter((event) => event.type === {kind!r})")
    return found


def open_talk(page: Page, url: str) -> None:
    """A new conversation, ready, by somebody who was never here."""
    page.goto(f"{url}/static/icon.svg")
    page.evaluate("(localStorage.clear(), sessionStorage.clear(), null)")
    page.goto(f"{url}/talk")
    page.wait_for(f"{STATE} === 'Ready.' && !document.querySelector('#voice').disabled")
    page.evaluate(RECORD)


def choose(page: Page, field: str, value: str) -> None:
    """Choose in the settings."""
    page.evaluate(
        f"(document.querySelector('details').open = true, document.querySelector('#{field}').value = {value!r})"
    )
    page.evaluate(f"document.querySelector('#{field}').dispatchEvent(new Event('change'))")


def write(page: Page, text: str) -> None:
    """Type and send."""
    page.click("#text")
    page.evaluate(f"document.execCommand('insertText', false, {text!r})")
    page.press("Enter")


@contextmanager
def chromium(microphone: Path | None) -> Iterator[bidi.Session]:
    """microphone: a WAV file that is heard over and over; None: the machine has no microphone."""
    file = [f"--use-file-for-fake-audio-capture={microphone}"]
    arguments = [*MICROPHONE, *file] if microphone else MICROPHONE[1:]
    names = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
    binary, driver = find("chromium"), find("chromedriver", package="chromium-driver")
    with bidi.chromium(binary, driver, names, *arguments) as session:
        yield session


@contextmanager
def firefox(folder: Path) -> Iterator[bidi.Session]:
    """Its fake microphone hears a tone."""
    with (
        sound_card(folder) as environment,
        bidi.firefox(find("firefox-esr"), folder, environment, FIREFOX) as session,
    ):
        yield session


@dataclass
class Booth:
    """A front, a voice of tones, ears that echo, and a language model that says what the test wants."""

    system: System
    worker: ScriptedWorker

    @property
    def url(self) -> str:
        return self.system.url()


@contextmanager
def booth(directory: Path, worker: ScriptedWorker) -> Iterator[Booth]:
    """Running, with all its workers."""
    with system(worker.address, directory) as running, playing(worker):
        running.front()
        running.worker("tone")
        running.hearer("echo")
        running.wait_for_workers(3)
        yield Booth(running, worker)


def embedded(directory: Path) -> Address:
    """A SQLite file."""
    return Address(f"sqlite://{directory}/castline.db", "")
