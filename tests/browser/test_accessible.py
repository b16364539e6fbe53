"""axe-core finds nothing serious on the pages, light or dark, and nothing of them is wider than a phone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browser.bidi import Page
from browser.conftest import find
from browser.fakefront import FakeFront
from browser.listening import PLAYER, open_cast, report

PHONE = (360, 640)
DESK = (1100, 800)
SERIOUS = {"serious", "critical"}
# What the listener's system would choose; the rules of the style sheet stay as they are.
DARK = """(() => {
  for (const sheet of document.styleSheets)
    for (const rule of sheet.cssRules)
      if (rule.media?.mediaText.includes("dark")) rule.media.mediaText = "all";
  document.documentElement.style.colorScheme = "dark";
  return getComputedStyle(document.body).backgroundColor;
})()"""
STILL = "document.getAnimations().forEach((one) => one.cancel())"


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, as package.json pins it."""
    folder = tmp_path_factory.mktemp("axe")
    shutil.copy(Path(__file__).parent / "package.json", folder)
    command = [find("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0:
        reason = f"NOT TESTED: npm could not install axe-core: {done.stderr[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def violations(page: Page, axe: str) -> list[dict[str, Any]]:
    """Serious ones, with what they are about; the others are printed."""
    found: list[dict[str, Any]] = page.evaluate(
        f"""(() => {{
          {axe};
          return window.axe.run(document, {{ resultTypes: ["violations"] }}).then(({{ violations, passes }}) => {{
            if (passes.length < 10) throw new Error("axe looked at nothing");
            return violations.map(({{ id, impact, nodes }}) => ({{
              id, impact, nodes: nodes.map((node) => node.html.slice(0, 120) + " " + node.failureSummary)
            }}));
          }});
        }})()"""
    )
    report(f"not serious: {json.dumps([one for one in found if one['impact'] not in SERIOUS])}")
    return [one for one in found if one["impact"] in SERIOUS]


def full_home(page: Page, front: FakeFront) -> None:
    """The first page with everything on it: a list, a problem, an address, a mix."""
    cast = front.cast()
    cast.speak(4)
    open_cast(page, front, cast)
    page.wait_for("!document.querySelector('#links').hidden")  # nothing moves any more
    page.click("#transcript li:nth-child(4) button")
    page.wait_for(f"{PLAYER}.state === 'buffering'")
    page.goto(front.url)
    page.wait_for("document.querySelectorAll('#recent-list li').length > 0")
    page.wait_for("!document.querySelector('#voice').disabled")
    front.problem = {"title": "Bad", "status": 422, "detail": "This can not be spoken.", "field": "text"}
    try:
        page.click("#text")
        page.evaluate("document.execCommand('insertText', false, 'https://example.org/a-long-address')")
        page.evaluate("document.querySelector('#voice').focus()")
        page.press("A")
        page.wait_for("!document.querySelector('#mix-field').hidden")
        page.click("#submit")
        page.wait_for("!document.querySelector('#text-error').hidden")
    finally:
        front.problem = None


def full_cast(page: Page, front: FakeFront) -> None:
    """A cast that is being made and heard: words, a sentence that failed, the live edge, every button."""
    cast = front.cast(units=9)
    cast.speak(2, words=True)
    cast.skip("Lost words.")
    cast.speak(3, words=True)
    open_cast(page, front, cast)
    page.wait_for("!document.querySelector('#links').hidden")
    page.click("#play")
    page.wait_for("document.querySelector('.word[data-now]') && !document.querySelector('#live').hidden")
    page.evaluate(f"{PLAYER}.pause()")
    page.wait_for(f"{PLAYER}.state === 'paused'")
    page.evaluate("(document.querySelector('#share').hidden = false, null)")


PAGES = {"home": full_home, "cast": full_cast}


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_serious_light_or_dark(
    page: Page, front: FakeFront, axe: str, name: str, size: tuple[int, int]
) -> None:
    page.viewport(*size)
    PAGES[name](page, front)
    page.evaluate(STILL)
    assert violations(page, axe) == []
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert page.evaluate(DARK) != light
    page.evaluate(STILL)
    assert violations(page, axe) == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_phone(page: Page, front: FakeFront, name: str) -> None:
    page.viewport(*PHONE)
    PAGES[name](page, front)
    wide, seen, all_of_it = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
    )
    assert wide <= seen <= all_of_it == PHONE[0]
    outside = page.evaluate(
        """[...document.body.querySelectorAll("button, a, input, select, textarea, p, h1, h2, label")]
          .filter((e) => e.checkVisibility() && !e.closest(".unseen"))
          .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
          .map((e) => e.outerHTML.slice(0, 100))"""
    )
    assert outside == []


def test_every_control_of_a_cast_is_reached_by_the_keyboard(page: Page, front: FakeFront) -> None:
    full_cast(page, front)
    page.evaluate("(document.activeElement.blur(), scrollTo(0, 0), null)")
    reached: list[str] = []
    for _ in range(30):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = {"play", "seek", "live", "pace", "copy", "share", "mp3", "opus", "flac", "wav", "vtt", "stop", "wordmark"}
    assert wanted <= set(reached)
