"""Which kind a document is: its media type says, or its name, or its first bytes."""

from __future__ import annotations

import zipfile
from email.message import Message
from io import BytesIO
from pathlib import PurePosixPath
from typing import Literal

from producer_api.documents.document import UnknownKind

Kind = Literal["text", "markdown", "html", "epub", "docx"]

MEDIA_TYPES: dict[str, Kind] = {
    "text/plain": "text",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
ENDINGS: dict[str, Kind] = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".epub": "epub",
    ".docx": "docx",
}
_SAYS_NOTHING = frozenset({"", "application/octet-stream", "application/zip", "application/x-www-form-urlencoded"})
"""The last is what curl says of any body."""
KNOWN = "plain text, Markdown, HTML, EPUB and DOCX"
SNIFFED_BYTES = 1_024
_HEADER_CHARS = 500
"""A longer Content-Type has no parameters that mean anything."""


def media_type(content_type: str) -> tuple[str, str | None]:
    """A Content-Type header: (type, charset); ("", None) if there is none."""
    if not content_type:
        return "", None
    if len(content_type) > _HEADER_CHARS:  # its parser takes the square of that
        content_type = content_type.partition(";")[0][:_HEADER_CHARS]
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_type(), message.get_content_charset()


def declared_kind(media_type: str, name: str) -> Kind | None:
    """media_type: without parameters; name: of a file, maybe with folders. None if both say nothing: look into it.

    A name is more exact than text/plain, which is said of everything. Raises UnknownKind.
    """
    media_type = media_type.strip().lower()
    by_type = MEDIA_TYPES.get(media_type)
    if by_type is None and media_type not in _SAYS_NOTHING:
        raise UnknownKind(f"Documents of type {media_type[:80]!r} are not read; {KNOWN} are.")
    if by_type is not None and by_type != "text":
        return by_type
    return ENDINGS.get(PurePosixPath(name.replace("\\", "/")).suffix.lower(), by_type)


def sniff(data: bytes) -> Kind:
    """By its first bytes, and the names in a ZIP; what nobody knows is text, or shows itself not to be when decoded.

    Raises UnknownKind.
    """
    if data.startswith(b"PK\x03\x04"):
        return _sniff_zip(data)
    if data.startswith(b"%PDF-"):
        raise UnknownKind(f"PDF is not read; {KNOWN} are.")
    start = data[:SNIFFED_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    return "html" if start.startswith(b"<?xml") and b"<html" in start else "text"


def _sniff_zip(data: bytes) -> Kind:
    """Raises UnknownKind."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        names = set()
    if "META-INF/container.xml" in names:
        return "epub"
    if "word/document.xml" in names:
        return "docx"
    raise UnknownKind("It is a ZIP archive, and neither EPUB nor DOCX.")
