"""Port of the blobs: audio that is to be transcribed, kept beside the log and named in messages (a claim check)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Blobs(Protocol):
    """Named sets of numbered parts, each of up to some MiB; a set expires as a whole."""

    async def put(self, name: str, parts: Mapping[int, bytes], ttl_ms: int) -> None:
        """Keep parts, in place of those of the same numbers; the set lives for ttl_ms from now."""
        ...

    async def get(self, name: str, parts: Sequence[int]) -> list[bytes | None]:
        """These parts, at least one; None for what is not there (any more)."""
        ...

    async def drop(self, name: str, parts: Sequence[int] | None = None) -> None:
        """Forget these parts, at least one, or the whole set."""
        ...
