"""What the front does with documents: their text, and nothing is kept of them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import IO
from urllib.parse import unquote, urlsplit

from producer_api.documents import Document, declared_kind
from producer_api.documents.document import DocumentTooLarge
from producer_api.documents.kinds import media_type
from producer_api.documents.reader import Reader
from producer_api.fetch import Fetcher
from producer_api.fetch.errors import FetchOff


class Texts:
    """fetcher: None if nothing is fetched; max_bytes: of a document that is sent."""

    def __init__(self, reader: Reader, fetcher: Fetcher | None, *, max_bytes: int) -> None:
        self._reader, self._fetcher = reader, fetcher
        self._max_bytes = max_bytes

    async def of_body(self, pieces: AsyncIterator[bytes], content_type: str, name: str) -> Document:
        """Raises as documents.read does, UnknownKind, Unavailable, and what reading the body raises."""
        kind, charset = media_type(content_type)
        declared = declared_kind(kind, name)
        with tempfile.TemporaryFile() as file:
            await self._store(pieces, file)
            return await self._reader.read(file, declared, charset, name)

    async def of_url(self, url: str) -> Document:
        """Raises as documents.read and Fetcher.fetch do, FetchOff, Unavailable."""
        if self._fetcher is None:
            raise FetchOff
        with tempfile.TemporaryFile() as file:
            page = await self._fetcher.fetch(url, file)
            name = unquote(urlsplit(page.url).path)
            return await self._reader.read(file, declared_kind(page.media_type, name), page.charset, name)

    async def close(self) -> None:
        """End what is open."""
        if self._fetcher is not None:
            await self._fetcher.close()

    async def _store(self, pieces: AsyncIterator[bytes], file: IO[bytes]) -> None:
        """Raises DocumentTooLarge."""
        left = self._max_bytes
        async for piece in pieces:
            left -= file.write(piece)
            if left < 0:
                raise DocumentTooLarge(f"The document is larger than {self._max_bytes:,} bytes.")
