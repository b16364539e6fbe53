"""Real speech through the whole system into real browsers: what sounds is what the log has, in step with its text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from browser.bidi import Page, Session
from browser.listening import CURRENT, PLAYER, RECORD, Sound, assert_same_speech, place, recorded, report
from browser.network import Network, network

from contracts.adapters import Address
from contracts.codec import decode_chunk
from load_tests.services import wait_until
from load_tests.system import system

RATE = 24_000
AUDIBLE = 0.02
"""RMS."""
AWAY_S = 5.0
IN_STEP_S = 0.05
FIRST = (
    "The old lighthouse stood at the edge of the cliff. Every evening the keeper climbed the stairs and lit the lamp. "
)
THEN = "Ships passed in the dark. Their captains were grateful for the light, and none of them ever knew his name. "
LAST = "One night nobody lit it. That was the night we heard the sea."
STEPS = f"""(() => {{
  window.steps = [];
  const context = {PLAYER}.context;
  new MutationObserver(() => {{
    const said = {CURRENT};
    const {{ contextTime, performanceTime }} = context.getOutputTimestamp(); // what left the device, and when
    if (said && said !== window.steps.at(-1)?.[0])
      window.steps.push([said, contextTime + (performance.now() - performanceTime) / 1000]);
  }}).observe(document.querySelector("#transcript"), {{ subtree: true, attributes: true }});
  return null;
}})()"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A front and an eSpeak worker on SQLite, behind a network of ours."""
    directory = tmp_path_factory.mktemp("speaking")
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory, PYTHONPATH=paths) as running:
        running.front("browser.listened_front")
        running.worker("espeak")
        running.wait_for_workers(1)
        with network(int(running.url().rpartition(":")[2])) as between:
            yield between


@pytest.fixture
def http(speaking: Network) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=speaking.direct, timeout=60, trust_env=False) as client:
        yield client


def opened(http: httpx.Client, text: str) -> str:
    """An open cast that speaks this and waits for more."""
    job: str = http.post("/v1/casts", json={"open": True, "voice": "espeak-en-us", "title": "Lights"}).json()["id"]
    write(http, job, text)
    return job


def write(http: httpx.Client, job: str, text: str, *, close: bool = False) -> None:
    http.post(f"/v1/casts/{job}/text?close={str(close).lower()}", content=text.encode()).raise_for_status()


def spoken(http: httpx.Client, job: str) -> list[Sound]:
    """The sentences of a finished cast, from its log."""
    wait_until(lambda: http.get(f"/v1/casts/{job}").json()["state"] == "done", 60, "the cast")
    units = http.get(f"/v1/casts/{job}").json()["units"]
    return [decode_chunk(http.get(f"/v1/casts/{job}/records/{seq}").content) for seq in range(1, units + 1)]


def listen(page: Page, url: str) -> None:
    """Open the page of a cast, and press play with the recorder on."""
    page.goto(url)
    page.wait_for(f"window.castline && {PLAYER}.units.length > 0")
    record_from_the_start(page)


def record_from_the_start(page: Page) -> None:
    """Press play; what sounds from the first sample on is kept."""
    page.click("#play")
    page.wait_for(f"{PLAYER}.context?.state === 'running'")
    page.click("#play")
    assert page.evaluate(RECORD) == RATE
    page.evaluate(STEPS)
    page.evaluate(f"{PLAYER}.seek(0)")
    page.click("#play")


def ended(page: Page) -> tuple[int, Sound]:
    """Wait for the end; the recording."""
    page.wait_for(f"{PLAYER}.state === 'ended'", timeout_ms=50_000)
    return recorded(page)


