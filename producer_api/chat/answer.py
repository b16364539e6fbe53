"""A completion's records as an answer: server-sent events while they come, or one object when all have."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from contracts.errors import CastlineError, CompletionFailed, problem
from contracts.records import Record
from producer_api.chat.chunks import Chunk, chunks_of, failure_of
from producer_api.chat.merge import merge
from producer_api.chat.sent import Differs, Sent
from producer_api.problems import members_of, openai_error

Runs = AsyncGenerator[Sequence[Record], None]

_DONE = b"data: [DONE]\n\n"


def completion_name(job: str) -> str:
    """The `id` that clients see of a completion."""
    return f"chatcmpl-{job}"


async def whole(runs: Runs, job: str) -> dict[str, Any]:
    """The chat.completion of the attempt that has come to its end. Raises CompletionFailed."""
    chunks: list[Chunk] = []
    async with contextlib.aclosing(runs):
        async for run in runs:
            for record in run:
                match record.type:
                    case "start":
                        chunks.clear()
                    case "delta":
                        chunks += chunks_of(record)
                    case "eos":
                        return merge(chunks, completion_name(job), record.headers.get("usage"))
                    case "error" | "cancelled" | "skip":
                        raise CompletionFailed(failure_of(record))
    raise CompletionFailed(problem("completion-failed", 502, "The completion has no end."))


async def events(runs: Runs, job: str, *, usage: bool) -> AsyncGenerator[bytes, None]:
    """Its chunks as they come, as server-sent events. usage: the client has asked for it. Raises CompletionFailed."""
    sent = Sent()
    async with contextlib.aclosing(runs):
        async for run in runs:
            for record in _of_the_last_attempt(run):
                try:
                    piece = _piece(record, sent, job, usage=usage)
                except Differs as exc:
                    raise CompletionFailed(_restarted(job)) from exc
                if piece:
                    yield piece


def _of_the_last_attempt(run: Sequence[Record]) -> Sequence[Record]:
    """Nobody needs what an attempt has said that is known to be lost."""
    starts = [n for n, record in enumerate(run) if record.type == "start"]
    return run[starts[-1] :] if starts else run


def _piece(record: Record, sent: Sent, job: str, *, usage: bool) -> bytes:
    match record.type:
        case "start":
            sent.restart()
        case "delta":
            wanted = [_for_client(chunk, job, usage=usage) for chunk in chunks_of(record)]
            unsent = [sent.unsent(chunk) for chunk in wanted if chunk is not None]
            return b"".join(_event(chunk) for chunk in unsent if chunk is not None)
        case "eos":
            sent.end()
            return _DONE
        case "error" | "cancelled" | "skip":
            raise CompletionFailed(failure_of(record))
    return b""


def _for_client(chunk: Chunk, job: str, *, usage: bool) -> Chunk | None:
    """None: it has nothing but what the client has not asked for."""
    if not usage and "usage" in chunk:
        if not chunk.get("choices"):
            return None
        chunk = {name: value for name, value in chunk.items() if name != "usage"}
    return {**chunk, "id": completion_name(job)}


def _restarted(job: str) -> dict[str, Any]:
    """RFC 9457 members: what was sent can not be taken back."""
    detail = (
        "The upstream was lost, and another attempt says something else than was sent here: "
        f"/v1/completions/{job}/records has all of it."
    )
    return {**problem("restarted", 502, detail), "completion": job}


def _event(content: dict[str, Any]) -> bytes:
    """One event. ASCII: half a surrogate pair may stand at the end of a chunk."""
    return b"data: %b\n\n" % json.dumps(content, separators=(",", ":")).encode()


def error_event(exc: CastlineError) -> bytes:
    """What has gone wrong after the first byte."""
    members, _ = members_of(exc)
    more = {"completion": members["completion"]} if "completion" in members else {}
    return _event({"error": {**openai_error(members), **more}})
