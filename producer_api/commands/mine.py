"""`castline ls`, `open` and `rm`: casts of this user, as this machine remembers them and their servers know them."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from contracts.errors import BadInput, CastlineError
from producer_api.commands.client import Server, ServerError
from producer_api.commands.history import History, Made
from producer_api.commands.lines import complain, one_line
from producer_api.commands.links import parse

_ASKED_AT_ONCE = 8
_KNOWN = ("state", "open", "units", "watermark", "audio_ms", "expires")
"""Of a cast, as its server sees it."""
_TITLE_CHARS = 60


def list_casts(history: History, limit: int, *, as_json: bool) -> None:
    """Newest first: link, state, units, length, title. Raises NoHistory."""
    made = history.newest(limit)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        rows = list(pool.map(_row, made))
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    for row in rows:
        sys.stdout.write(_line(row) + "\n")
    if not rows:
        sys.stderr.write("no casts were made from this machine yet\n")


def _row(made: Made) -> dict[str, Any]:
    """state: `gone` if its server has it no more, `unknown` if the server does not answer; null is not known."""
    row = {"id": made.id, "link": made.link, "server": made.server, "title": made.title, "created": made.created}
    row |= dict.fromkeys(_KNOWN)
    try:
        view = Server(made.server).call("GET", f"/v1/casts/{made.id}")
    except ServerError as exc:
        return {**row, "state": "gone" if exc.status == 404 else "unknown"}
    return {**row, "title": view["title"] or made.title, **{name: view[name] for name in _KNOWN}}


def _line(row: dict[str, Any]) -> str:
    units = "" if row["units"] is None else f"{row['watermark']}/{row['units']}{'+' if row['open'] else ''}"
    seconds = "" if row["audio_ms"] is None else f"{row['audio_ms'] // 60_000}:{row['audio_ms'] // 1_000 % 60:02}"
    title = one_line(row["title"])[:_TITLE_CHARS]
    return f"{row['link']}  {row['state']:9}  {units:>9}  {seconds:>7}  {title}".rstrip()


def open_page(server: Server, history: History, given: str) -> None:
    """In the browser; where there is none, the link is printed. Raises BadInput, ServerError."""
    home, job = _find(server, history, given)
    home.call("GET", f"/v1/casts/{job}")
    link = f"{home.url}/c/{job}"
    if not webbrowser.open(link):
        sys.stdout.write(f"{link}\n")


def remove(server: Server, history: History, given: Sequence[str]) -> int:
    """Cancel what is live, and forget it here; the exit status. One that fails is one line, and the others go on."""
    failures = 0
    for each in given:
        try:
            sys.stdout.write(_remove(server, history, each) + "\n")
        except CastlineError as exc:
            failures += 1
            complain(f"{each}: {exc}")
    return int(failures > 0)


def _remove(server: Server, history: History, given: str) -> str:
    """What was done. Raises BadInput, ServerError, NoHistory."""
    home, job = _find(server, history, given)
    link = f"{home.url}/c/{job}"
    known = history.find(job) is not None
    try:
        before = home.call("GET", f"/v1/casts/{job}")
        live = before["state"] in ("waiting", "live")
        view = home.call("DELETE", f"/v1/casts/{job}") if live else before
    except ServerError as exc:
        if exc.status != 404 or not known:
            raise
        history.remove(job)
        return f"{link}: forgotten; its server has it no more"
    history.remove(job)
    until = datetime.fromtimestamp(view["expires"] / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{link}: {'cancelled' if live else 'forgotten'}; the server keeps what was made until {until}"


def _find(server: Server, history: History, given: str) -> tuple[Server, str]:
    """Its server: of the link, else as this machine remembers it, else the one of --url. Raises BadInput."""
    link = parse(given)
    if link.kind not in (None, "casts"):
        raise BadInput(f"{given!r} is no cast")
    if link.server is not None:
        return Server(link.server), link.job
    made = history.find(link.job)
    return server if made is None else Server(made.server), link.job
