"""POST /v1/texts on a running system, and casts of what it answers."""

from __future__ import annotations

import concurrent.futures
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from books import chapter, epub
from open_casts import spoken

from contracts.adapters import Address
from load_tests.services import free_port
from load_tests.system import System, system

BOOK = epub({"one": chapter("<h1>One</h1><p>He waited.</p>"), "two": chapter("<h1>Two</h1><p>She came.</p>")})
LIMIT = 200_000


class Site(http.server.BaseHTTPRequestHandler):
    """A page, a book, and ways that lead elsewhere."""

    def do_GET(self) -> None:
        inner = f"http://127.0.0.2:{self.connection.getsockname()[1]}/page"
        status, headers, body = {
            "/page": (200, {"Content-Type": "text/html"}, b"<title>A page</title><p>Hello there.</p>"),
            "/book.epub": (200, {"Content-Type": "application/epub+zip"}, BOOK),
            "/notes.md": (200, {"Content-Type": "text/plain; charset=utf-8"}, b"# Notes\n\n- one"),
            "/inside": (302, {"Location": inner}, b""),
            "/picture": (200, {"Content-Type": "image/png"}, b"png"),
            "/large": (200, {"Content-Type": "text/plain"}, b"a" * (LIMIT + 1)),
        }.get(self.path, (404, {"Content-Type": "text/html"}, b"gone"))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def running(site: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Front 0 fetches from 127.0.0.1 and has its limits low; front 1 fetches nothing and reads for 1 ms at most."""
    directory = tmp_path_factory.mktemp("texts")
    settings = {
        "CASTLINE_FETCH_ALLOW": "127.0.0.1/32", "CASTLINE_FETCH_PORTS": f"80,443,{site}",
        "CASTLINE_MAX_DOCUMENT_BYTES": str(LIMIT), "CASTLINE_MAX_TEXT_CHARS": "100000",
    }  # fmt: skip
    with system(Address(f"sqlite://{directory}/castline.db", ""), directory, **settings) as running:
        running.front()
        running.extra = {**settings, "CASTLINE_FETCH": "off", "CASTLINE_DOCUMENT_TIMEOUT_S": "0.001"}
        running.front()
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=60, trust_env=False) as client:
        yield client


def text_of(client: httpx.Client, body: bytes, media_type: str = "", name: str = "") -> dict[str, Any]:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = client.post("/v1/texts", content=body, headers=headers, params={"name": name} if name else {})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, str(problem["type"]).removeprefix("urn:castline:problem:")


def test_a_book_becomes_a_cast(client: httpx.Client) -> None:
    found = text_of(client, BOOK, "application/epub+zip", "book.epub")
    assert found == {
        "title": "The lamp & the sea",
        "text": "One.\n\nHe waited.\n\nTwo.\n\nShe came.",
        "language": "en-GB",
    }
    cast = client.post("/v1/casts", json={"voice": "tone", "text": found["text"], "title": found["title"]}).json()
    assert spoken(client, cast["id"]) == ["One.", "He waited.", "Two.", "She came."]
    assert cast["title"] == "The lamp & the sea"


def test_each_kind_by_its_type_its_name_or_its_bytes(client: httpx.Client) -> None:
    assert text_of(client, b"# Head\n\ntext", "text/markdown")["text"] == "Head.\n\ntext."
    assert text_of(client, b"# Head\n\ntext", "text/plain", "dir/notes.md")["title"] == "Head"
    assert text_of(client, b"# Head", "text/plain", "notes.txt") == {
        "title": "notes",
        "text": "# Head",
        "language": None,
    }
    assert text_of(client, b"caf\xe9", "text/plain; charset=iso-8859-1")["text"] == "café"
    assert text_of(client, BOOK)["title"] == "The lamp & the sea"
    assert text_of(client, b"<html lang=fr><p>Bonjour.")["language"] == "fr"


@pytest.mark.parametrize(
    ("body", "media_type", "name", "problem"),
    [
        (b"%PDF-1.7", "application/pdf", "a.pdf", (415, "unsupported-media-type")),
        (b"%PDF-1.7", "", "", (415, "unsupported-media-type")),
        (b"a" * (LIMIT + 1), "text/plain", "", (413, "content-too-large")),
        (b"a" * 100_001, "text/plain", "", (413, "text-too-long")),
        (b"no zip", "application/epub+zip", "", (422, "unreadable-document")),
        (b"\x00\x01", "text/plain", "", (422, "unreadable-document")),
        (b"<p>...</p>", "text/html", "", (422, "nothing-to-speak")),
        (b"", "", "", (422, "nothing-to-speak")),
        (b"{", "application/json", "", (400, "invalid-json")),
        (b'{"url": 1}', "application/json", "", (422, "invalid-request")),
        (b'{"url": "https://example.org/", "more": 1}', "application/json", "", (422, "invalid-request")),
        (b"a", "text/plain", "n" * 1_001, (422, "invalid-request")),
    ],
)  # fmt: skip
def test_what_is_refused(
    client: httpx.Client, body: bytes, media_type: str, name: str, problem: tuple[int, str]
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    assert refused(client.post("/v1/texts", content=body, headers=headers, params={"name": name})) == problem


def test_a_body_of_no_announced_length_is_bounded_too(client: httpx.Client) -> None:
    pieces = (b"a" * 10_000 for _ in range(21))
    assert refused(client.post("/v1/texts", content=pieces)) == (413, "content-too-large")


def test_a_reader_that_takes_too_long_is_killed(running: System) -> None:
    with httpx.Client(base_url=running.url(1), timeout=60, trust_env=False) as client:
        answer = client.post("/v1/texts", content=b"Hello.", headers={"Content-Type": "text/plain"})
    assert refused(answer) == (422, "unreadable-document")
    assert "longer than 0.001 s" in answer.json()["detail"]


def test_others_are_served_while_documents_are_read(client: httpx.Client, running: System) -> None:
    """Reading is done elsewhere: the front's own loop answers in between."""
    slow = b"<p>" + b"<b>" * 1_900 + b"a" * 50_000
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(text_of, client, slow, "text/html") for _ in range(2)]
        answered = 0
        while not all(each.done() for each in asked):
            assert httpx.get(f"{running.url()}/health", trust_env=False).status_code == 200
            answered += 1
    assert answered >= 2
    assert all(each.result()["text"].startswith("aaa") for each in asked)


