"""`castline say`: post a text, print its link, and perhaps play it, keep the audio or follow the sentences."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import BadInput, NothingToSpeak
from producer_api.commands.bar import bar
from producer_api.commands.client import Server, ServerError
from producer_api.commands.history import History, Made, NoHistory
from producer_api.commands.lines import Left, complain
from producer_api.commands.player import Player, find_player, play

FORMATS = ("opus", "mp3", "aac", "wav", "flac")
ASK_S = 1.0
"""So often the server is asked how much is spoken; only for the progress bar."""
READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is to be done with the speech. out: a file; follow: print sentences; play: aloud."""

    out: Path | None
    follow: bool
    play: bool


def run(server: Server, body: Mapping[str, Any], outputs: Outputs, history: History) -> None:
    """body: a cast as POST takes it; without `text` it comes on standard input. The link goes to stdout, all else to
    stderr. Raises BadInput, ServerError, CanNotPlay, Left.
    """
    fmt = _format(outputs.out)
    player = find_player() if outputs.play else None
    stream = "text" not in body
    cast = server.call("POST", "/v1/casts", {**body, "open": True} if stream else body)
    link = f"{server.url}{cast['links']['page']}"
    sys.stdout.write(f"{link}\n")
    sys.stdout.flush()
    _remember(history, Made(cast["id"], server.url, cast["title"], cast["created"]))
    try:
        tasks = _begin(server, cast, outputs, fmt, player)
        if stream:
            _write(server, cast["id"], link)
        _attend(server, cast, tasks, quiet=outputs.follow)
    except KeyboardInterrupt as exc:
        raise Left(f"the cast goes on without you: {link}") from exc
    finally:
        if outputs.out is not None:
            _part(outputs.out).unlink(missing_ok=True)


def _begin(
    server: Server, cast: Mapping[str, Any], outputs: Outputs, fmt: str, player: Player | None
) -> list[Future[None]]:
    audio = cast["links"]["audio"]
    tasks: list[Future[None]] = []
    if outputs.follow:
        tasks.append(_beside(lambda: _print_sentences(server, cast["id"])))
    if player is not None:
        tasks.append(_beside(lambda: play(server, player, audio)))
    if (out := outputs.out) is not None:
        tasks.append(_beside(lambda: _save(server, audio[fmt], out)))
    return tasks


def _beside(work: Callable[[], None]) -> Future[None]:
    """In a thread that ends with the program, whatever it waits for."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001  raised again by whoever asks for the result
            future.set_exception(exc)
        else:
            future.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    return future


def _write(server: Server, job: str, link: str) -> None:
    """Standard input to its end; Ctrl-C is one, too. Raises NothingToSpeak, ServerError, Left."""
    interrupted = False

    def pieces() -> Iterator[bytes]:
        nonlocal interrupted
        try:
            while piece := os.read(sys.stdin.fileno(), READ_BYTES):
                yield piece
        except KeyboardInterrupt:
            interrupted = True

    answer = server.upload(f"/v1/casts/{job}/text?close=true", pieces(), None)
    if interrupted:
        raise Left(f"what was written is spoken without you: {link}")
    if not answer["units"]:
        server.call("DELETE", f"/v1/casts/{job}")
        raise NothingToSpeak


def _attend(server: Server, cast: Mapping[str, Any], tasks: list[Future[None]], *, quiet: bool) -> None:
    """Until all of them are done, or one has failed. Raises what it raised."""
    with contextlib.nullcontext() if quiet or not tasks else bar("speaking", "pieces") as report:
        while wait(tasks, ASK_S, FIRST_EXCEPTION).not_done and not any(t.done() and t.exception() for t in tasks):
            if report is not None:
                with contextlib.suppress(ServerError):  # a bar is no reason to fail
                    view = server.call("GET", cast["links"]["self"])
                    report(view["watermark"], None if view["open"] else view["units"])
    for task in tasks:
        if task.done():
            task.result()


def _remember(history: History, made: Made) -> None:
    """What can not be kept is spoken all the same."""
    try:
        history.add(made)
    except NoHistory as exc:
        complain(f"`castline ls` will not know it: {exc}")


def _format(out: Path | None) -> str:
    fmt = "opus" if out is None else out.suffix.lstrip(".").lower()
    if fmt not in FORMATS:
        raise BadInput(f"--out {out}: the name must end in .{', .'.join(FORMATS)}")
    return fmt


def _part(out: Path) -> Path:
    return out.with_name(out.name + ".part")


def _save(server: Server, path: str, out: Path) -> None:
    """Written beside its place and moved there when whole: a cut stream leaves no file that looks like one."""
    size = 0
    try:
        with server.stream("GET", path, patient=True) as response, _part(out).open("wb") as file:
            for piece in response.iter_bytes():
                size += file.write(piece)
        _part(out).replace(out)
    except OSError as exc:
        raise BadInput(f"--out {out}: {exc.strerror or exc}") from exc
    sys.stderr.write(f"{out}: {size:,} bytes\n")


def _print_sentences(server: Server, job: str) -> None:
    with server.stream("GET", f"/v1/casts/{job}/records?live=sse", patient=True) as response:
        for line in response.iter_lines():
            if not line.startswith("data: "):
                continue
            record = json.loads(line.removeprefix("data: "))
            if record["e"] == "audio":
                sys.stderr.write(f"{record['d'] / 1000:7.2f} s  {record['t']}\n")
            elif record["e"] == "skip":
                sys.stderr.write(f"  skipped  {record['t']}\n")
            elif record["e"] in ("eos", "error", "cancelled"):
                sys.stderr.write(f"{record['e']}: {record.get('audio_ms', 0) / 1000:.2f} s of audio\n")
