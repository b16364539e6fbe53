"""`castline transcribe`: send recordings one by one, print their links, follow, write what was heard."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from contracts.errors import CastlineError
from producer_api.commands.bar import Report, bar
from producer_api.commands.client import Server, ServerError
from producer_api.commands.lines import INTERRUPTED, Left, complain
from producer_api.commands.recordings import STDIN, Plan, Recording
from producer_api.transcript_models import TITLE_CHARS
from producer_api.transcript_text import TextFormat

READ_BYTES = 1 << 16
ASK_S = 1.0
"""At most so often the server is asked how many pieces there are; only for the progress bar."""


class NotHeard(CastlineError):
    """The transcript ended, but is not whole: it failed, or somebody cancelled it."""


def run(server: Server, plan: Plan, options: Mapping[str, str]) -> int:
    """The exit status. A recording that fails is one line, and the others go on."""
    for fault in plan.faults:
        complain(fault)
    failures = len(plan.faults)
    for recording in plan.recordings:
        try:
            _transcribe(server, recording, options, plan.fmt)
        except Left as exc:
            complain(f"{recording.name}: {exc}")
            return INTERRUPTED
        except CastlineError as exc:
            failures += 1
            complain(f"{recording.name}: {exc}")
        except OSError as exc:
            failures += 1
            complain(f"{exc.filename or recording.name}: {exc.strerror or exc}")
    return int(failures > 0)


def _transcribe(server: Server, recording: Recording, options: Mapping[str, str], fmt: TextFormat) -> None:
    """Raises Left, NotHeard, ServerError, OSError."""
    try:
        view = _send(server, recording, options)
    except KeyboardInterrupt as exc:
        raise Left("stopped before all of it was sent") from exc
    text = view["links"]["text"][fmt]
    link = f"{server.url}{text}"
    try:
        # stdout has the transcript and nothing else, where that goes there
        print(link, file=sys.stderr if recording.target is None else sys.stdout, flush=True)
        _follow(server, recording, view)
        _write(server, text, recording.target)
    except KeyboardInterrupt as exc:
        raise Left(f"the transcript goes on without you: {link}, or the same command again") from exc


def _send(server: Server, recording: Recording, options: Mapping[str, str]) -> dict[str, Any]:
    """Where its transcript stands then. Raises ServerError, OSError."""
    if recording.path == STDIN:
        with bar(f"{recording.name}: sending", "bytes") as report:
            return _post(server, options, sys.stdin.buffer, None, report)
    options = {**options, "title": recording.path.name[:TITLE_CHARS]}
    with recording.path.open("rb") as file, bar(f"{recording.name}: sending", "bytes") as report:
        size = recording.path.stat().st_size if recording.path.is_file() else None
        return _post(server, options, file, size, report)


def _post(
    server: Server, options: Mapping[str, str], file: BinaryIO, size: int | None, report: Report | None
) -> dict[str, Any]:
    return server.upload(f"/v1/transcripts?{urlencode(options, errors='replace')}", _pieces(file, size, report), size)


def _pieces(file: BinaryIO, size: int | None, report: Report | None) -> Iterator[bytes]:
    sent = 0
    while piece := file.read(READ_BYTES):
        yield piece
        sent += len(piece)
        if report is not None:
            report(sent, size)


def _follow(server: Server, recording: Recording, view: Mapping[str, Any]) -> None:
    """Until the transcript has ended. Raises NotHeard, ServerError."""
    last: dict[str, Any] = {}
    with bar(f"{recording.name}: hearing", "pieces") as report:
        known = _Known(server, view)
        for last in server.records(view["links"]["records"]):
            if report is not None and "i" in last:
                report(last["i"] + 1, known.pieces(last["i"] + 1))
    if last["e"] == "error":
        raise NotHeard(last.get("detail") or last.get("title") or "the transcript failed")
    if last["e"] == "cancelled":
        raise NotHeard("the transcript was cancelled")
    if skipped := last.get("skipped"):
        complain(f"{recording.name}: {skipped} of {last['units']} pieces could not be heard and are left out")


class _Known:
    """How many pieces there are: more and more, until the recording has been cut."""

    def __init__(self, server: Server, view: Mapping[str, Any]) -> None:
        self._server = server
        self._view = view
        self._asked = 0.0

    def pieces(self, done: int) -> int:
        """`done` at least. A bar is no reason to fail: without an answer it is what the last one said."""
        if not self._view["cut"] and time.monotonic() - self._asked > ASK_S:
            self._asked = time.monotonic()
            with contextlib.suppress(ServerError):
                self._view = self._server.call("GET", self._view["links"]["self"])
        return max(done, int(self._view["units"]))


def _write(server: Server, path: str, target: Path | None) -> None:
    """Raises ServerError, OSError."""
    with server.stream("GET", path) as response:
        if target is None:
            _copy(response.iter_bytes(), sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif target.exists() and not target.is_file():  # a device, or a pipe
            with target.open("wb") as file:
                _copy(response.iter_bytes(), file)
        else:
            _replace(response.iter_bytes(), target)


def _replace(pieces: Iterator[bytes], target: Path) -> None:
    """Written beside its place and moved there when whole."""
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            _copy(pieces, file)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _copy(pieces: Iterator[bytes], file: BinaryIO) -> None:
    file.writelines(pieces)
