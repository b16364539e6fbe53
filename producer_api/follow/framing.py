"""Records as bytes on a wire: SSE events, WebSocket frames, JSON."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.records import Record, to_json

_HEAD_LENGTH = struct.Struct(">I")

SSE_PREAMBLE = b"retry: 1000\n\n"
SSE_PING = b": ping\n\n"


def _json(record: Record) -> bytes:
    """{seq, e, …headers, body: base64}; no body member where the body is empty."""
    if not record.body:
        return record.head
    return record.head[:-1] + b',"body":"' + base64.b64encode(record.body) + b'"}'


def sse(record: Record) -> bytes:
    """One event: id = seq, event = type, data = JSON with the body in base64. Framed once per record and process."""
    framed: bytes | None = record.__dict__.get("_sse")
    if framed is None:
        framed = b"id: %d\nevent: %b\ndata: %b\n\n" % (record.seq, record.type.encode(), _json(record))
        record.__dict__["_sse"] = framed
    return framed


def typed_event(content: Mapping[str, Any]) -> bytes:
    """One event of OpenAI's audio endpoints: named by its `type`, with all of it as data."""
    return b"event: %b\ndata: %b\n\n" % (str(content["type"]).encode(), to_json(content))


def frame(record: Record) -> bytes:
    """One binary frame: length of the head (4 bytes, big-endian), head (JSON), body."""
    return _HEAD_LENGTH.pack(len(record.head)) + record.head + record.body


def messages(records: Sequence[Record]) -> bytes:
    """A JSON array of records, each as in a page."""
    return b"[" + b",".join(_json(r) for r in records) + b"]"


def page(records: Sequence[Record], next_seq: int, *, closed: bool) -> bytes:
    """{"records": […], "next": seq, "closed": bool}."""
    return b'{"records":%b,"next":%d,"closed":%b}' % (messages(records), next_seq, b"true" if closed else b"false")
