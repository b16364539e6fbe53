"""Messages between a worker and its engine process: lengths, a JSON head, a body of bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

_LENGTHS = struct.Struct(">II")
LENGTHS_SIZE = _LENGTHS.size


def pack(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One message."""
    data = json.dumps(head, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(data), len(body)) + data + body


def unpack_lengths(data: bytes) -> tuple[int, int]:
    """(bytes of the head, bytes of the body) from the first LENGTHS_SIZE bytes."""
    head, body = _LENGTHS.unpack(data)
    return head, body
