"""The player in real browsers: what sounds is the cast, in order, once, with the text in step."""

from __future__ import annotations

import numpy as np
import pytest
from browser.bidi import Page
from browser.fakecast import RATE, TONE_SAMPLES
from browser.fakefront import FakeFront
from browser.listening import CURRENT, PLAYER, RECORD, assert_same_sound, hear, open_cast, recorded, sentence, start

from contracts.codec import decode_chunk

TONE_S = TONE_SAMPLES / RATE


def test_sound_and_text_are_in_step(page: Page, front: FakeFront) -> None:
    cast = front.cast(units=3)
    cast.speak(3)
    cast.end()
    open_cast(page, front, cast)
    start(page)
    for index in range(3):
        hear(page, index)
        assert page.evaluate(CURRENT) == sentence(index)
    page.wait_for(f"{PLAYER}.state === 'ended'")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(3 * TONE_S)
    assert page.evaluate("document.querySelector('#title').textContent") == "A fake cast"
    assert page.evaluate("document.querySelector('#state').textContent") == "Made: 3 parts, 0:03"
    assert page.complaints() == []


def test_every_sample_is_heard_once_and_in_its_place(page: Page, front: FakeFront) -> None:
    """Across a broken connection, records sent twice and a skipped unit, what comes out is the chunks, joined."""
    cast = front.cast()
    open_cast(page, front, cast)
    page.click("#play")
    rate = page.evaluate(RECORD)
    cast.speak(2)
    page.wait_for(f"{PLAYER}.units.length === 2")
    cast.overlap = 2
    cast.cut()
    cast.skip("Nobody could say this.")
    cast.speak(2)
    cast.end()
    page.wait_for("window.castline.follower.over")
    page.wait_for(f"{PLAYER}.state === 'ended'")
    _, heard = recorded(page)
    expected = np.concatenate([decode_chunk(r.body) for r in cast.records if r.type == "audio"])
    assert rate == RATE
    assert cast.requests == [0, 3]
    assert_same_sound(heard, expected)
    assert page.complaints() == []


