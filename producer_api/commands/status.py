"""`castline status`: a cast, a transcript, a completion, or the server."""

from __future__ import annotations

import json
import sys
from typing import Any

from producer_api.commands.client import Server, ServerError
from producer_api.commands.links import parse


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
    """An id alone may be of any kind; any link of ours says which. Raises BadInput or ServerError."""
    link = parse(given)
    if link.kind is not None:
        return server.call("GET", f"/v1/{link.kind}/{link.job}")
    for kind in ("casts", "transcripts"):
        try:
            return server.call("GET", f"/v1/{kind}/{link.job}")
        except ServerError as exc:
            if exc.status != 404:
                raise
    return server.call("GET", f"/v1/completions/{link.job}")
