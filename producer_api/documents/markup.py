"""HTML to a tree, without what nobody would read out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import lxml.html  # type: ignore[import-untyped]
import regex
from lxml import etree

from producer_api.documents.document import UnreadableDocument

SILENT = frozenset(
    """
    applet audio button canvas embed frame iframe img input map math noframes noscript object option param picture
    progress rp rt script select source style svg template textarea track video
    """.split()
)
CHROME = frozenset("aside dialog footer form header menu nav".split())
"""Around the text of a page."""
_CODE = regex.compile(r"(?i)\b(?:highlight|hljs|code|source-?code|prettyprint|brush|lang(?:uage)?-[\w+#-]+)\b")
_NOTE_MARK = regex.compile(r"[\[(]?\s*(?:\d{1,3}|[*†‡§]{1,3}|\p{L})\s*[\])]?")
_NOTES = frozenset({"footnote", "endnote", "rearnote", "note", "doc-footnote", "doc-endnote"})
_NOTE_LINKS = frozenset({"noteref", "doc-noteref", "doc-backlink", "backlink"})
_HIDDEN = regex.compile(r"(?i)(?:display\s*:\s*none|visibility\s*:\s*hidden)")
_NOTHING = "<p></p>"
_URL = regex.compile(r"(?i)(?:https?://|www\.)\S+")

Element = Any
"""lxml has no types."""


def parse(markup: str) -> Element:
    """A tree of anything; nothing is loaded, no entity of its own is known. Raises UnreadableDocument."""
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True,
        huge_tree=True,  # else it ends, without a word, 256 elements deep
    )  # fmt: skip
    try:
        root = lxml.html.document_fromstring((markup.strip() or _NOTHING).encode(), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError) as exc:
        raise UnreadableDocument("It is no HTML that can be read.") from exc
    if any(entry.level_name == "FATAL" for entry in parser.error_log):
        raise UnreadableDocument("It is nested too deeply.")
    return root


def clean(root: Element) -> None:
    """Once: take out what is not read (code, note marks, what is hidden), number items of lists, make URLs hosts."""
    _drop(root, _is_silent)
    for link in root.iter("a"):
        _name_host(link)
    for ordered in root.iter("ol"):
        _number(ordered)


def drop_chrome(root: Element) -> None:
    """Take out what is around the text of a page."""
    _drop(root, lambda element: element.tag in CHROME)


def _drop(root: Element, unwanted: Callable[[Element], bool]) -> None:
    for element in [e for e in root.iter(etree.Element) if e is not root and unwanted(e)]:
        if element.getparent() is not None:
            element.drop_tree()


def _is_silent(element: Element) -> bool:
    return element.tag in SILENT or _is_hidden(element) or _is_aside(element)


def _is_hidden(element: Element) -> bool:
    hidden = "hidden" in element.attrib or element.get("aria-hidden") == "true"
    return hidden or _HIDDEN.search(element.get("style", "")) is not None


def _is_aside(element: Element) -> bool:
    """Code, notes, and the marks of notes."""
    roles = {*element.get("epub:type", "").split(), *element.get("role", "").split()}
    match element.tag:
        case "pre":
            return element.find("code") is not None or _CODE.search(element.get("class", "")) is not None
        case "a":
            return not roles.isdisjoint(_NOTE_LINKS)
        case "aside" | "section" | "li" | "div":
            return not roles.isdisjoint(_NOTES)
        case "sup":
            return element.find(".//a") is not None and _NOTE_MARK.fullmatch(_words(element)) is not None
    return False


def _words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _name_host(link: Element) -> None:
    """A link that shows its URL is read as the name of its host."""
    shown = _words(link) if len(link) < 4 else ""
    if not _URL.fullmatch(shown):
        return
    try:
        host = urlsplit(shown if "//" in shown else f"//{shown}").hostname or ""
    except ValueError:
        host = ""
    for child in list(link):
        link.remove(child)
    link.text = host.removeprefix("www.")


def _number(ordered: Element) -> None:
    """`1. ` before each item, as a browser shows it."""
    start = ordered.get("start", "1")
    number = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
    for item in ordered.iterchildren("li"):
        first = next(iter(item), None)
        if first is not None and first.tag == "p" and not (item.text or "").strip():
            item = first  # noqa: PLW2901  the words of the item begin there
        item.text = f"{number}. {(item.text or '').lstrip()}"
        number += 1
