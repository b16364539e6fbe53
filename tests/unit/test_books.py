"""EPUB and DOCX, and archives that are made to break their reader."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from books import CONTAINER, chapter, docx, epub, opf, packed, paragraph

from contracts.errors import BadInput, NothingToSpeak
from producer_api.documents import archive, read
from producer_api.documents.document import DocumentTooLarge, UnknownKind, UnreadableDocument
from producer_api.documents.kinds import sniff

NAV = (
    '<nav epub:type="toc"><ol><li><a href="two.xhtml#start">The second chapter</a></li>'
    '<li><a href="one.xhtml">Chapter one</a></li></ol></nav>'
)
NAV_ITEM = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]>"
)
"""Billion laughs: &j; is 10 GB."""


def test_a_book_is_read_in_the_order_of_its_spine_with_titles() -> None:
    chapters = {
        "cover": chapter('<img src="cover.jpg" alt="Cover"/>'),
        "toc": chapter("<h1>Contents</h1><p>Chapter one</p>", "toc"),
        "two": chapter(
            '<p>It rained.<a epub:type="noteref" href="#n">1</a></p><aside epub:type="footnote">No.</aside>'
        ),
        "one": chapter("<h1>Chapter one</h1><p>He waited&#160;long &amp; slept.</p><ul><li>rope</li></ul>"),
        "nav": chapter(NAV),
    }
    found = read(epub(chapters, extra=NAV_ITEM), "epub", name="x.epub")
    assert (found.title, found.language) == ("The lamp & the sea", "en-GB")
    assert found.text.split("\n\n") == [
        "The second chapter.",
        "It rained.",
        "Chapter one.",
        "He waited long & slept.",
        "rope.",
    ]


def test_a_book_of_the_second_version_has_its_titles_from_its_ncx() -> None:
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>The sea</text></navLabel>'
        '<content src="one.xhtml"/></navPoint></navMap></ncx>'
    )
    book = epub(
        {"one": chapter("<p>It was calm.</p>"), "index": chapter("<p>Left out</p>")},
        {"OPS/toc.ncx": ncx},
        extra='<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>',
        toc=' toc="ncx"',
        guide='<guide><reference type="toc" href="index.xhtml"/></guide>',
    )
    assert read(book, "epub").text == "The sea.\n\nIt was calm."


def test_a_protected_book_says_so_and_obfuscated_fonts_are_no_protection() -> None:
    encryption = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
        'xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="OPS/{}"/></CipherData>'
        "</EncryptedData></encryption>"
    )
    one = {"one": chapter("<p>Hello.</p>")}
    with pytest.raises(UnreadableDocument, match="DRM"):
        read(epub(one, {"META-INF/encryption.xml": encryption.format("one.xhtml")}), "epub")
    assert read(epub(one, {"META-INF/encryption.xml": encryption.format("font.otf")}), "epub").text == "Hello."


def test_a_letter_is_read_with_its_headings_and_tables() -> None:
    row = f"<w:tr><w:tc>{paragraph('Anna')}</w:tc><w:tc>{paragraph('1901')}</w:tc></w:tr>"
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A letter</dc:title><dc:language>de</dc:language>'
        "</cp:coreProperties>"
    )
    body = paragraph("Dear Anna", "Heading1") + paragraph("It rains &amp; rains.") + f"<w:tbl>{row}</w:tbl>"
    found = read(docx(body, core), "docx")
    assert (found.title, found.language) == ("A letter", "de")
    assert found.text.split("\n\n") == ["Dear Anna.", "It rains & rains.", "Anna, 1901."]


def test_archives_are_told_apart() -> None:
    assert sniff(epub({"one": chapter("a")})) == "epub"
    assert sniff(docx(paragraph("a"))) == "docx"
    with pytest.raises(UnknownKind, match="neither EPUB nor DOCX"):
        sniff(packed({"a.txt": "a"}))


# --- hostile -------------------------------------------------------------------------------------------------


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = epub({"one": chapter("<p>" + "a" * (8 << 20) + "</p>")})
    assert len(bomb) < 20_000
    with pytest.raises(DocumentTooLarge, match="200 times"):
        read(bomb, "epub")
    with pytest.raises(DocumentTooLarge, match="200 times"):
        read(docx(paragraph("a" * (8 << 20))), "docx")


def test_many_files_and_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentTooLarge, match="files"):
        read(packed({f"{n}": b"" for n in range(archive.MAX_FILES + 1)}), "epub")
    monkeypatch.setattr(archive, "MAX_BYTES", 10_000)
    chapters = {f"c{n}": chapter("<p>" + "word " * 500 + "</p>") for n in range(10)}
    with pytest.raises(DocumentTooLarge, match="larger than"):
        read(epub(chapters), "epub")


def test_one_chapter_named_a_thousand_times_is_read_once() -> None:
    package = opf({"one": ""}).replace("</spine>", '<itemref idref="one"/>' * 1_000 + "</spine>")
    files = {"META-INF/container.xml": CONTAINER, "OPS/book.opf": package, "OPS/one.xhtml": chapter("<p>Once.</p>")}
    assert read(packed(files), "epub").text == "Once."


def test_entities_are_not_expanded() -> None:
    in_chapter = chapter("<p>&j; Calm.</p>").replace("<html", f"{BOMB}<html")
    assert read(epub({"one": in_chapter}), "epub").text.endswith("Calm.")
    files = {"META-INF/container.xml": CONTAINER, "OPS/one.xhtml": chapter("<p>Calm.</p>")}
    package = opf({"one": ""}).replace("The lamp", "&j;")
    with pytest.raises(UnreadableDocument):
        read(packed(files | {"OPS/book.opf": BOMB + package}), "epub")
    harmless = '<!DOCTYPE x [<!ENTITY j "secret">]>'
    found = read(packed(files | {"OPS/book.opf": harmless + package}), "epub")
    assert (found.text, "secret" in found.title) == ("Calm.", False)


def test_files_of_the_machine_are_not_read(tmp_path: Path) -> None:
    (secret := tmp_path / "secret").write_text("the secret")
    external = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
    book = epub({"one": chapter("<p>&e; Calm.</p>").replace("<html", f"{external}<html")})
    assert "secret" not in read(book, "epub").text
    package = opf({"one": ""}).replace("one.xhtml", f"../../../../..{secret}")
    files = {"META-INF/container.xml": CONTAINER, "OPS/book.opf": package}
    with pytest.raises(UnreadableDocument, match="lacks a file"):
        read(packed(files), "epub")


def test_what_word_would_expand_is_refused() -> None:
    with zipfile.ZipFile(BytesIO(docx(paragraph("&j;")))) as parts:
        files = {name: parts.read(name) for name in parts.namelist()}
    files["word/document.xml"] = BOMB.encode() + files["word/document.xml"]
    with pytest.raises(BadInput):
        read(packed(files), "docx")


@pytest.mark.parametrize("depth", [300, 1_500])
def test_deep_nesting_is_read_whole(depth: int) -> None:
    page = "<div>" * depth + "<p>Inner.</p>" + "</div>" * depth + "<p>After.</p>"
    assert read(page.encode(), "html").text == "Inner.\n\nAfter."
    assert read(epub({"one": chapter(page)}), "epub").text == "Inner.\n\nAfter."


@pytest.mark.parametrize("depth", [5_000, 50_000])
def test_deeper_nesting_is_refused_not_cut_short(depth: int) -> None:
    page = "<div>" * depth + "<p>Inner.</p>" + "</div>" * depth + "<p>After.</p>"
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        read(page.encode(), "html")
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        read(epub({"one": chapter(page)}), "epub")


def test_a_deep_letter_is_refused() -> None:
    with pytest.raises(UnreadableDocument):
        read(docx("<w:sdt><w:sdtContent>" * 3_000 + paragraph("a") + "</w:sdtContent></w:sdt>" * 3_000), "docx")


@pytest.mark.parametrize("kind", ["epub", "docx"])
@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"no archive", packed({"a": "a"}), epub({"one": chapter("<p>a</p>")})[:-40],
     packed({"META-INF/container.xml": "<container", "word/document.xml": "<w"}),
     packed({"META-INF/container.xml": "<container/>", "word/document.xml": "<w/>"})],
    ids=["empty", "start", "text", "other", "cut", "no xml", "other xml"],
)  # fmt: skip
def test_broken_archives_are_refused_in_one_line(data: bytes, kind: str) -> None:
    with pytest.raises((UnreadableDocument, NothingToSpeak)) as caught:
        read(data, kind)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_damaged_chapter_is_refused() -> None:
    book = bytearray(epub({"one": chapter("<p>" + "It rained all day long. " * 300 + "</p>")}))
    at = book.index(b"OPS/one.xhtml") + 60
    book[at : at + 20] = b"\xff" * 20
    with pytest.raises(UnreadableDocument, match="damaged"):
        read(bytes(book), "epub")


def test_two_files_of_one_name_are_refused_as_readers_differ_on_them() -> None:
    story = docx(paragraph("It rains."))
    with zipfile.ZipFile(held := BytesIO(story), "a") as archive:
        archive.writestr("word//document.xml", "<a/>")
    with pytest.raises(UnreadableDocument, match="one name"):
        read(held.getvalue(), "docx")


def test_a_book_that_names_a_file_in_no_way_at_all_is_refused() -> None:
    odd = '<item id="odd" href="http://[x" media-type="application/xhtml+xml"/>'
    with pytest.raises(UnreadableDocument, match=r"in a way that is none: 'http://\[x'"):
        read(epub({"one": chapter("<p>He waited.</p>")}, extra=odd), "epub")
