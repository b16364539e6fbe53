"""One GET of a page that somebody else named: no cookies, no proxies, no second look at DNS, an end to everything."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import IO

import httpx

from producer_api.documents.document import DocumentTooLarge, UnknownKind
from producer_api.documents.kinds import media_type
from producer_api.fetch.addresses import Policy
from producer_api.fetch.errors import FetchFailed, FetchRefused, FetchTimedOut

MAX_REDIRECTS = 5
MEDIA_TYPES = (
    "text/html", "application/xhtml+xml", "text/plain", "text/markdown", "application/epub+zip",
)  # fmt: skip
_HEADERS = {
    "Accept": ", ".join(MEDIA_TYPES) + ";q=0.9",
    "Accept-Encoding": "gzip",
    "User-Agent": "castline",
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a page was said to be. url: where it was in the end; charset: None if nothing was said."""

    url: str
    media_type: str
    charset: str | None


class Fetcher:
    """limit_s: for all of a page, redirects and all, seconds; max_bytes: of a page, unpacked."""

    def __init__(self, policy: Policy, *, max_bytes: int, limit_s: float) -> None:
        self._policy = policy
        self._max_bytes = max_bytes
        self._limit_s = limit_s
        self._turns = asyncio.Semaphore(_PARALLEL)
        # Connections are not kept: one to the same address may have been made for another name.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(trust_env=False, limits=limits)

    async def close(self) -> None:
        """End what is open."""
        await self._transport.aclose()

    async def fetch(self, url: str, into: IO[bytes]) -> Fetched:
        """Write the page to a file. Raises FetchRefused, FetchFailed, UnknownKind, DocumentTooLarge."""
        try:
            async with asyncio.timeout(self._limit_s), self._turns:
                return await self._follow(_parsed(url), into)
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise FetchTimedOut(self._limit_s) from exc
        except (httpx.HTTPError, zlib.error) as exc:
            raise FetchFailed("The connection to the page's server failed.") from exc

    async def _follow(self, url: httpx.URL, into: IO[bytes]) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._get(url) as response:
                if response.status_code in _REDIRECTS:
                    url = _target(url, response.headers.get("location", ""))
                    continue
                if response.status_code != 200:
                    raise FetchFailed(f"The page's server answered with status {response.status_code}.")
                kind, charset = media_type(response.headers.get("content-type", ""))
                if kind not in MEDIA_TYPES:
                    raise UnknownKind(f"Only pages of these types are fetched: {', '.join(MEDIA_TYPES)}.", field="url")
                await self._write(response, into)
                return Fetched(str(url), kind, charset)
        raise FetchRefused(f"The address redirects more than {MAX_REDIRECTS} times.")

    @contextlib.asynccontextmanager
    async def _get(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """Over a connection to an address that was checked; names of TLS and HTTP are those of the URL."""
        response = await self._answer(url)
        try:
            yield response
        finally:
            await response.aclose()

    async def _answer(self, url: httpx.URL) -> httpx.Response:
        addresses = await self._policy.addresses(url)
        for address in addresses:
            host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
            headers = {**_HEADERS, "Host": url.netloc.decode("ascii")}
            extensions = {
                "sni_hostname": url.raw_host.decode("ascii"),
                "timeout": httpx.Timeout(self._limit_s).as_dict(),
            }
            pinned = url.copy_with(host=host, fragment=None)
            request = httpx.Request("GET", pinned, headers=headers, extensions=extensions)
            try:
                return await self._transport.handle_async_request(request)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
        raise FetchFailed("The page's server has no address.")

    async def _write(self, response: httpx.Response, into: IO[bytes]) -> None:
        """Raises DocumentTooLarge, FetchFailed."""
        unpack = _unpacker(response.headers.get("content-encoding", "identity"))
        left = self._max_bytes
        async for piece in response.aiter_raw():
            data = piece
            while data:
                plain = data if unpack is None else unpack.decompress(data, left + 1)
                if len(plain) > left:
                    raise DocumentTooLarge(f"The page is larger than {self._max_bytes:,} bytes.", field="url")
                left -= into.write(plain)
                data = b"" if unpack is None else unpack.unconsumed_tail
        if unpack is not None and not unpack.eof:
            raise FetchFailed("The page's server sent half of it.")


def _parsed(url: str) -> httpx.URL:
    """Raises FetchRefused."""
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as exc:
        raise FetchRefused("That is no address of a page.") from exc


def _target(url: httpx.URL, location: str) -> httpx.URL:
    """Raises FetchRefused, FetchFailed."""
    if not location:
        raise FetchFailed("The page's server redirects to nowhere.")
    try:
        return url.join(location)
    except (httpx.InvalidURL, ValueError) as exc:
        raise FetchRefused("The page redirects to what is no address.") from exc


def _unpacker(encoding: str) -> zlib._Decompress | None:
    """Unpacks by portions: httpx would unpack a bomb whole. Raises FetchFailed."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return zlib.decompressobj(wbits=31)
    raise FetchFailed("The page's server packs it in a way that nobody asked for.")
