"""`castline status`: a cast, or the server."""

from __future__ import annotations

import json
import sys

from producer_api.commands.client import Server, ServerError


def run(server: Server, cast: str | None) -> int:
    """Print JSON; exit status 1 if the server is not ready. Raises ServerError."""
    if cast is not None:
        job = cast.rstrip("/").rpartition("/")[2]
        sys.stdout.write(json.dumps(server.call("GET", f"/v1/casts/{job}"), indent=2, ensure_ascii=False) + "\n")
        return 0
    try:
        answer = server.call("GET", "/ready")
    except ServerError as exc:
        sys.stderr.write(f"castline: {exc}\n")
        return 1
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0
