"""Files of a ZIP within bounds, and XML without entities: what is packed may be made to break us."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from io import BytesIO
from urllib.parse import unquote, urlsplit

from lxml import etree  # type: ignore[import-untyped]

from producer_api.documents.document import DocumentTooLarge, UnreadableDocument
from producer_api.documents.markup import Element

MAX_FILES = 10_000
MAX_FILE_BYTES = 32 << 20
"""Of one file, unpacked."""
MAX_BYTES = 128 << 20
"""Of all that is read, unpacked."""
MAX_RATIO = 200
"""Unpacked to packed, of a file over RATIO_FROM_BYTES. Deflate could do 1,030; prose does 3 to 5."""
RATIO_FROM_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises for archives that are damaged, encrypted, or packed in ways it does not know."""


class Archive:
    """A ZIP in memory. Raises UnreadableDocument, DocumentTooLarge."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(BytesIO(data))
            entries = self._zip.infolist()
        except _DAMAGED as exc:
            raise UnreadableDocument("It is no ZIP archive, or a damaged one.") from exc
        if len(entries) > MAX_FILES:
            raise DocumentTooLarge(f"It holds {len(entries):,} files; the limit is {MAX_FILES:,}.")
        files = [entry for entry in entries if not entry.is_dir()]
        self._entries = {posixpath.normpath(entry.filename): entry for entry in files}
        if len(self._entries) < len(files):  # others may read the one that was not looked at
            raise UnreadableDocument("Two of its files have one name.")
        self._read_bytes = 0

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> bytes:
        """One file. Raises UnreadableDocument, DocumentTooLarge."""
        entry = self._entries.get(name)
        if entry is None:
            raise UnreadableDocument(f"It lacks a file that it names: {name[-80:]!r}.")
        pieces: list[bytes] = []
        size = 0
        try:
            with self._zip.open(entry) as file:
                while piece := file.read(_READ_BYTES):
                    size += len(piece)
                    self._refuse_bombs(entry, size)
                    pieces.append(piece)
        except _DAMAGED as exc:
            raise UnreadableDocument("It is damaged, encrypted, or packed in a way that is not known here.") from exc
        self._read_bytes += size
        return b"".join(pieces)

    def read_all(self) -> None:
        """Look at every file, for readers that open the archive themselves. Raises as read does."""
        for name in self._entries:
            self.read(name)

    def _refuse_bombs(self, entry: zipfile.ZipInfo, size: int) -> None:
        """`size` bytes of it are unpacked. Raises DocumentTooLarge."""
        if size > MAX_FILE_BYTES or self._read_bytes + size > MAX_BYTES:
            raise DocumentTooLarge(f"Unpacked it is larger than {MAX_BYTES >> 20} MiB, or one of its files is.")
        if size > RATIO_FROM_BYTES and size > MAX_RATIO * max(1, entry.compress_size):
            raise DocumentTooLarge(f"It unpacks to more than {MAX_RATIO} times its size, as no text does.")


def parse_xml(data: bytes) -> Element:
    """The root of an XML file; entities stay unexpanded, nothing is loaded. Raises UnreadableDocument."""
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise UnreadableDocument("It holds XML that is not well-formed.") from exc


def resolve(base: str, href: str) -> str:
    """The name of the file that `href` means in the file `base`: no fragment, no escapes, never outside.

    Raises UnreadableDocument.
    """
    try:
        path = unquote(urlsplit(href).path)
    except ValueError as exc:
        raise UnreadableDocument(f"It names a file in a way that is none: {href[-80:]!r}.") from exc
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path)).lstrip("/")
