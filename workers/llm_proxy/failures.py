"""What can go wrong with an upstream: it fails, or it says that the request is at fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from contracts.errors import CastlineError

FailureKind = Literal["connect", "status", "hung", "idle", "died", "garbage", "error"]
"""connect: no connection; status: an HTTP status; hung: no first token in time; idle: then no byte in time; died: the
stream broke off; garbage: not what the protocol says; error: an error in place of a chunk."""

CLIENT_STATUSES = frozenset({400, 413, 422})
"""The request is at fault: another upstream would say the same."""
PASSING_STATUSES = frozenset({408, 409, 425, 429})
"""Client errors by number that may be gone a moment later."""


class UpstreamFailed(CastlineError):
    """An upstream did not complete the request; another one may.

    said: in short, without secrets; standing: trying again is no use; cools: others should leave it alone for a while;
    retry_after_s: as it asked for, 0 if it did not.
    """

    def __init__(
        self, kind: FailureKind, said: str, *, standing: bool = False, cools: bool = True, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(said)
        self.kind, self.said = kind, said
        self.standing, self.cools, self.retry_after_s = standing, cools, retry_after_s


class RequestRefused(CastlineError):
    """An upstream says that the request is at fault. status: its HTTP status; error: its error object."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {error.get('message', '')}")
        self.status, self.error = status, error


def of_status(status: int, message: str, retry_after_s: float) -> UpstreamFailed:
    """The failure an HTTP status is. A status about our own key is told without the words: they may quote it."""
    said = f"status {status}" if status in (401, 403) or not message else f"status {status}: {message}"
    standing = 400 <= status < 500 and status not in PASSING_STATUSES
    # 404: it does not have this model, and is well otherwise
    return UpstreamFailed("status", said, standing=standing, cools=status != 404, retry_after_s=retry_after_s)
