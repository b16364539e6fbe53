"""What an upstream streams: server-sent events, of which each carries a chat.completion.chunk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.llm_proxy.failures import CLIENT_STATUSES, RequestRefused, UpstreamFailed

DONE = b"[DONE]"
LONGEST_EVENT = 8 << 20
"""Bytes; an image in a delta is a few MiB."""


class Events:
    """Data of events, as they come in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Data of the events that are whole now, each on one line: a line break in JSON is white space."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
                self._size += len(value)
            elif not name and not value:
                yield from self._event()
        if len(self._rest) + self._size > LONGEST_EVENT:
            raise UpstreamFailed("garbage", "an event without an end")

    def end(self) -> Iterator[bytes]:
        """What is left when the stream is over: some leave out the last empty line."""
        return self.feed(b"\n\n")

    def _event(self) -> Iterator[bytes]:
        data, self._data, self._size = self._data, [], 0
        if data:
            yield b" ".join(data)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chat.completion.chunk."""

    data: bytes
    """JSON on one line, as it came."""
    text: str = ""
    """delta.content of choice 0."""
    token: bool = False
    """It holds something somebody has waited for: text, a tool call, an end; not just a role or figures."""
    ends: Mapping[int, str] = field(default_factory=dict)
    """Choice -> finish_reason."""
    choices: frozenset[int] = frozenset()
    usage: Mapping[str, Any] | None = None


def parse_chunk(data: bytes) -> Chunk:
    """Raises UpstreamFailed; RequestRefused for an error of that kind in place of a chunk."""
    try:
        chunk = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise UpstreamFailed("garbage", "a chunk that is no JSON") from exc
    if not isinstance(chunk, dict):
        raise UpstreamFailed("garbage", "a chunk that is no object")
    if error := chunk.get("error"):
        raise _of_error(error_object(error))
    choices = chunk.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise UpstreamFailed("garbage", "a chunk whose choices are none")
    deltas = {_index(choice): choice.get("delta") or {} for choice in choices}
    if not all(isinstance(delta, dict) for delta in deltas.values()):
        raise UpstreamFailed("garbage", "a chunk whose delta is none")
    content = deltas.get(0, {}).get("content")
    ends = {_index(c): str(c["finish_reason"]) for c in choices if c.get("finish_reason")}
    said = any(value for delta in deltas.values() for name, value in delta.items() if name != "role")
    usage = chunk.get("usage")
    return Chunk(
        data, content if isinstance(content, str) else "", bool(said or ends), ends, frozenset(deltas),
        usage if isinstance(usage, dict) else None,
    )  # fmt: skip


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _of_error(error: Mapping[str, Any]) -> UpstreamFailed | RequestRefused:
    code = error.get("code")
    if code in CLIENT_STATUSES:
        return RequestRefused(int(code), error)
    return UpstreamFailed("error", f"error {code}: {error.get('message')}" if code else str(error.get("message")))


def error_object(error: object) -> Mapping[str, Any]:
    """An upstream's error in the form of OpenAI's, whatever it was."""
    return error if isinstance(error, dict) else {"message": str(error)}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def storable(value: Any) -> Any:  # noqa: ANN401  JSON of any form
    """JSON without halves of surrogate pairs, which JSON can spell and UTF-8 can not."""
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole)
