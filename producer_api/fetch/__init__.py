"""Pages that somebody else names, fetched by us: from public addresses only, and within bounds.

addresses   which addresses may be connected to
fetcher     one GET, with its redirects
errors      what is refused, and what fails
"""

from __future__ import annotations

from producer_api.fetch.addresses import Policy
from producer_api.fetch.fetcher import Fetched, Fetcher

__all__ = ["Fetched", "Fetcher", "Policy"]
