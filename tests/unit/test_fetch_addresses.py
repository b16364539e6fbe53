"""Which addresses pages are fetched from."""

from __future__ import annotations

import ipaddress
from io import BytesIO

import pytest

from contracts.errors import Misconfigured
from producer_api.fetch import Fetcher, Policy
from producer_api.fetch.addresses import is_public, networks, ports
from producer_api.fetch.errors import FetchRefused, NotPublic


async def fetch(url: str, policy: Policy) -> None:
    fetcher = Fetcher(policy, max_bytes=10_000, limit_s=20)
    try:
        await fetcher.fetch(url, BytesIO())
    finally:
        await fetcher.close()


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00::1"])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    """
    127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    100.100.100.200 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1
    255.255.255.255 168.63.129.16
    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1
    100::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%eth0 2a00::1%eth0 fec0::1 ff02::1 2001::1 2001:db8::1
    2002:7f00:1:: 3fff::1 5f00::1
    """.split(),
)
def test_addresses_that_are_not_of_one_host_on_the_internet(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.org/", "http and https"),
        ("file:///etc/passwd", "http and https"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "http and https"),
        ("//example.org/", "http and https"),
        ("https://user:pw@example.org/", "user name"),
        ("https://example.org:6379/", "ports 80, 443"),
        ("http:///x", "no host"),
        ("http://xn--a/", "no host that is public"),
        ("https://exa mple.org/\x00", "no address"),
        ("http://[::1", "no address"),
        ("http://0177.0.0.1/", "no address"),
    ],
)
async def test_urls_that_are_refused_as_they_stand(url: str, words: str) -> None:
    with pytest.raises(FetchRefused, match=words) as caught:
        await fetch(url, Policy())
    assert (caught.value.status, caught.value.field) == (422, "url")


@pytest.mark.parametrize(
    "host",
    "127.0.0.1 2130706433 0x7f000001 127.1 0 localhost [::1] [::ffff:127.0.0.1] [::] 169.254.169.254"
    " no-such-host.invalid localhost. [fe80::1%25lo]".split(),
)
async def test_inner_hosts_and_hosts_that_are_not_there_are_refused_in_the_same_words(host: str) -> None:
    with pytest.raises(NotPublic) as caught:
        await fetch(f"http://{host}/", Policy())
    assert str(caught.value) == "The address has no host that is public."


async def test_one_inner_address_among_public_ones_is_enough() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "10.0.0.1"]

    with pytest.raises(NotPublic):
        await fetch("http://example.org/", Policy(resolve=resolve))


def test_settings_that_can_not_work_are_told_at_start() -> None:
    assert ports("80, 8080") == {80, 8080}
    assert [str(n) for n in networks("10.1.0.0/16,fd00::/8")] == ["10.1.0.0/16", "fd00::/8"]
    assert networks("") == ()
    for given in ("http", "0", "65536", "-1"):
        with pytest.raises(Misconfigured, match="CASTLINE_FETCH_PORTS"):
            ports(given)
    for given in ("example.org", "10.0.0.1/8"):
        with pytest.raises(Misconfigured, match="CASTLINE_FETCH_ALLOW"):
            networks(given)
