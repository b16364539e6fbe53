"""Fetching: which addresses may be connected to, whatever names, redirects and servers say."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest

from contracts.errors import BadInput
from producer_api.documents.document import DocumentTooLarge, UnknownKind
from producer_api.fetch import Fetcher, Policy
from producer_api.fetch.addresses import networks
from producer_api.fetch.errors import FetchFailed, FetchRefused, FetchTimedOut

LOOPBACK = networks("127.0.0.1/32")
PAGE = b"<p>Hello.</p>"
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Start a server on the loopback that answers with what a function of the handler gives; its port."""
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[http.server.BaseHTTPRequestHandler], Answer | None]) -> int:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    if (given := answer(self)) is None:
                        return
                    status, headers, body = given
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    with contextlib.suppress(ConnectionError):
                        self.wfile.write(body)

                def log_message(self, *_: Any) -> None:
                    pass

            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server.server_port

        yield start


def html(body: bytes = PAGE, **headers: str) -> Answer:
    return 200, {"Content-Type": "text/html; charset=utf-8"} | headers, body


async def fetch(url: str, policy: Policy, *, max_bytes: int = 10_000, limit_s: float = 20.0) -> tuple[str, bytes]:
    """(what it is, page)."""
    fetcher = Fetcher(policy, max_bytes=max_bytes, limit_s=limit_s)
    try:
        found = await fetcher.fetch(url, into := BytesIO())
    finally:
        await fetcher.close()
    return found.media_type, into.getvalue()


def allowing(port: int, **more: Any) -> Policy:
    return Policy(frozenset({port}), LOOPBACK, **more)


# --- connections ------------------------------------------------------------------------------------------


async def test_a_name_that_changes_its_meaning_changes_nothing(serve: Callable[..., int]) -> None:
    """Rebinding: the second answer would be an inner host. Nobody asks twice."""
    asked: list[str] = []
    hosts: list[str | None] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    def answer(handler: http.server.BaseHTTPRequestHandler) -> Answer:
        hosts.append(handler.headers["Host"])
        return html()

    port = serve(answer)
    found = await fetch(f"http://rebinding.example:{port}/x#part", allowing(port, resolve=resolve))
    assert found == ("text/html", PAGE)
    assert (asked, hosts) == (["rebinding.example"], [f"rebinding.example:{port}"])


async def test_the_name_of_a_certificate_is_that_of_the_url_not_of_the_address(serve: Callable[..., int]) -> None:
    """A server without TLS: what it is sent begins with a hello that names the host."""
    hello: list[bytes] = []

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                hello.append(connection.recv(4_096))

        (thread := threading.Thread(target=listen)).start()
        with pytest.raises(FetchFailed):
            await fetch(f"https://certified.example:{port}/", allowing(port, resolve=resolve))
        thread.join()
    assert b"certified.example" in hello[0]


async def test_an_address_of_ipv6_is_connected_to() -> None:
    class Six(http.server.HTTPServer):
        address_family = socket.AF_INET6

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write((self.headers["Host"] or "").encode())

        def log_message(self, *_: Any) -> None:
            pass

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["::1"]

    if not socket.has_dualstack_ipv6():
        pytest.skip("NOT TESTED: this machine has no IPv6")
    with Six(("::1", 0), Handler) as server:
        (thread := threading.Thread(target=server.handle_request)).start()
        policy = Policy(frozenset({server.server_port}), networks("::1/128"), resolve)
        found = await fetch(f"http://six.example:{server.server_port}/", policy)
        thread.join()
    assert found == ("text/plain", f"six.example:{server.server_port}".encode())


async def test_an_address_that_does_not_answer_gives_way_to_the_next(serve: Callable[..., int]) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    port = serve(lambda _: html())  # listens on the second alone
    policy = Policy(frozenset({port}), networks("127.0.0.0/8"), resolve)
    assert await fetch(f"http://two.example:{port}/", policy) == ("text/html", PAGE)


# --- redirects -----------------------------------------------------------------------------------------------


