"""The page of a cast in real browsers: words, pace, the live edge, the lock screen, links, a network that is gone."""

from __future__ import annotations

import numpy as np
import pytest
from browser.bidi import Page
from browser.fakecast import RATE, TONE_SAMPLES, pitch
from browser.fakefront import FakeFront
from browser.listening import CURRENT, PLAYER, RECORD, hear, open_cast, recorded, report, start

TONE_S = TONE_SAMPLES / RATE
WORD = "document.querySelector('.word[data-now]')?.textContent"
CHANGES = f"""(() => {{
  window.changes = [];
  new MutationObserver(() => {{
    const [word, at] = [{WORD}, {PLAYER}.heardTime];
    if (word && word !== window.changes.at(-1)?.[0]) window.changes.push([word, at]);
  }}).observe(document.querySelector("#transcript"), {{ subtree: true, attributes: true, childList: true }});
  return null;
}})()"""


def test_words_follow_the_sound(page: Page, front: FakeFront) -> None:
    cast = front.cast(units=2)
    cast.speak(2, words=True)
    cast.end()
    open_cast(page, front, cast)
    start(page)
    page.evaluate(CHANGES)
    page.wait_for(f"{PLAYER}.state === 'ended'")
    said = page.evaluate("window.changes")
    expected = [w for r in cast.records[1:3] for w in r.headers["words"]]
    begins = [(index * TONE_S + w["s"] / 1000) for index in (0, 1) for w in cast.records[index + 1].headers["words"]]
    assert [word for word, _ in said][-10:] == [w["w"] for w in expected][-10:]
    late = [at - begin for (_, at), begin in zip(reversed(said), reversed(begins), strict=False)]
    report(
        f"words are shown {1000 * np.median(late):.0f} ms after their sound (median; most: {1000 * max(late):.0f} ms)"
    )
    assert min(late) >= 0
    assert np.median(late) < 0.05
    page.click("#transcript li:nth-child(2) button")
    page.wait_for(f"({CURRENT}) === 'Sentence number 1 of this cast.'")
    page.wait_for("document.querySelectorAll('.word').length === 6")
    page.click("#play")
    page.click(".word:nth-of-type(5)")
    page.wait_for(f"{PLAYER}.state === 'playing'")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(TONE_S * (1 + 4 / 6), abs=0.3)
    assert page.complaints() == []


@pytest.mark.parametrize("speed", [0.5, 1.5, 2])
def test_another_pace_keeps_the_pitch(page: Page, front: FakeFront, speed: float) -> None:
    cast = front.cast(units=3)
    cast.speak(3)
    cast.end()
    open_cast(page, front, cast)
    page.evaluate(
        f"""(() => {{
          document.querySelector("#pace").value = "{speed}";
          document.querySelector("#pace").dispatchEvent(new Event("change"));
          return null;
        }})()"""
    )
    page.click("#play")
    page.evaluate(RECORD)
    page.evaluate(f"{PLAYER}.seek(0)")
    page.wait_for(f"{PLAYER}.state === 'ended'")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(3 * TONE_S)
    _, heard = recorded(page)
    [end] = np.flatnonzero(np.abs(heard) > 0.01)[-1:]
    length = int(TONE_SAMPLES / speed)
    for index in range(3):
        middle = end - int((2.5 - index) * length)
        piece = heard[middle - 4096 : middle + 4096] * np.hanning(8192)
        loudest = np.argmax(np.abs(np.fft.rfft(piece))) * RATE / 8192
        assert abs(loudest - pitch(index)) < 10
        assert np.sqrt(np.mean(heard[middle - 4096 : middle + 4096] ** 2)) == pytest.approx(0.3 / 2**0.5, rel=0.1)
    page.reload()
    page.wait_for("window.castline")
    assert page.evaluate(f"{PLAYER}.speed") == speed
    page.evaluate("(localStorage.removeItem('castline:pace'), null)")
    assert page.complaints() == []


def test_a_pace_keeps_time_linear(page: Page, front: FakeFront) -> None:
    """Clicks in noise come out where they belong, to the few ms that the overlap-add may move them."""
    page.goto(front.url)
    moved = page.evaluate(
        """(async () => {
          const { stretch } = await import("/static/stretch.js");
          const samples = Float32Array.from({ length: 120_000 }, (_, at) => 0.01 * Math.sin(at * at));
          for (let at = 12_000; at < 120_000; at += 12_000) samples[at] = 1;
          return [0.5, 0.75, 1, 1.25, 2].map((speed) => {
            const out = stretch(samples, speed);
            let worst = 0;
            out.forEach((value, at) => {
              if (value < 0.6) return;
              const source = at * speed;
              worst = Math.max(worst, Math.abs(source - 12_000 * Math.round(source / 12_000)));
            });
            return [speed, out.length, worst / 24, Math.max(...samples.map((v, at) => Math.abs(v - out[at])))];
          });
        })()"""
    )
    for speed, length, worst_ms, difference in moved:
        report(f"speed {speed}: {worst_ms:.1f} ms")
        assert length == round(120_000 / speed)
        assert worst_ms < 30
        assert speed != 1 or difference < 1e-6


