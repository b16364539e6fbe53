"""A Durable Streams server for the conformance suite: our front reads, and only for the suite something writes.

PUT, POST and DELETE become calls of the real LogWriter; every GET and HEAD is answered by the real front, from the real
store. Two things stand between, as the suite's streams are no casts:

- `ShownReader` and `ShownBell`, around the ports of these names: a message is the JSON that was sent, not a record
  around it, and there is no `meta` record before the first.
- streams that are not JSON hold JSON strings; the body of an answer to a plain GET or a long-poll is joined from them.
  Events (SSE) pass as they are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.ids import new_epoch, new_id
from contracts.ports import Bell, LogReader, LogStatus, LogWriter, NewLog, Output, Page, Part, Ring
from contracts.records import Record
from contracts.topology import speech_lane
from contracts.units import Unit
from producer_api.follow.durable import offset_of

PREFIX = "/v1/stream/"
JSON = "application/json"
TTL_MS = 600_000
NOWHERE = "A" * 16
WRITER = "suite"


def shown(record: Record) -> Record:
    """A record as a message of the suite: one place further to the front, and its JSON is the body."""
    message = Record(record.seq - 1, record.type)
    message.__dict__["head"] = record.body  # what every framing starts from
    return message


@dataclass
class ShownReader:
    """A LogReader without `meta`, and with messages in place of records."""

    reader: LogReader

    async def status(self, job: str) -> LogStatus | None:
        status = await self.reader.status(job)
        return None if status is None else replace(status, next_seq=status.next_seq - 1)

    async def read(self, job: str, start: int, **bounds: int) -> Page | None:
        page = await self.reader.read(job, start + 1, **bounds)
        if page is None:
            return None
        return replace(page, records=[shown(r) for r in page.records], next_seq=page.next_seq - 1)


@dataclass
class ShownBell:
    """A Bell that rings with messages."""

    bell: Bell

    async def watch(self, job: str) -> None:
        await self.bell.watch(job)

    async def unwatch(self, job: str) -> None:
        await self.bell.unwatch(job)

    async def rings(self) -> AsyncIterator[Ring]:
        async for ring in self.bell.rings():
            yield replace(ring, record=shown(ring.record)) if ring.record and ring.record.seq else ring

    async def close(self) -> None:
        await self.bell.close()


@dataclass
class Stream:
    """One stream of the suite, and the log that holds it."""

    content_type: str
    job: str = field(default_factory=new_id)
    epoch: str = field(default_factory=new_epoch)
    written: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    def messages(self, body: bytes) -> list[bytes]:
        """What a body adds. Raises ValueError for what is no JSON."""
        if self.media_type != JSON:
            text = body.decode() if self.media_type.startswith("text/") else base64.b64encode(body).decode()
            return [json.dumps(text, ensure_ascii=False).encode()] if body else []
        value = json.loads(body) if body else []
        return [json.dumps(v, ensure_ascii=False).encode() for v in (value if isinstance(value, list) else [value])]

    def joined(self, messages: bytes) -> bytes:
        """The bytes behind a page of messages."""
        decode = str.encode if self.media_type.startswith("text/") else base64.b64decode
        return b"".join(decode(message) for message in json.loads(messages))


class ConformanceServer:
    """ASGI: writes for the suite, around a front that reads."""

    def __init__(self, front: ASGIApp, writer: LogWriter, reader: LogReader) -> None:
        self._front = front
        self._writer = writer
        self._reader = reader
        self._streams: dict[str, Stream] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(PREFIX):
            await self._front(scope, receive, send)
            return
        stream = self._streams.get(path)
        if scope["method"] in ("PUT", "POST", "DELETE"):
            response = await self._write(Request(scope, receive), stream)
            response.headers["X-Content-Type-Options"] = "nosniff"
            await response(scope, receive, send)
            return
        ours = f"/v1/casts/{stream.job if stream else NOWHERE}/stream"
        scope = {**scope, "path": ours, "raw_path": ours.encode()}
        await self._front(scope, receive, send if stream is None else _Translated(stream, send))

    async def _write(self, request: Request, stream: Stream | None) -> Response:
        body = await request.body()
        if request.method == "PUT":
            return await self._create(request, stream, body)
        if stream is None or await self._reader.status(stream.job) is None:
            return Response(status_code=404)
        if request.method == "DELETE":
            del self._streams[request.url.path]
            return Response(status_code=204)
        return await self._post(stream, body, _kind(request), closes=_closes(request))

    async def _post(self, stream: Stream, body: bytes, kind: str, *, closes: bool) -> Response:
        if (await self._status(stream)).state != "live":
            return await self._said(stream, 204 if closes and not body else 409)
        if body and Stream(kind).media_type != stream.media_type:
            return Response(status_code=409)
        try:
            messages = stream.messages(body)
        except ValueError:
            return Response(status_code=400)
        if not messages and not closes:
            return Response(status_code=400)
        await self._append(stream, messages, closes=closes)
        return await self._said(stream, 204)

    async def _create(self, request: Request, old: Stream | None, body: bytes) -> Response:
        kind, closes = _kind(request), _closes(request)
        if old is not None and await self._reader.status(old.job) is not None:
            return await self._said(old, 200 if old.media_type == Stream(kind).media_type else 409)
        stream = self._streams[request.url.path] = Stream(kind)
        ttl_ms = _ttl_ms(request)
        meta: dict[str, Any] = {"v": 1, "kind": "tts"}
        lane = speech_lane("tone")
        log = NewLog(stream.job, stream.epoch, lane, "live", "", {}, meta, ["all of it"], closed=True, ttl_ms=ttl_ms)
        await self._writer.open(log)
        if body or closes:
            await self._append(stream, stream.messages(body), closes=closes)
        response = await self._said(stream, 201)
        response.headers["Location"] = str(request.url)
        return response

    async def _append(self, stream: Stream, messages: Sequence[bytes], *, closes: bool) -> None:
        """Messages as parts of the log's one unit; the last one ends it, if it is to be closed."""
        unit = Unit(stream.job, stream.epoch, 0)
        parts = [Part("delta", {"i": 0}, message) for message in messages]
        last = (parts.pop().body if parts else b'""') if closes else None
        async with stream.lock:
            if parts:
                assert await self._writer.append(unit, WRITER, stream.written, parts) == "OK"
                stream.written += len(parts)
            if last is not None:
                assert (await self._writer.commit(unit, Output("eos", {}, last))).verdict == "OK"

    async def _status(self, stream: Stream) -> LogStatus:
        status = await self._reader.status(stream.job)
        assert status is not None
        return status

    async def _said(self, stream: Stream, code: int) -> Response:
        status = await self._status(stream)
        headers = {"Stream-Next-Offset": offset_of(status.next_seq), "Content-Type": stream.content_type}
        if status.state != "live":
            headers["Stream-Closed"] = "true"
        return Response(None, code, headers)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "application/octet-stream")


def _closes(request: Request) -> bool:
    return request.headers.get("stream-closed") == "true"


def _ttl_ms(request: Request) -> int:
    if at := request.headers.get("stream-expires-at"):
        return max(1, round(1000 * (datetime.fromisoformat(at).timestamp() - time.time())))
    return 1000 * int(request.headers.get("stream-ttl", TTL_MS // 1000))


class _Translated:
    """Sends what the front says of a stream, with its content type, and its bytes where it is not JSON."""

    def __init__(self, stream: Stream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {k.decode(): v for k, v in message["headers"]}
            if headers.get("content-type") != JSON.encode():  # events, problems, no content
                await self._send(message)
                return
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message["body"]
            if not message.get("more_body"):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = self._body
        if body and self._stream.media_type != JSON:
            body = self._stream.joined(body)
        replaced = {b"content-type": self._stream.content_type.encode(), b"content-length": str(len(body)).encode()}
        headers = [(k, replaced.get(k, v)) for k, v in start["headers"]]
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
