"""`castline status`: a cast, a transcript, or the server."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any
from urllib.parse import quote, urlsplit

from contracts.errors import BadInput
from producer_api.commands.client import Server, ServerError

KINDS = {"c": "casts", "casts": "casts", "transcripts": "transcripts"}
"""What stands before an id in a link, and what it is an id of."""


def run(server: Server, job: str | None) -> int:
    """Print JSON; exit status 1 if the server is not ready. Raises BadInput or ServerError."""
    if job is not None:
        sys.stdout.write(json.dumps(_find(server, job), indent=2, ensure_ascii=False) + "\n")
        return 0
    try:
        answer = server.call("GET", "/ready")
    except ServerError as exc:
        sys.stderr.write(f"castline: {exc}\n")
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


def _find(server: Server, given: str) -> dict[str, Any]:
    """An id alone may be of either kind; any link of ours says which. Raises BadInput or ServerError."""
    try:
        parts = [part for part in urlsplit(given).path.split("/") if part]
    except ValueError as exc:
        raise BadInput(f"{given!r} is no link: {exc}") from exc
    if not parts:
        raise BadInput(f"{given!r} is no id and no link of a cast or a transcript")
    for kind, job in itertools.pairwise(parts):
        if kind in KINDS:
            return server.call("GET", f"/v1/{KINDS[kind]}/{quote(job, safe='')}")
    job = quote(parts[-1], safe="")
    try:
        return server.call("GET", f"/v1/casts/{job}")
    except ServerError as exc:
        if exc.status != 404:
            raise
    return server.call("GET", f"/v1/transcripts/{job}")
