"""A completion's records, read as the chunks they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contracts.errors import problem
from contracts.records import Record

Chunk = dict[str, Any]
"""A chat.completion.chunk, as the upstream has sent it."""


def chunks_of(record: Record) -> list[Chunk]:
    """The chunks in a `delta`."""
    return [json.loads(line) for line in record.body.split(b"\n") if line.strip()]


def failure_of(record: Record) -> Mapping[str, Any]:
    """RFC 9457 members of the record that has ended a completion without an answer."""
    match record.type:
        case "error":
            status = record.headers.get("status")
            known = isinstance(status, int) and 400 <= status <= 599
            usual = problem("completion-failed", 502, "The completion has failed.")
            said = {name: value for name, value in record.headers.items() if name not in ("i", "a", "w")}
            return {**usual, **said, "status": status if known else 502}
        case "cancelled":
            # gone, and not a conflict: clients would ask again by themselves
            return problem("cancelled", 410, "The completion was cancelled.")
    return problem("given-up", 502, f"The completion was {record.headers.get('reason', 'given up')}.")