def test_what_is_pasted_is_heard_and_the_text_keeps_step(page: Page, speaking: Network, http: httpx.Client) -> None:
    page.goto(speaking.url)
    page.wait_for("!document.querySelector('#voice').disabled")
    page.wait_for("document.querySelector('#voice').value.startsWith('espeak')")
    page.click("#text")
    page.evaluate(f"document.execCommand('insertText', false, {FIRST + THEN + LAST!r})")
    page.click("#submit")
    page.wait_load(f"{speaking.url}/c/")
    page.wait_for(f"window.castline && {PLAYER}.units.length > 0")
    job = page.evaluate("location.pathname").rpartition("/")[2]
    record_from_the_start(page)
    began, heard = ended(page)
    sentences = spoken(http, job)
    at = assert_same_speech(heard, sentences)
    loud = np.sqrt(np.mean(heard[at:] ** 2))
    assert loud > AUDIBLE
    onsets = (began + at + np.cumsum([len(sentence) for sentence in sentences])[:-1]) / RATE  # from the second on
    shown = page.evaluate("window.steps")[-len(onsets) :]
    late = np.array([time - onset for (_, time), onset in zip(shown, onsets, strict=True)])
    report(f"captions are {1000 * np.median(late):.0f} ms late (median; most: {1000 * np.max(np.abs(late)):.0f} ms)")
    assert abs(np.median(late)) < IN_STEP_S
    assert page.complaints() == []


def test_a_reload_while_it_is_made_goes_on_where_it_was(page: Page, speaking: Network, http: httpx.Client) -> None:
    job = opened(http, FIRST + THEN)
    listen(page, f"{speaking.url}/c/{job}")
    page.wait_for(f"{PLAYER}.currentTime > 4")
    page.reload()
    page.wait_for(f"window.castline && {PLAYER}.currentTime > 0")
    left = page.evaluate(f"{PLAYER}.currentTime")
    assert left > 3.5
    write(http, job, LAST, close=True)
    page.click("#play")
    page.wait_for(f"{PLAYER}.context?.state === 'running'")
    page.click("#play")
    page.evaluate(RECORD)
    page.evaluate(f"{PLAYER}.seek({left})")
    page.click("#play")
    _, heard = ended(page)
    rest = np.concatenate(spoken(http, job))[round(left * RATE) :]
    assert_same_speech(heard, [rest])
    assert page.complaints() == []


def test_a_seek_is_heard_from_there(page: Page, speaking: Network, http: httpx.Client) -> None:
    job = opened(http, FIRST)
    write(http, job, LAST, close=True)
    sentences = spoken(http, job)
    listen(page, f"{speaking.url}/c/{job}")
    page.wait_for(f"{PLAYER}.over")
    page.click(f"#transcript li:nth-child({len(sentences)}) button")
    _, heard = ended(page)
    at = place(heard, sentences[-1])
    assert_same_speech(heard[at - RATE // 50 :], sentences[-1:])  # 20 ms before it what sounded has faded


def test_five_seconds_without_a_network(page: Page, speaking: Network, http: httpx.Client) -> None:
    """What is there goes on; what was made meanwhile comes when the network is back; nothing is missed or doubled."""
    job = opened(http, FIRST + THEN)
    listen(page, f"{speaking.url}/c/{job}")
    page.wait_for(f"{PLAYER}.state === 'playing'")
    at = page.evaluate(f"{PLAYER}.currentTime")
    with speaking.taken_away() as cut:
        assert cut > 0
        page.wait_for("!document.querySelector('#connection').hidden")
        write(http, job, LAST, close=True)
        page.wait_for(f"{PLAYER}.currentTime > {at + AWAY_S}")
        assert page.evaluate(f"{PLAYER}.state") == "playing"
        assert not page.evaluate(f"{PLAYER}.over")
    page.wait_for("window.castline.follower.over")
    assert page.evaluate("document.querySelector('#connection').hidden")
    _, heard = ended(page)
    assert_same_speech(heard, spoken(http, job))


def test_two_tabs_hear_the_same(page: Page, browser: Session, speaking: Network, http: httpx.Client) -> None:
    job = opened(http, FIRST)
    other = Page(browser)
    try:
        listen(page, f"{speaking.url}/c/{job}")
        other.activate()
        listen(other, f"{speaking.url}/c/{job}")
        write(http, job, LAST, close=True)
        sentences = spoken(http, job)
        mine, theirs = (ended(tab)[1] for tab in (page, other))
        begin, there = (assert_same_speech(heard, sentences) for heard in (mine, theirs))
        length = sum(map(len, sentences))
        pair = mine[begin : begin + length], theirs[there : there + length]
        assert np.corrcoef(*pair)[0, 1] > 0.999  # a unit may begin between two samples of one tab's clock
    finally:
        other.close()
