"""Why a page was not fetched. No message says what a name means inside our network, or whether anything is there.

BadInput
├── FetchOff      this server fetches nothing (403)
├── FetchRefused  no address that is fetched (422)
└── FetchFailed   the other server did not answer, or not with a page (502); in time (504)
"""

from __future__ import annotations

from contracts.errors import BadInput


class FetchOff(BadInput):
    """This server fetches nothing."""

    slug = "fetch-off"
    status = 403

    def __init__(self) -> None:
        super().__init__("This server fetches no pages; send the document itself.", field="url")


class FetchRefused(BadInput):
    """An address that is not fetched, wherever it leads."""

    slug = "fetch-refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="url")


class NotPublic(FetchRefused):
    """The same words for a name nobody has, and for one of a host inside our network."""

    def __init__(self) -> None:
        super().__init__("The address has no host that is public.")


class FetchFailed(BadInput):
    """The other server's fault."""

    slug = "fetch-failed"
    status = 502

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="url")


class FetchTimedOut(FetchFailed):
    """It did not answer, or not all of it, within `limit_s` seconds."""

    slug = "fetch-timed-out"
    status = 504

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"The page was not here within {limit_s:g} s.")
