"""The pages in real browsers: what they say and send, under a policy that forbids everything inline or foreign."""

from __future__ import annotations

from browser.bidi import Page
from browser.fakefront import FakeFront
from browser.listening import PLAYER, open_cast


def test_before_the_first_sound_it_tells_the_place_in_line(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    open_cast(page, front, cast)
    line = "In line: 2 other casts come first. First sound in about 40 s."
    page.wait_for(f"document.querySelector('#waiting').textContent === {line!r}")
    page.click("#play")
    cast.position = 0
    page.wait_for("document.querySelector('#waiting').textContent.startsWith('Next in line.')")
    cast.speak(1)
    page.wait_for(f"{PLAYER}.state === 'playing'")
    page.wait_for("document.querySelector('#waiting').hidden")
    assert page.complaints() == []


def test_stopping_takes_two_clicks(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(1)
    open_cast(page, front, cast)
    page.wait_for("!document.querySelector('#links').hidden")
    page.click("#stop")
    assert not cast.records[-1].terminal
    page.click("#stop")
    page.wait_for("document.querySelector('#state').textContent === 'Stopped before its end: 1 of 6 parts'")
    assert page.complaints() == []


def test_a_failure_is_said_in_words(page: Page, front: FakeFront) -> None:
    cast = front.cast()
    cast.speak(1)
    cast.end("error", title="Out of workers", detail="Every worker has gone away.")
    open_cast(page, front, cast)
    page.wait_for("document.querySelector('#problem').textContent === 'Every worker has gone away.'")
    assert page.evaluate("document.querySelector('#state').textContent") == "Failed: 1 of 6 parts"


def test_an_unknown_cast_is_said_in_words(page: Page, front: FakeFront) -> None:
    page.goto(f"{front.url}/c/nowhere")
    page.wait_for("document.querySelector('#state').textContent === 'Nothing here'")
    page.wait_for("window.castline.follower.over")
    assert page.evaluate("document.querySelector('#play').disabled")


def test_the_first_page_makes_a_cast(page: Page, front: FakeFront) -> None:
    front.posted.clear()
    page.goto(front.url)
    page.wait_for("document.querySelectorAll('#voice optgroup').length === 2")
    assert page.evaluate("document.querySelector('#voice').value") == "af_heart"
    page.click("#text")
    page.press("H")
    page.press("i")
    page.press("Control", "Enter")
    page.wait_load(f"{front.url}/c/")
    page.wait_for("window.castline")
    assert front.posted == [{"text": "Hi", "voice": "af_heart", "speed": 1}]
    assert page.complaints() == []


def test_a_problem_is_shown_beside_its_field_and_the_draft_is_kept(page: Page, front: FakeFront) -> None:
    front.problem = {"title": "Too long", "status": 413, "detail": "The text is too long.", "field": "text"}
    try:
        page.goto(front.url)
        page.wait_for("!document.querySelector('#voice').disabled")
        page.click("#text")
        page.press("x")
        page.click("#submit")
        page.wait_for("document.querySelector('#text-error').textContent === 'The text is too long.'")
        assert page.evaluate("document.querySelector('#text').getAttribute('aria-invalid')") == "true"
        page.reload()
        page.wait_for("document.querySelector('#text').value === 'x'")
    finally:
        front.problem = None
