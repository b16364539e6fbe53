"""The first page in real browsers: documents, voices, and the casts of this browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.bidi import Page
from browser.fakefront import FakeFront
from browser.listening import PLAYER, open_cast

TEXT = "document.querySelector('#text').value"
TITLE = "document.querySelector('#title').value"
STATE = "document.querySelector('#source-state').textContent"
SHELF = "JSON.parse(localStorage.getItem('castline:casts') ?? '[]')"


@pytest.fixture
def home(page: Page, front: FakeFront) -> Iterator[Page]:
    """The first page, its voices there, nothing remembered."""
    front.posted.clear()
    front.texts.clear()
    front.document = {"title": "A book", "text": "Il était une fois.", "language": "fr"}
    page.goto(front.url)
    page.evaluate("(localStorage.clear(), sessionStorage.clear(), null)")
    page.reload()
    page.wait_for("!document.querySelector('#voice').disabled")
    yield page
    page.evaluate("(localStorage.clear(), sessionStorage.clear(), null)")


def drop(page: Page, name: str, content: str) -> None:
    """Drop a file onto the page, as far as a script can."""
    page.evaluate(
        f"""(() => {{
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([{json.dumps(content)}], {json.dumps(name)}));
          for (const type of ["dragenter", "dragover", "drop"])
            document.querySelector("#text").dispatchEvent(
              new DragEvent(type, {{ dataTransfer, bubbles: true, cancelable: true }}));
          return null;
        }})()"""
    )


def test_a_text_file_is_read_in_the_browser(home: Page, front: FakeFront, tmp_path: Path) -> None:
    (file := tmp_path / "A letter.txt").write_text("Dear Ada, the café is open.")
    home.choose_file("#file", file)
    home.wait_for(f"{STATE} === 'Read A letter.txt.'")
    assert home.evaluate(TEXT) == "Dear Ada, the café is open."
    assert home.evaluate(TITLE) == "A letter"
    drop(home, "other.txt", "Dropped.")
    home.wait_for(f"{TEXT} === 'Dropped.'")
    assert front.texts == []
    home.click("#submit")
    home.wait_load(f"{front.url}/c/")
    assert front.posted == [{"text": "Dropped.", "voice": "af_heart", "speed": 1, "title": "other"}]
    assert home.complaints() == []


def test_a_text_file_of_another_encoding_goes_to_the_server(home: Page, front: FakeFront, tmp_path: Path) -> None:
    (file := tmp_path / "old.txt").write_bytes("Der Käse".encode("latin-1"))
    home.choose_file("#file", file)
    home.wait_for(f"{STATE} === 'Read old.txt.'")
    assert front.texts == [("old.txt", "text/plain", "Der Käse".encode("latin-1"))]


def test_a_document_is_read_by_the_server_and_chooses_a_voice_of_its_language(
    home: Page, front: FakeFront, tmp_path: Path
) -> None:
    (file := tmp_path / "A & B.epub").write_bytes(b"PK of a book")
    home.choose_file("#file", file)
    home.wait_for(f"{STATE} === 'Read A & B.epub.'")
    assert front.texts == [("A & B.epub", "application/epub+zip", b"PK of a book")]
    assert home.evaluate(TEXT) == "Il était une fois."
    assert home.evaluate(TITLE) == "A book"
    assert home.evaluate("document.querySelector('#voice').value") == "ff_siwis"
    drop(home, "notes.md", "# Notes")
    home.wait_for(f"{STATE} === 'Read notes.md.'")
    assert front.texts[1] == ("notes.md", "text/markdown", b"# Notes")
    assert home.complaints() == []


def test_a_lone_address_can_be_read(home: Page, front: FakeFront) -> None:
    assert home.evaluate("document.querySelector('#read-page').hidden")
    home.click("#text")
    home.evaluate("document.execCommand('insertText', false, ' https://example.org/a?b=c ')")
    home.wait_for("!document.querySelector('#read-page').hidden")
    home.click("#read-page")
    home.wait_for(f"{TEXT} === 'Il était une fois.'")
    [(_, kind, body)] = front.texts
    assert (kind, json.loads(body)) == ("application/json", {"url": "https://example.org/a?b=c"})
    assert home.evaluate("document.querySelector('#read-page').hidden")


def test_what_can_not_be_read_is_said_and_the_text_stays(home: Page, front: FakeFront) -> None:
    front.document = {"title": "Not readable", "status": 422, "detail": "This EPUB has no text."}
    home.click("#text")
    home.press("x")
    drop(home, "bad.epub", "?")
    home.wait_for("document.querySelector('#text-error').textContent === 'This EPUB has no text.'")
    assert home.evaluate(TEXT) == "x"
    assert home.evaluate("document.querySelector('#drop').getAttribute('aria-busy')") is None


def test_a_voice_is_heard_in_place_and_mixes_are_text(home: Page, front: FakeFront) -> None:
    assert home.evaluate("document.querySelector('#voice optgroup').label") == "American English"
    home.click("#preview")
    home.wait_for("document.querySelector('#preview-note').textContent === 'Playing.'")
    home.wait_for("document.querySelector('#preview').textContent === 'Hear it'")
    assert front.posted[0]["voice"] == "af_heart"
    assert home.evaluate("document.querySelector('#mix-field').hidden")
    home.evaluate("document.querySelector('#voice').focus()")
    home.press("A")
    home.wait_for("document.querySelector('#voice').value === 'mix'")
    home.wait_for("!document.querySelector('#mix-field').hidden")
    home.click("#mix")
    home.evaluate("document.execCommand('insertText', false, 'af_heart(2)+ff_siwis')")
    home.click("#preview")
    home.wait_for("document.querySelector('#preview').textContent === 'Stop'")
    home.wait_for("document.querySelector('#preview-note').textContent === 'Playing.'")
    home.click("#preview")
    home.wait_for("document.querySelector('#preview').textContent === 'Hear it'")
    assert front.posted[1]["voice"] == "af_heart(2)+ff_siwis"
    assert home.evaluate(SHELF) == []
    assert home.complaints() == []


def test_the_casts_of_this_browser_are_listed(home: Page, front: FakeFront) -> None:
    done, growing = front.cast(), front.cast()
    done.speak(6)
    done.end()
    growing.speak(1)
    open_cast(home, front, done)
    home.click("#transcript li:nth-child(5) button")
    home.wait_for(f"{PLAYER}.state === 'playing'")
    home.press(" ")
    home.wait_for(f"{PLAYER}.state === 'paused'")
    open_cast(home, front, growing)
    home.goto(front.url)
    rows = "[...document.querySelectorAll('#recent-list li')]"
    home.wait_for(f"{rows}.length === 2 && {rows}[0].textContent.includes('being made, 1 of 6 parts')")
    assert home.evaluate(f"{rows}.map((row) => row.dataset.id)") == [growing.id, done.id]
    assert "made, 0:07, resume at 0:04" in home.evaluate(f"{rows}[1].textContent")
    growing.speak(5)
    growing.end()
    home.wait_for(f"/: made/.test({rows}[0].textContent)")
    home.click("#recent-list li:nth-child(1) button")
    home.wait_for(f"{rows}.length === 1")
    assert home.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove A fake cast from the list"
    assert [entry["id"] for entry in home.evaluate(SHELF)] == [done.id]
    home.click("#recent-list li a")
    home.wait_load(f"{front.url}/c/{done.id}")
    home.wait_for("window.castline?.player.over")
    assert home.evaluate(f"{PLAYER}.currentTime") == pytest.approx(4.8, abs=1.2)
    assert home.complaints() == []


def test_the_list_is_bounded_and_forgets_what_is_gone(home: Page, front: FakeFront) -> None:
    many = [{"id": f"gone{n}", "title": "Old", "opened": 0, "state": "done"} for n in range(60)]
    home.evaluate(f"(localStorage.setItem('castline:casts', {json.dumps(json.dumps(many))}), null)")
    cast = front.cast()
    open_cast(home, front, cast)
    assert [entry["id"] for entry in home.evaluate(SHELF)] == [cast.id, *(f"gone{n}" for n in range(49))]
    home.goto(f"{front.url}/c/gone0")
    home.wait_for("document.querySelector('#state').textContent === 'Nothing here'")
    home.wait_for(f"!({SHELF}).some((book) => book.id === 'gone0')")
