"""`python -m producer_api.documents.child`: reads the document on standard input, writes JSON, and may be killed.

Its one argument is JSON: kind, charset, name, max_chars, cpu_s, memory_bytes. It answers {"title", "text", "language"},
or {"problem"} as RFC 9457 has it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import sys
from typing import Any

from contracts.errors import BadInput
from producer_api.documents.read import read


def main() -> None:
    """One document."""
    logging.disable()  # what libraries complain of is in the answer
    order = json.loads(sys.argv[1])
    _bound(resource.RLIMIT_CPU, order.pop("cpu_s"))
    _bound(resource.RLIMIT_AS, order.pop("memory_bytes"))
    try:
        found = read(sys.stdin.buffer.read(), **order)
        answer: dict[str, Any] = {"title": found.title, "text": found.text, "language": found.language}
    except BadInput as exc:
        answer = {"problem": exc.problem}
    sys.stdout.write(json.dumps(answer))


def _bound(what: int, most: int) -> None:
    """As far as the system can: macOS bounds no memory, and says so by ValueError."""
    with contextlib.suppress(ValueError):
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
