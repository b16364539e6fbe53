"""EPUB: the chapters in the order of the spine, with their titles; no table of contents, no notes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import regex

from producer_api.documents.archive import Archive, parse_xml, resolve
from producer_api.documents.document import Document, UnreadableDocument, language_tag, one_line
from producer_api.documents.encoding import declared_in, decode
from producer_api.documents.markup import Element, clean, parse
from producer_api.documents.spoken import as_sentence, spoken

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_TEXT = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
_CONTENTS = frozenset({"toc", "landmarks", "page-list", "loi", "lot", "index"})
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LETTERS = regex.compile(r"[^\p{L}\p{N}]+")


@dataclass(frozen=True, slots=True)
class _Item:
    """One line of the manifest. name: of its file in the archive."""

    name: str
    media_type: str
    properties: frozenset[str]


class _Package:
    """The OPF of a book: what is in it, in which order."""

    def __init__(self, archive: Archive) -> None:
        container = parse_xml(archive.read(_CONTAINER))
        name = next((e.get("full-path") for e in container.iterfind(".//{*}rootfile") if e.get("full-path")), None)
        if name is None:
            raise UnreadableDocument("It names no package file.")
        self._base = resolve("", name)
        self._root = parse_xml(archive.read(self._base))
        self._items = {e.get("id"): self._item(e) for e in self._root.iterfind(".//{*}manifest/{*}item")}

    def _item(self, element: Element) -> _Item:
        properties = frozenset(element.get("properties", "").split())
        name = resolve(self._base, element.get("href", ""))
        return _Item(name, element.get("media-type", "").lower(), properties)

    def metadata(self, tag: str) -> str:
        """Of Dublin Core; "" if there is none."""
        return next(
            (text for e in self._root.iterfind(f".//{{*}}{tag}") if (text := "".join(e.itertext()).strip())), ""
        )

    def chapters(self) -> list[_Item]:
        """Files of the spine, each once; neither lists of contents nor what stands beside the text."""
        skipped = {
            resolve(self._base, e.get("href", ""))
            for e in self._root.iterfind(".//{*}guide/{*}reference")
            if e.get("type", "").lower() in _CONTENTS
        }
        order = [e.get("idref") for e in self._root.iterfind(".//{*}spine/{*}itemref") if e.get("linear") != "no"]
        items = [self._items[ref] for ref in dict.fromkeys(order) if ref in self._items]
        return [i for i in items if i.media_type in _TEXT and "nav" not in i.properties and i.name not in skipped]

    def contents(self) -> _Item | None:
        """The list of contents: of EPUB 3, else of EPUB 2."""
        for item in self._items.values():
            if "nav" in item.properties:
                return item
        spine = self._root.find(".//{*}spine")
        return None if spine is None else self._items.get(spine.get("toc"))


def read(data: bytes, charset: str | None) -> Document:
    """charset: nobody's business here, each file says its own. Raises UnreadableDocument, DocumentTooLarge."""
    del charset
    archive = Archive(data)
    package = _Package(archive)
    chapters = package.chapters()
    if not chapters:
        raise UnreadableDocument("Its spine names no text.")
    _refuse_protected(archive, {item.name for item in chapters})
    labels = _labels(archive, package.contents())
    texts = (_chapter(archive.read(item.name), labels.get(item.name, "")) for item in chapters)
    title, language = one_line(package.metadata("title")), language_tag(package.metadata("language"))
    return Document(title, "\n\n".join(text for text in texts if text), language)


def _chapter(data: bytes, label: str) -> str:
    """Its text; begins with its title, if only the list of contents has it."""
    root = parse(decode(data, declared_in(data)))
    body = root.find("body")
    body = root if body is None else body
    if not _CONTENTS.isdisjoint(body.get("epub:type", "").split()):
        return ""
    clean(root)
    text = spoken(body)
    named = any(True for heading in body.iter(*_HEADINGS) if "".join(heading.itertext()).strip())
    if not text or not label or named or _same_start(text, label):
        return text
    return f"{as_sentence(label)}\n\n{text}"


def _same_start(text: str, label: str) -> bool:
    start = _LETTERS.sub("", text[: 4 * len(label)]).casefold()
    return start.startswith(_LETTERS.sub("", label).casefold())


def _labels(archive: Archive, contents: _Item | None) -> dict[str, str]:
    """What the list of contents calls each file; the first name of each. A book without one has headings."""
    if contents is None or contents.name not in archive:
        return {}
    root = parse_xml(archive.read(contents.name)) if contents.name.endswith(".ncx") else parse(
        decode(archive.read(contents.name))
    )  # fmt: skip
    found: dict[str, str] = {}
    for href, label in _ncx_points(root) if contents.name.endswith(".ncx") else _nav_links(root):
        found.setdefault(resolve(contents.name, href), one_line(label))
    return found


def _ncx_points(root: Element) -> Iterator[tuple[str, str]]:
    for point in root.iterfind(".//{*}navPoint"):
        content, label = point.find("{*}content"), point.find("{*}navLabel")
        if content is not None and label is not None:
            yield content.get("src", ""), "".join(label.itertext())


def _nav_links(root: Element) -> Iterator[tuple[str, str]]:
    for nav in root.iter("nav"):
        if "toc" in nav.get("epub:type", "").split():
            for link in nav.iter("a"):
                yield link.get("href", ""), "".join(link.itertext())


def _refuse_protected(archive: Archive, chapters: set[str]) -> None:
    """Fonts are often obfuscated; where chapters are, only the shop's own readers can read them."""
    if _ENCRYPTION not in archive:
        return
    root = parse_xml(archive.read(_ENCRYPTION))
    if chapters & {resolve("", e.get("URI", "")) for e in root.iterfind(".//{*}CipherReference")}:
        raise UnreadableDocument("The book is protected (DRM): its text is encrypted.")
