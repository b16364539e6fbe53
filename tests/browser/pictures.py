"""The pictures of the documentation, from the real pages: `PYTHONPATH=tests python -m browser.pictures`.

Needs Chromium, its driver, and the model kokoro-onnx; writes docs/home.png and docs/cast.png.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from browser import bidi
from browser.listening import PLAYER

from contracts.adapters import Address
from load_tests.system import system

DOCS = Path(__file__).parents[2] / "docs"
HOME, CAST = (1000, 1180), (1000, 700)
OTHER = "The ice went out on the ninth of April, at night, and everybody heard it."
TEXT = (
    "The old lighthouse stood at the edge of the cliff. Every evening the keeper climbed the stairs and lit the lamp. "
    "Ships passed in the dark, and their captains were grateful for the light. None of them ever knew his name. "
    "One night nobody lit it. That was the night we heard the sea, all of us, and nobody slept. In the morning we went "
    "up together. The door was open, the lamp was clean, and his coat hung where it had always hung. Since then we "
    "take turns. It is not hard work, once you know the stairs. You learn to count them."
)


def speak(page: bidi.Page, url: str, text: str, title: str) -> None:
    """Paste a text on the first page, and go where its link goes."""
    page.goto(url)
    page.wait_for("document.querySelector('#voice').value === 'af_heart'")
    for field, words in (("text", text), ("title", title)):
        page.evaluate(f"(document.querySelector('#{field}').value = {words!r}, null)")
    page.click("#submit")
    page.wait_load(f"{url}/c/")
    page.wait_for(f"window.castline && {PLAYER}.units.length > 0", timeout_ms=60_000)


def take(page: bidi.Page, url: str) -> None:
    """Both pictures."""
    page.viewport(*CAST)
    speak(page, url, OTHER, "The ice")
    page.wait_for(f"{PLAYER}.over", timeout_ms=60_000)
    speak(page, url, TEXT, "The lighthouse")
    page.click("#play")
    page.wait_for(f"{PLAYER}.currentTime > 8 && {PLAYER}.state === 'playing'", timeout_ms=60_000)
    page.screenshot(DOCS / "cast.png")
    page.viewport(*HOME)
    page.goto(url)
    page.wait_for("document.querySelector('#voice').value === 'af_heart'")
    page.evaluate(f"(document.querySelector('#text').value = {TEXT!r}, null)")
    page.evaluate("document.querySelector('#text').dispatchEvent(new Event('input', { bubbles: true }))")
    page.wait_for("document.querySelector('#recent-list progress:not([hidden])')")
    page.screenshot(DOCS / "home.png")


def main() -> None:
    """A front and a worker that speaks, for as long as it takes."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        sys.exit("pictures: chromium and chromedriver are needed")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
            running.front()
            running.worker("kokoro-onnx")
            running.wait_for_workers(1)
            with bidi.chromium(browser, driver) as session:
                take(bidi.Page(session), running.url())


if __name__ == "__main__":
    main()
