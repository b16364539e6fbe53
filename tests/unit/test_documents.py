"""Text of documents, kind by kind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts import text
from contracts.errors import NothingToSpeak, TextTooLong
from producer_api.documents import declared_kind, read
from producer_api.documents.document import ReaderMissing, UnknownKind, UnreadableDocument, language_tag
from producer_api.documents.kinds import Kind, media_type, sniff
from producer_api.documents.reader import Reader

PROSE = "The keeper lit the lamp, and nobody came that evening, although ships passed in the dark beyond the cliff. "


def paragraphs(data: str | bytes, kind: Kind, charset: str | None = None) -> list[str]:
    found = read(data.encode() if isinstance(data, str) else data, kind, charset=charset)
    return found.text.split("\n\n")


# --- which kind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "name", "kind"),
    [
        ("text/markdown", "story.txt", "markdown"),
        ("text/plain", "story.md", "markdown"),
        ("text/plain", "", "text"),
        ("application/octet-stream", "Story.EPUB", "epub"),
        ("", "a/b/page.htm", "html"),
        ("application/x-www-form-urlencoded", "letter.docx", "docx"),
        ("TEXT/HTML", "", "html"),
        ("", "LICENSE", None),
        ("application/zip", "", None),
    ],
)
def test_a_type_and_a_name_say_what_it_is(media_type: str, name: str, kind: Kind | None) -> None:
    assert declared_kind(media_type, name) == kind


def test_other_types_are_refused() -> None:
    for kind in ("application/pdf", "image/png", "multipart/form-data"):
        with pytest.raises(UnknownKind, match="are not read") as caught:
            declared_kind(kind, "book.epub")
        assert caught.value.status == 415


def test_a_header_that_is_made_to_be_slow_is_not_parsed() -> None:
    assert media_type('text/html; charset="utf-8"') == ("text/html", "utf-8")
    assert media_type('text/plain; a="' + ";" * 300_000) == ("text/plain", None)


@pytest.mark.parametrize("charset", ["unicode_escape", "raw-unicode-escape", "utf-7"])
def test_charsets_that_no_document_is_in_are_not_believed(charset: str) -> None:
    assert paragraphs(rb"Hello \ud800 world", "text", charset) == [r"Hello \ud800 world"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xef\xbb\xbf <!DOCTYPE HTML><p>a", "html"),
        (b'<?xml version="1.0"?><html>', "html"),
        (b"Once <b>upon", "text"),
    ],
)
def test_first_bytes_say_what_it_is(data: bytes, kind: Kind) -> None:
    assert sniff(data) == kind


@pytest.mark.parametrize("data", [b"%PDF-1.7 ...", b"PK\x03\x04 no archive"])
def test_what_is_not_read_is_told_by_its_first_bytes(data: bytes) -> None:
    with pytest.raises(UnknownKind):
        sniff(data)


# --- text ----------------------------------------------------------------------------------------------------

GERMAN = "Über die Brücke gingen früher täglich Züge, heute fährt dort längst keiner mehr; nur Füchse grüßen. "


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "iso-8859-15"])
def test_text_in_any_usual_encoding(encoding: str) -> None:
    found = read((GERMAN * 3).encode(encoding), "text", name="dir/Brücke.txt")
    assert (found.text, found.title, found.language) == ((GERMAN * 3).strip(), "Brücke", None)


def test_a_declared_charset_goes_before_a_guess_and_a_wrong_one_does_no_harm() -> None:
    assert paragraphs("Ж".encode("koi8-r"), "text", "koi8-r") == ["Ж"]
    assert paragraphs((GERMAN * 3).encode("cp1252"), "text", "utf-8") == [(GERMAN * 3).strip()]
    assert paragraphs(GERMAN, "text", "us-ascii-like") == [GERMAN.strip()]
    assert paragraphs(GERMAN, "text", "no-such-charset") == [GERMAN.strip()]
    assert paragraphs("a-mnchen-", "text", "punycode") == ["a-mnchen-"]
    assert paragraphs(b"it\x92s", "text", "iso-8859-1") == ["it’s"]  # what browsers take it for


@pytest.mark.parametrize("data", [b"\xff\xfeodd", b"\x00\x01\x02", bytes(range(256)) * 4, b"\xef\xbb\xbf\xff"])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        read(data, "text")


@pytest.mark.parametrize("kind", ["text", "markdown", "html"])
@pytest.mark.parametrize("data", [b"", b" \n\n ", b"\xef\xbb\xbf"])
def test_empty_documents_hold_nothing_to_speak(kind: Kind, data: bytes) -> None:
    with pytest.raises(NothingToSpeak):
        read(data, kind)


def test_a_text_over_the_bound_is_refused() -> None:
    with pytest.raises(TextTooLong) as caught:
        read(b"a" * 11, "text", max_chars=10)
    assert (caught.value.length, caught.value.limit) == (11, 10)


# --- markdown ------------------------------------------------------------------------------------------------

MARKDOWN = """---
title: "The lamp"
lang: en-gb
date: 2026-11-21
---

