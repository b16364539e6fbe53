"""Players in pages of other sites, in Chromium and Firefox: hls.js, unmodified, while a cast is made; and our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import uvicorn
from browser.bidi import Page
from npm import npm_install
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from contracts.adapters import Address
from load_tests.services import free_port, wait_until
from load_tests.system import System, system
from workers.tts.engines.tone import tone_frequency

HERE = Path(__file__).parent / "hls"
STORY = "The keeper lit the lamp. Nobody had come that way for years. Would anyone come now? He waited all night long."
NEAR_HZ = 25


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a page with hls.js; it is not castline's."""
    folder = npm_install(HERE / "package.json", tmp_path_factory.mktemp("hls"))
    files = {
        "/": HERE / "player.html",
        "/player.js": HERE / "player.js",
        "/hls.js": folder / "node_modules" / "hls.js" / "dist" / "hls.js",
    }
    routes = [Route(path, lambda _, file=file: FileResponse(file)) for path, file in files.items()]
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 30, "the player's server")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("castline")
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_TONE_XRT="1.5")
        running.wait_for_workers(1)
        yield running


@pytest.mark.timeout(180)
def test_hls_js_plays_a_cast_while_it_is_made(page: Page, running: System, player: str) -> None:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        cast = client.post("/v1/casts", json={"voice": "tone", "text": f"{STORY} {uuid4().hex}."}).json()
        page.goto(f"{player}?src={quote(running.url() + cast['links']['hls'], safe='')}")
        page.click("#play")
        page.wait_for("audio.currentTime > 0.3 || fatal.length", timeout_ms=60_000)
        status = client.get(f"/v1/casts/{cast['id']}").json()
        assert status["state"] == "live", "it was heard while it is made"
        page.wait_for("audio.ended || fatal.length", timeout_ms=90_000)
        records = client.get(f"/v1/casts/{cast['id']}/records").json()["records"]
    assert page.evaluate("fatal") == []
    audio = [record for record in records if record["e"] == "audio"]
    assert len(audio) >= 4
    seconds = sum(record["n"] for record in audio) / 24_000
    assert page.evaluate("audio.duration") == pytest.approx(seconds, abs=0.05)
    heard = page.evaluate("tones")
    start = 0.0
    for record in audio:
        end = start + record["n"] / 24_000
        tones = [hz for hz, at in heard if start + 0.25 < at < end - 0.45]  # away from its edges: the pause is silent
        wanted = tone_frequency(record["t"].strip())
        assert tones, f"nothing was heard of {record['t']!r}"
        right = sum(abs(hz - wanted) < NEAR_HZ for hz in tones)
        assert right >= 0.8 * len(tones), f"{record['t']!r} should be {wanted:.0f} Hz: {tones}"
        start = end
    assert page.complaints() == []


EMBED = """new Promise((resolve) => {
  const frame = document.createElement("iframe")
  frame.onload = () => resolve("loaded")
  frame.src = %r
  document.body.append(frame)
})"""


def test_our_player_sounds_and_may_stand_in_pages_of_others(page: Page, running: System, player: str) -> None:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        cast = client.post("/v1/casts", json={"voice": "tone", "text": f"Hello. {uuid4().hex[:6]}."}).json()
        client.get(cast["links"]["audio"]["mp3"])  # to its end
        told = client.get("/oembed", params={"url": running.url() + cast["links"]["page"]}).json()
    [embed] = re.findall(r'<iframe src="([^"]+)"', told["html"])
    page.goto(embed)
    page.click("audio")
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for("document.querySelector('audio').currentTime > 0.2")
    assert page.evaluate("getComputedStyle(document.body).display") == "flex", "its style is let in"
    page.goto(player)
    assert page.evaluate(EMBED % embed) == "loaded"
    assert page.complaints() == []
    assert page.frame().evaluate("document.querySelector('a').textContent") == told["title"]
    page.goto(player)
    page.evaluate(EMBED % (running.url() + cast["links"]["page"]))
    assert page.frame().evaluate("document.querySelector('#title')") is None, "the page itself stays ours"