def test_a_seek_into_a_sentence_starts_there(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    open_cast(page, front, cast)
    page.click("#play")
    page.evaluate(RECORD)
    page.click("#play")
    cast.speak(1)
    cast.end()
    page.wait_for(f"{PLAYER}.over")
    page.evaluate(f"{PLAYER}.seek(0.5)")
    page.click("#play")
    page.wait_for(f"{PLAYER}.state === 'ended'")
    _, heard = recorded(page)
    assert_same_sound(heard, decode_chunk(cast.records[1].body)[RATE // 2 :])


def test_a_click_on_a_sentence_seeks(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(6)
    cast.end()
    open_cast(page, front, cast)
    start(page)
    hear(page, 0)
    page.click("#transcript li:nth-child(5) button")
    hear(page, 4)
    assert page.evaluate(CURRENT) == sentence(4)
    page.click("#transcript li:nth-child(2) button")
    hear(page, 1)
    assert page.evaluate(CURRENT) == sentence(1)
    assert page.complaints() == []


def test_the_keyboard_plays_pauses_and_seeks(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(9)
    cast.end()
    open_cast(page, front, cast)
    page.press(" ")
    page.wait_for(f"{PLAYER}.state === 'playing'")
    assert page.evaluate("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    page.press(" ")
    page.wait_for(f"{PLAYER}.state === 'paused'")
    before = page.evaluate(f"{PLAYER}.currentTime")
    page.press("Right")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(before + 5)
    page.press("Left")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(before)
    page.wait_for(f"({CURRENT}) === {sentence(0)!r}")
    page.evaluate("document.querySelector('#transcript button[tabindex=\"0\"]').focus()")
    page.press("Down")
    page.press("Down")
    page.press("Enter")
    page.wait_for(f"{PLAYER}.state === 'playing'")
    page.wait_for(f"({CURRENT}) === {sentence(2)!r}")
    page.press(" ")
    page.wait_for(f"{PLAYER}.state === 'paused'")
    assert page.complaints() == []


def test_an_underrun_waits_and_goes_on_by_itself(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(1)
    open_cast(page, front, cast)
    start(page)
    page.wait_for(f"{PLAYER}.state === 'buffering'")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(TONE_S)
    cast.speak(1)
    hear(page, 1)
    assert page.evaluate(f"{PLAYER}.state") == "playing"
    assert page.evaluate(CURRENT) == sentence(1)
    assert page.complaints() == []


def test_a_skipped_unit_is_labelled_and_passed_over(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(1)
    cast.skip("Lost words.")
    cast.speak(1)
    cast.end()
    open_cast(page, front, cast)
    assert page.evaluate("document.querySelector('.skipped s').textContent") == "Lost words."
    assert "the engine died" in page.evaluate("document.querySelector('.skipped .why').textContent")
    start(page)
    hear(page, 0)
    hear(page, 2)
    assert page.complaints() == []


def test_the_position_survives_a_reload(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(8)
    cast.end()
    open_cast(page, front, cast)
    page.click("#transcript li:nth-child(6) button")
    page.wait_for(f"{PLAYER}.state === 'playing'")
    page.press(" ")
    page.wait_for(f"{PLAYER}.state === 'paused'")
    left = page.evaluate(f"{PLAYER}.currentTime")
    page.reload()
    page.wait_for(f"{PLAYER}?.over")
    assert page.evaluate(f"{PLAYER}.currentTime") == pytest.approx(left, abs=0.1)
    start(page)
    hear(page, 5)
    assert page.complaints() == []


def test_little_is_held_decoded(page: Page, front: FakeFront) -> None:
    cast = front.cast(units=120)
    cast.speak(120)
    cast.end()
    open_cast(page, front, cast)
    window_units = (30 + 10 + 10) / TONE_S + 2
    page.wait_for(f"{PLAYER}.decodedCount >= 25")
    for at in (0, 70, 140, 30):
        page.evaluate(f"{PLAYER}.seek({at})")
        page.wait_for(f"{PLAYER}.unitAt({at}).buffer")
        page.wait_for(f"{PLAYER}.units.every((u) => !u.busy)")
        assert page.evaluate(f"{PLAYER}.decodedCount") <= window_units
    assert page.complaints() == []


def test_bytes_that_were_let_go_of_are_fetched_again(page: Page, front: FakeFront) -> None:
    cast = front.cast(units=2)
    cast.speak(2)
    cast.end()
    open_cast(page, front, cast)
    page.wait_for(f"{PLAYER}.units.every((u) => u.buffer)")
    page.evaluate(f"void {PLAYER}.units.forEach((u) => {{ u.buffer = null; u.body = null; }})")
    start(page)
    hear(page, 1)
    assert cast.fetched == [1, 2]


def test_a_chunk_that_does_not_decode_is_said_and_passed_over(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(3)
    cast.spoil(2)
    cast.end()
    open_cast(page, front, cast)
    page.wait_for("!document.querySelector('#problem').hidden")
    assert "MP3" in page.evaluate("document.querySelector('#problem').textContent")
    start(page)
    hear(page, 0)
    hear(page, 2)


def test_the_page_says_where_it_plays(page: Page, front: FakeFront) -> None:
    """The server makes first what is heard soonest: so it is told of play, seek and pause, and again after a break."""
    cast = front.cast()
    cast.speak(3)
    open_cast(page, front, cast)
    assert cast.told == []
    start(page)
    hear(page, 0)
    page.click("#transcript li:nth-child(3) button")
    hear(page, 2)
    page.click("#play")
    page.wait_for(f"{PLAYER}.state === 'paused'")
    said = list(cast.told)
    assert said[0] is not None
    assert said[0] < 1000 * TONE_S
    assert any(at is not None and abs(at - 2000 * TONE_S) < 100 for at in said)
    assert said[-1] is None
    cast.cut()
    cast.speak(1)
    page.wait_for(f"{PLAYER}.units.length === 4")
    assert cast.told[len(said) :] == [None]
