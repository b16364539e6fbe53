"""The command line's reader of records: it goes on where a broken stream ended, and gives up where it should."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from producer_api.commands import client
from producer_api.commands.client import Server, ServerError

Answer = tuple[int, bytes]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Answer]], tuple[Server, list[str | None]]]]:
    """Start a server that gives these answers, one each, the last one again and again; and what it was asked for."""
    monkeypatch.setattr(client, "RETRY_S", 0.0)
    with contextlib.ExitStack() as stack:

        def start(answers: list[Answer]) -> tuple[Server, list[str | None]]:
            asked: list[str | None] = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked.append(self.headers["Last-Event-ID"])
                    status, body = answers[min(len(asked), len(answers)) - 1]
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: Any) -> None:
                    pass

            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return Server(f"http://127.0.0.1:{server.server_port}"), asked

        yield start


def event(seq: int, kind: str) -> bytes:
    return b'id: %d\nevent: %b\ndata: {"seq":%d,"e":"%b"}\n\n' % (seq, kind.encode(), seq, kind.encode())


def test_it_goes_on_after_the_last_record_it_had(serve: Any) -> None:
    pages = [b"retry: 1000\n\n" + event(0, "meta") + event(1, "segment"), b": ping\n\n", event(2, "eos")]
    answers = [(200, pages[0]), (503, b""), (200, pages[1]), (200, pages[2])]
    server, asked = serve(answers)
    assert [record["seq"] for record in server.records("/records")] == [0, 1, 2]
    assert asked == [None, "1", "1", "1"]


def test_a_refusal_is_no_reason_to_ask_again(serve: Any) -> None:
    server, asked = serve([(200, event(0, "meta")), (404, b'{"detail": "It has expired."}')])
    with pytest.raises(ServerError, match="It has expired") as caught:
        list(server.records("/records"))
    assert (caught.value.status, len(asked)) == (404, 2)


def test_it_gives_up_in_the_end(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRIES", 3)
    server, asked = serve([(503, b'{"detail": "Not now."}')])
    with pytest.raises(ServerError, match="Not now"):
        list(server.records("/records"))
    assert len(asked) == 4