def test_go_live_jumps_to_the_newest_sentence(page: Page, front: FakeFront) -> None:
    cast = front.cast(units=12)
    cast.speak(8)
    open_cast(page, front, cast)
    start(page)
    hear(page, 0)
    page.wait_for("!document.querySelector('#live').hidden")
    page.click("#live")
    hear(page, 7)
    page.wait_for("document.querySelector('#live').hidden")
    cast.speak(1)
    hear(page, 8)
    cast.end()
    page.wait_for(f"{PLAYER}.state === 'ended'")
    page.evaluate(f"{PLAYER}.seek(0)")
    page.wait_for(f"{PLAYER}.over && document.querySelector('#live').hidden")
    assert page.complaints() == []


def test_links_to_keep_and_to_share(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(1)
    open_cast(page, front, cast)
    page.wait_for("!document.querySelector('#links').hidden")
    links = "[...document.querySelectorAll('#links a')]"
    hrefs = page.evaluate(f"{links}.map((a) => [a.pathname, a.hasAttribute('download')])")
    ends = ("audio.mp3", "audio.opus", "audio.flac", "audio.wav", "captions.vtt")
    assert hrefs == [[f"/v1/casts/{cast.id}/{end}", True] for end in ends]
    page.evaluate("(navigator.share = async (what) => { window.shared = what; }, null)")
    page.evaluate("(document.querySelector('#share').hidden = false, null)")
    page.click("#share")
    page.wait_for("window.shared")
    assert page.evaluate("window.shared") == {"title": "A fake cast · castline", "url": f"{front.url}/c/{cast.id}"}


def test_the_lock_screen_plays_pauses_and_seeks(page: Page, front: FakeFront) -> None:
    page.goto(front.url)
    page.preload(
        """() => {
          MediaSession.prototype.setActionHandler = (action, handler) => ((window.keys ??= {})[action] = handler);
          MediaSession.prototype.setPositionState = (told) => (window.told = told);
        }"""
    )
    cast = front.cast()
    cast.speak(6)
    cast.end()
    open_cast(page, front, cast)
    start(page)
    hear(page, 0)
    assert page.evaluate("navigator.mediaSession.metadata.title") == "A fake cast"
    assert page.evaluate("navigator.mediaSession.playbackState") == "playing"
    page.evaluate("(window.keys.pause(), null)")
    page.wait_for(f"{PLAYER}.state === 'paused' && navigator.mediaSession.playbackState === 'paused'")
    page.evaluate("(window.keys.seekto({ seekTime: 3 }), window.keys.play(), null)")
    hear(page, 2)
    told = {"duration": 6 * TONE_S, "playbackRate": 1, "position": 3}
    assert page.evaluate("window.told") == pytest.approx(told, abs=0.2)
    page.evaluate("(window.keys.nexttrack(), null)")
    hear(page, 3)
    page.evaluate("(window.keys.previoustrack(), null)")
    hear(page, 2)
    assert page.complaints() == []


def test_after_an_interruption_it_goes_on(page: Page, front: FakeFront) -> None:
    """As a call does it: the context stands still without the page's doing, and the page is seen again."""
    cast = front.cast()
    cast.speak(6)
    cast.end()
    open_cast(page, front, cast)
    start(page)
    hear(page, 1)
    page.evaluate(f"{PLAYER}.context.suspend()")
    page.wait_for(f"{PLAYER}.state === 'starting'")
    page.wait_for("document.querySelector('#total').textContent === 'the browser waits: press play'")
    page.evaluate("(document.dispatchEvent(new Event('visibilitychange', { bubbles: true })), null)")
    hear(page, 2)
    page.evaluate(f"{PLAYER}.context.suspend()")
    page.wait_for(f"{PLAYER}.state === 'starting'")
    page.click("#play")
    hear(page, 3)
    assert page.complaints() == []


def test_a_socket_that_says_nothing_any_more_is_left(page: Page, front: FakeFront) -> None:
    """The API knows of records that the socket does not bring: another socket brings them."""
    cast = front.cast()
    cast.speak(1)
    open_cast(page, front, cast)
    cast.deafen()
    cast.speak(2)
    page.wait_for(f"{PLAYER}.units.length === 3", timeout_ms=30_000)
    assert cast.requests == [0, 2]
    assert page.complaints() == []