async def test_redirects_are_followed_with_the_same_checks(serve: Callable[..., int]) -> None:
    targets = {"/a": "/b", "/b": "c?d=e", "/c?d=e": ""}

    def answer(handler: http.server.BaseHTTPRequestHandler) -> Answer:
        assert "Cookie" not in handler.headers
        target = targets[handler.path]
        return (302, {"Location": target, "Set-Cookie": "a=b"}, b"") if target else html()

    port = serve(answer)
    assert await fetch(f"http://127.0.0.1:{port}/a", allowing(port)) == ("text/html", PAGE)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://127.0.0.2:{port}/", "public"),
        ("http://[::1]:{port}/", "public"),
        ("http://169.254.169.254:{port}/latest/meta-data/", "public"),
        ("http://127.0.0.1:1/", "ports"),
        ("file:///etc/passwd", "http and https"),
        ("http://0177.0.0.1/", "no address"),
        ("", "nowhere"),
        ("/", "more than 5"),
    ],
)
async def test_redirects_to_what_is_not_fetched(serve: Callable[..., int], target: str, words: str) -> None:
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> Answer:
        asked.append(handler.path)
        return 307, {"Location": target.format(port=port)}, b"inner"

    port = serve(answer)
    with pytest.raises((FetchRefused, FetchFailed), match=words):
        await fetch(f"http://127.0.0.1:{port}/", allowing(port))
    assert len(asked) == (6 if target == "/" else 1)


# --- what comes ----------------------------------------------------------------------------------------------


async def test_packed_pages_are_unpacked(serve: Callable[..., int]) -> None:
    port = serve(lambda _: html(gzip.compress(PAGE), **{"Content-Encoding": "gzip"}))
    assert await fetch(f"http://127.0.0.1:{port}/", allowing(port)) == ("text/html", PAGE)


@pytest.mark.parametrize("packed", [False, True])
async def test_a_large_page_is_refused_when_it_is_too_large(serve: Callable[..., int], *, packed: bool) -> None:
    body = b"a" * (64 << 20)
    answer = html(gzip.compress(body, 9), **{"Content-Encoding": "gzip"}) if packed else html(body)
    port = serve(lambda _: answer)
    with pytest.raises(DocumentTooLarge, match="10,000 bytes"):
        await fetch(f"http://127.0.0.1:{port}/", allowing(port))


async def test_a_page_of_exactly_the_bound_is_fetched(serve: Callable[..., int]) -> None:
    port = serve(lambda _: html(b"a" * 10_000))
    assert len((await fetch(f"http://127.0.0.1:{port}/", allowing(port)))[1]) == 10_000


async def test_a_page_that_never_ends_is_given_up(serve: Callable[..., int]) -> None:
    ended = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            while not ended.wait(0.02):  # a drop now and then: no silence is ever long
                handler.wfile.write(b".")

    port = serve(answer)
    try:
        with pytest.raises(FetchTimedOut, match=r"0\.5 s") as caught:
            await fetch(f"http://127.0.0.1:{port}/", allowing(port), limit_s=0.5)
    finally:
        ended.set()
    assert caught.value.status == 504


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((404, {"Content-Type": "text/html"}, b"secret"), FetchFailed, "status 404"),
        ((206, {"Content-Type": "text/html"}, b"a"), FetchFailed, "status 206"),
        ((200, {"Content-Type": "image/png"}, b"a"), UnknownKind, "Only pages"),
        ((200, {}, b"a"), UnknownKind, "Only pages"),
        ((200, {"Content-Type": "application/json"}, b"{}"), UnknownKind, "Only pages"),
        (html(b"\x1f\x8bnot", **{"Content-Encoding": "gzip"}), FetchFailed, "failed"),
        (html(gzip.compress(PAGE)[:-9], **{"Content-Encoding": "gzip"}), FetchFailed, "half"),
        (html(b"x", **{"Content-Encoding": "br"}), FetchFailed, "nobody asked"),
        (html(PAGE, **{"Content-Length": "900"}), FetchFailed, "failed"),
    ],
)
async def test_answers_that_are_no_page(
    serve: Callable[..., int], answer: Answer, error: type[BadInput], words: str
) -> None:
    port = serve(lambda _: answer)
    with pytest.raises(error, match=words) as caught:
        await fetch(f"http://127.0.0.1:{port}/", allowing(port))
    assert "secret" not in str(caught.value)


async def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(FetchFailed, match="connection"):
        await fetch(f"http://127.0.0.1:{port}/", allowing(port))


async def test_proxies_of_the_environment_are_not_asked(
    serve: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    port = serve(lambda _: html())
    assert await fetch(f"http://127.0.0.1:{port}/", allowing(port)) == ("text/html", PAGE)
