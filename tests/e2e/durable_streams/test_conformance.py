"""The official conformance suite of Durable Streams, unmodified, against our front: what it says of reading.

The suite writes what it reads; see server.py. EXCLUDED names the rest, and why; everything else must pass.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from e2e.durable_streams.server import ConformanceServer, ShownBell, ShownReader
from pydantic import SecretStr

from contracts.adapters import Address, open_bell, open_store
from load_tests.services import free_port, wait_until
from load_tests.system import SECRET
from producer_api import front
from producer_api.app import create_app
from producer_api.follow import reading
from producer_api.protocol import CuttableHttp
from producer_api.settings import FrontSettings

logger = logging.getLogger(__name__)

_WRITES = "says what a writer may do: castline's logs are written by castline, and the writer here is for this test"
_RETENTION = "retention of a castline log counts from its last record; reading does not keep it, and has no header"
_JSON_ONLY = "events of streams that are not JSON: castline has none"
EXCLUDED = {
    r"(Fork - |Idempotent Producer|Case-Insensitivity)": _WRITES,
    r"Basic Stream Operations should (create|allow|reject|delete)": _WRITES,
    r"Append Operations should enforce sequence": _WRITES,
    r"HTTP Protocol should return (correct headers on (PUT|POST)|(200|204|409) on|404 on (POST|DELETE))": _WRITES,
    r"HTTP Protocol should (enforce|allow|reject)": _WRITES,
    r"Browser Security Headers .* on (PUT|POST) responses": _WRITES,
    r"TTL and Expiry (Validation|Edge Cases)": _WRITES,
    r"TTL Expiration Behavior should (return 404 on POST|allow recreating|extend TTL on (close|producer))": _WRITES,
    r"Content-Type Validation should (enforce|allow)": _WRITES,
    r"Protocol Edge Cases should (reject (empty POST|missing)|enforce case|return Location|accept PUT)": _WRITES,
    r"Chunking and Large Payloads should handle large payload": _WRITES,
    r"JSON Mode should (allow PUT|reject)": _WRITES,
    r"Property-Based Tests \(fast-check\) Sequence Ordering": _WRITES,
    r"Property-Based Tests \(fast-check\) Concurrent Writer Stress Tests concurrent writers": _WRITES,
    r"Stream Closure (Create|Close Operations|Idempotent)": _WRITES,
    r"Stream Closure Edge Cases (409|close|producer|empty|delete)": _WRITES,
    r"Reserved subscription": _WRITES,
    r"HEAD Metadata Edge Cases": _RETENTION,
    r"TTL Expiration Behavior should (extend TTL on (GET|read)|NOT extend Expires-At)": _RETENTION,
    r"SSE Mode (base64|should (auto-detect|include Stream-SSE|base64))": _JSON_ONLY,
    r"SSE Mode should handle (newlines|empty binary|large binary|binary|offset=now with auto)": _JSON_ONLY,
    r"SSE Mode should prevent CRLF injection in payloads": _JSON_ONLY,
}
LEAST_PASSED = 120


@contextmanager
def serving(address: Address, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a conformance server on this store."""
    store = open_store(address)
    shown = ShownReader(store.log_reader)
    monkeypatch.setattr(front, "open_store", lambda _: replace(store, log_reader=shown))
    monkeypatch.setattr(front, "open_bell", lambda _: ShownBell(open_bell(address)))
    monkeypatch.setattr(reading, "LONG_POLL_S", 1.0)
    settings = FrontSettings(
        store=address.store, broker=address.broker, namespace=address.namespace, secret=SecretStr(SECRET)
    )
    app = ConformanceServer(create_app(settings), store.log_writer, shown)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", http=CuttableHttp, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 60, "the conformance server")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def run_suite(packages: Path, url: str, store: str) -> list[dict[str, Any]]:
    """What became of each test of the suite, those excluded too."""
    report = packages / f"report-{store}.json"
    wanted = f"^(?!{'|'.join(EXCLUDED)})"
    command = ["npx", "vitest", "run", "--reporter=json", f"--outputFile={report}", "-t", wanted]
    command.append("--testTimeout=60000")  # a test of 100,000 comparisons is slow on a busy machine
    environment = os.environ | {"CONFORMANCE_TEST_URL": url}
    done = subprocess.run(
        command, cwd=packages, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    [file] = json.loads(report.read_text())["testResults"]
    return list(file["assertionResults"])


@pytest.mark.timeout(500)
@pytest.mark.parametrize("store", ["embedded", "real"])
def test_reading_conforms(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, packages: Path, store: str
) -> None:
    with serving(request.getfixturevalue(store), monkeypatch) as url:
        results = run_suite(packages, url, store)
    excluded = [r for r in results if re.match("|".join(EXCLUDED), r["fullName"])]
    ours = [r for r in results if r not in excluded]
    bad = {r["fullName"]: r["failureMessages"][:1] or r["status"] for r in ours if r["status"] != "passed"}
    logger.info("%s: %d of %d passed, %d excluded", store, len(ours) - len(bad), len(ours), len(excluded))
    assert not bad
    assert len(ours) >= LEAST_PASSED
    for pattern in EXCLUDED:
        assert any(re.match(pattern, r["fullName"]) for r in results), f"{pattern} excludes nothing"