# --- pages ---------------------------------------------------------------------------------------------------


def fetched(client: httpx.Client, url: str) -> httpx.Response:
    return client.post("/v1/texts", json={"url": url})


def test_pages_and_books_are_fetched(client: httpx.Client, site: int) -> None:
    base = f"http://127.0.0.1:{site}"
    assert fetched(client, f"{base}/page").json() == {"title": "A page", "text": "Hello there.", "language": None}
    assert fetched(client, f"{base}/book.epub").json()["title"] == "The lamp & the sea"
    assert fetched(client, f"{base}/notes.md").json() == {"title": "Notes", "text": "Notes.\n\none.", "language": None}


def test_refusals_say_nothing_of_what_is_inside(client: httpx.Client, site: int, running: System) -> None:
    base = f"http://127.0.0.1:{site}"
    own_port = running.url().rpartition(":")[2]
    nobody = free_port()
    problems = {
        f"{base}/inside": (422, "fetch-refused"),
        f"http://127.0.0.2:{site}/page": (422, "fetch-refused"),
        f"http://[::1]:{site}/page": (422, "fetch-refused"),
        "http://169.254.169.254/latest/meta-data/": (422, "fetch-refused"),
        f"http://127.0.0.1:{own_port}/metrics": (422, "fetch-refused"),
        f"http://127.0.0.1:{nobody}/": (422, "fetch-refused"),
        "file:///etc/passwd": (422, "fetch-refused"),
        f"{base}/gone": (502, "fetch-failed"),
        f"{base}/picture": (415, "unsupported-media-type"),
        f"{base}/large": (413, "content-too-large"),
    }
    said: dict[str, str] = {}
    for url, problem in problems.items():
        answer = fetched(client, url)
        assert refused(answer) == problem, url
        said[url] = answer.json()["detail"]
        assert answer.json()["field"] == "url"
    inner = [said[url] for url in list(problems)[:4]]
    assert set(inner) == {"The address has no host that is public."}


def test_a_server_that_fetches_nothing_says_so(running: System, site: int) -> None:
    with httpx.Client(base_url=running.url(1), timeout=30, trust_env=False) as client:
        assert refused(fetched(client, f"http://127.0.0.1:{site}/page")) == (403, "fetch-off")


def test_settings_that_can_not_work_end_the_start(tmp_path: Path) -> None:
    address = Address(f"sqlite://{tmp_path}/castline.db", "")
    with (
        system(address, tmp_path, CASTLINE_FETCH_ALLOW="everything") as wrong,
        pytest.raises(RuntimeError, match="CASTLINE_FETCH_ALLOW"),
    ):
        wrong.front()


def test_nothing_is_left_behind(client: httpx.Client, running: System) -> None:
    """No process of a reader, once its answer is there."""
    import psutil

    text_of(client, b"Hello.", "text/plain")
    end = time.monotonic() + 20
    while children := psutil.Process(running.fronts[0].pid).children(recursive=True):
        assert time.monotonic() < end, children


def test_the_description_is_complete(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/texts"]["post"]
    assert {"403", "413", "415", "422", "501", "502", "504", "503", "200"} <= operation["responses"].keys()
    bodies = operation["requestBody"]["content"]
    assert bodies["application/json"]["example"]["url"].startswith("https://")
    assert {"text/html", "text/markdown", "text/plain", "application/epub+zip"} <= bodies.keys()
