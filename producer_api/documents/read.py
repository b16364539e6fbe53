"""All kinds behind one call. Libraries of an extra are imported when a document needs them."""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath
from typing import Protocol, cast

from contracts.errors import NothingToSpeak, TextTooLong
from contracts.text import speakable
from producer_api.documents.document import Document, ReaderMissing, UnreadableDocument, one_line
from producer_api.documents.kinds import Kind, sniff

MAX_CHARS = 20_000_000
"""Of the text of one document: some thirty novels."""
_READERS: dict[Kind, str] = {
    "text": "text",
    "markdown": "markdown",
    "html": "web_page",
    "epub": "epub",
    "docx": "word",
}


class _Reader(Protocol):
    def read(self, data: bytes, charset: str | None) -> Document:
        """Raises UnreadableDocument, DocumentTooLarge."""
        ...


def read(
    data: bytes, kind: Kind | None, *, charset: str | None = None, name: str = "", max_chars: int = MAX_CHARS
) -> Document:
    """kind: None if nobody says; charset: as HTTP has it; name: of the file, its title if it has none of its own.

    Raises UnknownKind, UnreadableDocument, DocumentTooLarge, ReaderMissing, TextTooLong, NothingToSpeak.
    """
    kind = sniff(data) if kind is None else kind
    try:
        reader = cast(_Reader, importlib.import_module(f"producer_api.documents.{_READERS[kind]}"))
        found = reader.read(data, charset)
    except ModuleNotFoundError as exc:
        raise ReaderMissing(exc.name or kind) from exc
    except (MemoryError, RecursionError) as exc:
        raise UnreadableDocument("It is nested too deeply, or takes too much memory.") from exc
    if len(found.text) > max_chars:
        raise TextTooLong(len(found.text), max_chars)
    if not speakable(found.text):
        raise NothingToSpeak
    title = found.title or one_line(PurePosixPath(name.replace("\\", "/")).stem)
    return Document(title, found.text, found.language)
