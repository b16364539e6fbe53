"""What the command line says of what went wrong: one line, whatever is in it."""

from __future__ import annotations

import sys

from contracts.errors import CastlineError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class Left(CastlineError):
    """Ctrl-C; the message says what goes on without us."""


def one_line(text: str) -> str:
    """Without control characters: others may have written it."""
    return "".join(c if c.isprintable() else " " for c in text)


def complain(line: str) -> None:
    """To stderr."""
    sys.stderr.write(f"castline: {one_line(line)}\n")
