"""Plain text: its paragraphs are those it has."""

from __future__ import annotations

import regex

from producer_api.documents.document import Document
from producer_api.documents.encoding import decode

_LINE_END = regex.compile(r"\r\n?|\f")


def read(data: bytes, charset: str | None) -> Document:
    """Raises UnreadableDocument."""
    return Document("", _LINE_END.sub("\n", decode(data, charset)).strip(), None)