# A *night* at sea

He waited
for [the ship](https://example.org/ship) and saw <https://www.example.org/a?b=c>.

```python
print("not this")
```

    nor this

- one
- two
  1. inner
  2. second

3. three
4. four!

| Ship | Year |
|------|------|
| Anna | 1901 |
| Berta | |

> Quoted `words` here.

![not the picture](lamp.png)

***

<script>alert(1)</script> Done
"""


def test_markdown_is_read_as_a_person_would() -> None:
    found = read(MARKDOWN.encode(), "markdown", name="x.md")
    assert (found.title, found.language) == ("The lamp", "en-GB")
    assert found.text.split("\n\n") == [
        "A night at sea.",
        "He waited for the ship and saw example.org.",
        "one.",
        "two.",
        "1. inner.",
        "2. second.",
        "3. three.",
        "4. four!",
        "Ship, Year.",
        "Anna, 1901.",
        "Berta.",
        "Quoted words here.",
        "Done.",
    ]


def test_markdown_without_front_matter_is_called_as_its_first_heading() -> None:
    assert read(b"Intro\n\n# Head *line*\n\ntext", "markdown", name="x.md").title == "Head line"
    assert read(b"---\nno end of this\n\ntext", "markdown", name="dir/x.md").title == "x"


def test_paragraphs_of_a_document_are_pauses_of_its_cast() -> None:
    units = [unit.strip() for unit in text.split_units(text.normalise(read(MARKDOWN.encode(), "markdown").text), "en")]
    assert units[0] == "A night at sea."
    assert "Anna, 1901." in units
    assert "3. three." in units


# --- html ----------------------------------------------------------------------------------------------------

PAGE = f"""<!DOCTYPE html><html lang="en_GB"><head><meta charset="utf-8"><title>The lamp - News</title>
<meta property="og:title" content="The lamp"><style>p {{}}</style></head><body>
<nav><ul><li><a href="/">Home</a><li><a href="/w">World</a></ul></nav>
<div class="cookie-banner">We use cookies. <button>Accept</button></div>
<article><h1>The&nbsp;lamp</h1><p>{PROSE}<sup><a href="#n1">[1]</a></sup></p>
<h2>Two ships</h2><p>{PROSE}See <a href="/s">the list</a>, or <a href="https://www.example.org/x">https://www.example.org/x</a>.
<p hidden>Not this.</p><p style="display: none">Nor this.</p>
<ol><li>First<li><p>Second</p></ol>
<table><tr><th>Ship<th>Year</tr><tr><td><p>Anna</p><td>1901</tr></table>
<pre><code>print("x")</code></pre>
<p>Then <code>lamp on</code> ran once, and that was all there was to do that night.</p>
<p>First line<br>second line<br><br>New paragraph</p></article>
<aside><h3>Related</h3><ul><li><a href="/1">Ten lamps you must see</a></li></ul></aside>
<footer>© Example News. <a href="/i">Imprint</a></footer></body></html>"""


def test_of_a_page_its_main_content_is_read() -> None:
    found = read(PAGE.encode(), "html")
    assert (found.title, found.language) == ("The lamp", "en-GB")
    blocks = found.text.split("\n\n")
    assert blocks[0] == "The lamp."
    assert blocks[1] == PROSE.strip()
    assert blocks[2] == "Two ships."
    assert blocks[3] == f"{PROSE}See the list, or example.org."
    assert blocks[4:8] == ["1. First.", "2. Second.", "Ship, Year.", "Anna, 1901."]
    assert blocks[8].startswith("Then lamp on ran once")
    for left_out in ("Home", "cookies", "Not this", "Nor this", "print", "[1]", "Ten lamps", "Imprint", "https"):
        assert left_out not in found.text


def test_the_title_is_said_once() -> None:
    body = f"<article>{{}}<p>{PROSE}</p><p>{PROSE}</p><p>{PROSE}</p></article>"
    for heading, title, start in (
        ("<h1>The lamp <button>Copy</button></h1>", "News", "The lamp."),
        ("<h1>The lamp</h1><h1>Again</h1>", "The lamp - News", "The lamp."),
        ("", "The lamp - News", "The lamp - News."),
    ):
        text = read(f"<title>{title}</title>{body.format(heading)}".encode(), "html").text
        assert text.startswith(f"{start}\n\n")
        assert text.count("The lamp") == 1


def test_a_short_page_is_read_whole_but_for_what_is_around_it() -> None:
    page = "<title>A note</title><nav>Home</nav><p>One</p><div>Two <b>bold</b> words</div>"
    page += "<ol><li>a<li>b</ol><footer>I</footer>"
    assert paragraphs(page, "html") == ["One.", "Two bold words.", "1. a.", "2. b."]
    assert read(page.encode(), "html").title == "A note"


def test_html_in_the_charset_it_names() -> None:
    page = f'<meta charset="koi8-r"><p>{"Маяк светил всю ночь. " * 3}</p>'
    assert paragraphs(page.encode("koi8-r"), "html") == [("Маяк светил всю ночь. " * 3).strip()]
    http = "<p>Маяк</p>".encode("cp1251")
    assert paragraphs(http, "html", "windows-1251") == ["Маяк."]


def test_layout_made_of_tables_is_no_table() -> None:
    page = f"<table><tr><td><p>{PROSE}</p><p>{PROSE}</p></td><td><table><tr><td>a<td>b</table></td></tr></table>"
    assert paragraphs(page, "html") == [PROSE.strip(), PROSE.strip(), "a, b."]


def test_other_scripts_end_in_their_own_full_stop() -> None:
    page = "<h1>灯台</h1><p><ruby>灯<rt>とう</rt></ruby>台は立っていた。</p><p>شمعة؟</p>"
    assert paragraphs(page, "html") == ["灯台。", "灯台は立っていた。", "شمعة؟"]


@pytest.mark.parametrize(
    ("given", "tag"),
    [("en", "en"), ("pt_br", "pt-BR"), ("zh-Hant-tw", "zh-Hant-TW"), ("und", None), ("klingon!", None)],
)
def test_tags_of_languages(given: str, tag: str | None) -> None:
    assert language_tag(given) == tag


# --- what is missing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("html", "lxml"),
        ("markdown", "markdown_it"),
        ("epub", "lxml"),
        ("docx", "mammoth"),
        ("text", "charset_normalizer"),
    ],
)
def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(("producer_api.documents.", package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Exception, match=rf'needs {package}.*pip install "castline\[documents\]"') as caught:
        read(b"\xfc\xe4 no UTF-8", kind)
    assert type(caught.value).__name__ == ReaderMissing.__name__
    assert str(caught.value).count("\n") == 0


# --- the process it is done in -------------------------------------------------------------------------------


async def test_the_reading_process_knows_none_of_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTLINE_SECRET", "a secret for tests only")
    environments: list[dict[str, str]] = []
    start = asyncio.create_subprocess_exec

    async def seen(*command: str, env: dict[str, str], **pipes: Any) -> asyncio.subprocess.Process:
        environments.append(env)
        return await start(*command, env=env, **pipes)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", seen)
    (tmp_path / "note.txt").write_text("He waited.")
    with (tmp_path / "note.txt").open("rb") as file:
        found = await Reader(limit_s=30, max_chars=1_000).read(file, "text", None, "note.txt")
    assert found.text == "He waited."
    [environment] = environments
    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("CASTLINE_")]
