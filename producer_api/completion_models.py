"""What clients are told of completions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class CompletionLinks(BaseModel):
    """Paths of a completion, relative to this server."""

    self: str
    records: str
    stream: str
    follow: str


class CompletionView(BaseModel):
    """Where a completion stands."""

    id: str = Field(examples=["Zk3vT0x9yQm1LwPa"])
    state: Literal["waiting", "live", "done", "cancelled", "failed"]
    """waiting: nothing of it has been written yet; failed: see `error`."""
    model: str = Field(examples=["small"])
    """Alias, as asked for."""
    text: str = Field(examples=["Hello there."])
    """Text of the first choice by now, of the attempt of the moment."""
    attempt: int | None
    """Counts from 1; null while it waits."""
    upstream: str | None = Field(examples=["http://127.0.0.1:8000/v1"])
    """Who writes it."""
    upstream_model: str | None
    """What the upstream calls the model."""
    finish_reason: str | None = Field(examples=["stop"])
    """Of the first choice, once it is done."""
    usage: dict[str, Any] | None = Field(examples=[{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}])
    """As the upstream counts, once it is done."""
    ttft_ms: int | None
    """From the request to the upstream to its first token."""
    gen_ms: int | None
    """From the request to the upstream to its last."""
    error: dict[str, Any] | None
    """RFC 9457 members, if it has failed."""
    position: int | None
    """Waiting completions that are started before it; null once it is in work."""
    workers: int
    """Workers that can write it now."""
    created: int
    """Milliseconds since 1970."""
    expires: int
    links: CompletionLinks


def links(job: str) -> CompletionLinks:
    """Paths of a completion."""
    base = f"/v1/completions/{job}"
    return CompletionLinks(self=base, records=f"{base}/records", stream=f"{base}/stream", follow=f"{base}/follow")
