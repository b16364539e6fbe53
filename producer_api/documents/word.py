"""DOCX: as the HTML that mammoth makes of it."""

from __future__ import annotations

from io import BytesIO
from xml.parsers.expat import ExpatError
from xml.sax import SAXException

import mammoth  # type: ignore[import-untyped]

from producer_api.documents.archive import Archive, parse_xml
from producer_api.documents.document import Document, UnreadableDocument, language_tag, one_line
from producer_api.documents.markup import clean, parse
from producer_api.documents.spoken import spoken

_PROPERTIES = "docProps/core.xml"
_MAIN = "word/document.xml"
_BROKEN = (ExpatError, SAXException, KeyError, IndexError, ValueError, AttributeError, TypeError, OSError)
"""What mammoth raises for files that are none of Word's."""


def read(data: bytes, charset: str | None) -> Document:
    """charset: XML says its own. Raises UnreadableDocument, DocumentTooLarge."""
    del charset
    archive = Archive(data)
    archive.read_all()
    if _MAIN not in archive:
        raise UnreadableDocument("It is no DOCX: it has no main text.")
    parse_xml(archive.read(_MAIN))  # refuses what is nested without end
    title, language = _properties(archive)
    try:
        made = mammoth.convert_to_html(BytesIO(data), convert_image=mammoth.images.img_element(_no_image))
    except _BROKEN as exc:
        raise UnreadableDocument("It is no DOCX that can be read.") from exc
    root = parse(made.value)
    heading = root.find(".//h1")
    if not title and heading is not None:
        title = one_line(heading.text_content())
    clean(root)
    return Document(title, spoken(root), language)


def _properties(archive: Archive) -> tuple[str, str | None]:
    """(title, language) as the author has set them."""
    if _PROPERTIES not in archive:
        return "", None
    root = parse_xml(archive.read(_PROPERTIES))
    return one_line(root.findtext(".//{*}title")), language_tag(root.findtext(".//{*}language"))


def _no_image(_image: object) -> dict[str, str]:
    return {"src": ""}
