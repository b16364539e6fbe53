"""Which addresses may be connected to: public ones, whatever a name says.

A name is resolved once, every address it has must be public, and the connection goes to one of those very addresses:
a name that means something else a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from contracts.errors import Misconfigured
from producer_api.fetch.errors import FetchRefused, NotPublic

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

DEFAULT_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""Leaves out loopback, link-local, ULA, multicast, NAT64 (64:ff9b::), and IPv4 in disguise (::ffff:0:0/96, ::/96)."""
_NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata service
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("168.63.129.16/32"),  # Azure's services of a machine
    IPv6Network("2001::/23"),  # protocol assignments; Teredo hides an IPv4 address
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4 does, too
    IPv6Network("3fff::/20"),
)
"""Beside what `ipaddress` knows."""
MAX_ADDRESSES = 32


def is_public(address: Address) -> bool:
    """Whether it is an address of one host on the Internet."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address.scope_id is not None):
        return False
    return not any(address in network for network in _NOT_PUBLIC)


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name; numbers in any spelling are what the system takes them for. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True)
class Policy:
    """ports: that may be connected to; allowed: networks that may be, though they are not public."""

    ports: frozenset[int] = frozenset(DEFAULT_PORTS.values())
    allowed: tuple[Network, ...] = ()
    resolve: Resolve = resolve

    def check(self, url: httpx.URL) -> None:
        """What can be said of a URL alone. Raises FetchRefused."""
        if url.scheme not in DEFAULT_PORTS:
            raise FetchRefused("Only http and https addresses are fetched.")
        if url.userinfo:
            raise FetchRefused("Addresses with a user name or a password are not fetched.")
        if not url.raw_host:  # host would be decoded, and may be none
            raise FetchRefused("The address has no host.")
        if port_of(url) not in self.ports:
            raise FetchRefused(f"Only ports {', '.join(map(str, sorted(self.ports)))} are fetched from.")

    async def addresses(self, url: httpx.URL) -> list[Address]:
        """Where to connect to, in this order. Raises FetchRefused."""
        self.check(url)
        try:
            given = await self.resolve(url.raw_host.decode("ascii"), port_of(url))
            found = [ip_address(each) for each in dict.fromkeys(given[:MAX_ADDRESSES])]
        except (OSError, ValueError) as exc:
            raise NotPublic from exc
        if not found or not all(is_public(each) or self._is_allowed(each) for each in found):
            raise NotPublic
        return found

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self.allowed)


def port_of(url: httpx.URL) -> int:
    """The port that is meant."""
    return url.port if url.port is not None else DEFAULT_PORTS[url.scheme]


def networks(given: str) -> tuple[Network, ...]:
    """`10.1.0.0/16, fd00::/8` -> both. Raises Misconfigured."""
    try:
        return tuple(ip_network(part) for part in _parts(given))
    except ValueError as exc:
        raise Misconfigured(f"CASTLINE_FETCH_ALLOW: {exc}") from exc


def ports(given: str) -> frozenset[int]:
    """`80,443` -> both. Raises Misconfigured."""
    found = list(_parts(given))
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 1 << 16 for part in found):
        raise Misconfigured(f"CASTLINE_FETCH_PORTS: {given!r} is no list of ports")
    return frozenset(map(int, found))


def _parts(given: str) -> Iterable[str]:
    return (part.strip() for part in given.split(",") if part.strip())
