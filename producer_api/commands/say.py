"""`castline say`: post a text, print its link, and perhaps keep the audio or follow the sentences."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import BadInput
from producer_api.commands.client import Server, ServerError

FORMATS = ("opus", "mp3", "wav", "flac")


def run(server: Server, body: Mapping[str, Any], out: Path | None, *, follow: bool) -> None:
    """Raises BadInput or ServerError. The link goes to stdout, all else to stderr."""
    fmt = _format(out)
    cast = server.call("POST", "/v1/casts", body)
    sys.stdout.write(f"{server.url}{cast['links']['page']}\n")
    sys.stdout.flush()
    following = threading.Thread(target=_print_sentences, args=(server, cast["id"]), daemon=True)
    if follow:
        following.start()
    if out is not None:
        _save(server, cast["links"]["audio"][fmt], out)
    if follow:
        following.join()


def _format(out: Path | None) -> str:
    fmt = "opus" if out is None else out.suffix.lstrip(".").lower()
    if fmt not in FORMATS:
        raise BadInput(f"--out {out}: the name must end in .{', .'.join(FORMATS)}")
    return fmt


def _save(server: Server, path: str, out: Path) -> None:
    """Written beside its place and moved there when whole: a cut stream leaves no file that looks like one."""
    part = out.with_name(out.name + ".part")
    size = 0
    try:
        with server.stream("GET", path, patient=True) as response, part.open("wb") as file:
            for piece in response.iter_bytes():
                size += file.write(piece)
    except (ServerError, OSError):
        part.unlink(missing_ok=True)
        raise
    part.replace(out)
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
