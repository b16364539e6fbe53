"""A progress bar on stderr, where that is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Literal

Report = Callable[[int, int | None], None]
"""Takes how much is done, and of how much: None where that is not known."""


@contextlib.contextmanager
def bar(what: str, unit: Literal["bytes", "pieces"]) -> Iterator[Report | None]:
    """What to report to; None where nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    # Not at the top: scripts, which see no bar, start sooner.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count)
    # rich would send what is printed to stdout to stderr
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, known: progress.update(task, completed=done, total=known)
