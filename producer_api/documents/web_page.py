"""HTML: the main content of a page, without menus, notices and lists of other pages."""

from __future__ import annotations

import copy

import regex
import trafilatura

from producer_api.documents.document import Document, language_tag, one_line
from producer_api.documents.encoding import declared_in, decode
from producer_api.documents.markup import Element, clean, drop_chrome, parse
from producer_api.documents.spoken import as_sentence, spoken

MIN_CHARS = 250
"""Of main content: a shorter page is read whole, but for what is around it."""
MIN_HEADING_CHARS = 4
_LETTERS = regex.compile(r"[^\p{L}\p{N}]+")


def read(data: bytes, charset: str | None) -> Document:
    """charset: as HTTP has it. Raises UnreadableDocument."""
    root = parse(decode(data, charset or declared_in(data)))
    clean(root)
    title, language = _title(root), _language(root)
    text = _main(root)
    if len(text) < MIN_CHARS:
        drop_chrome(root)
        text = spoken(_body(root))
    elif title and not _begins_with(text, title):
        text = f"{as_sentence(title)}\n\n{text}"
    return Document(title, text, language)


def _main(root: Element) -> str:
    """Empty if none is found."""
    _unmark_code(root)
    found = trafilatura.extract(copy.deepcopy(root), output_format="html", include_comments=False, include_tables=True)
    return spoken(_body(parse(found))) if found else ""


def _unmark_code(root: Element) -> None:
    """Words in the midst of a sentence would come back as blocks of code."""
    for element in root.iter("code", "kbd", "samp", "tt", "var"):
        element.tag = "span"


def _body(root: Element) -> Element:
    body = root.find("body")
    return root if body is None else body


def _title(root: Element) -> str:
    """What the page calls itself to others, else its one heading, else what the window shows."""
    for meta in root.iter("meta"):
        if meta.get("property") == "og:title" and (title := one_line(meta.get("content"))):
            return title
    headings = list(root.iter("h1"))
    if len(headings) == 1 and (title := one_line(headings[0].text_content())):
        return title
    return one_line(root.findtext(".//title"))


def _language(root: Element) -> str | None:
    return language_tag(root.get("lang") or root.get("xml:lang"))


def _begins_with(text: str, title: str) -> bool:
    """Whether the title is among the first paragraphs, however it is set, or one of them is all of it but the site."""
    wanted = _LETTERS.sub("", title).casefold()
    first = [_LETTERS.sub("", block).casefold() for block in text.split("\n\n", 3)[:3]]
    return any(wanted in block or (len(block) >= MIN_HEADING_CHARS and wanted.startswith(block)) for block in first)
