"""The casts this user has made from this machine: a small file, for nobody else to read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from contracts.errors import CastlineError

MAX_CASTS = 1_000
"""The oldest go first."""
_FIELDS = {"id": str, "server": str, "title": str, "created": int}


class NoHistory(CastlineError):
    """The file can not be read, or not be written."""


@dataclass(frozen=True, slots=True)
class Made:
    """One cast. server: its URL; created: ms since 1970."""

    id: str
    server: str
    title: str
    created: int

    @property
    def link(self) -> str:
        """Of its page."""
        return f"{self.server}/c/{self.id}"


class History:
    """In one folder, made when it is needed. Every method raises NoHistory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "casts.jsonl"

    def add(self, made: Made) -> None:
        """As the newest; a cast that is posted again moves up."""
        self._change(lambda casts: [*(c for c in casts if c.id != made.id), made][-MAX_CASTS:])

    def remove(self, job: str) -> None:
        """Forget it; nothing if it is not there."""
        self._change(lambda casts: [c for c in casts if c.id != job])

    def newest(self, limit: int = MAX_CASTS) -> list[Made]:
        """Newest first."""
        try:
            return self._read()[: -limit - 1 : -1]
        except OSError as exc:
            raise NoHistory(f"{self._file}: {exc.strerror or exc}") from exc

    def find(self, job: str) -> Made | None:
        """None if it was made elsewhere."""
        return next((made for made in self.newest() if made.id == job), None)

    def _change(self, change: Callable[[list[Made]], list[Made]]) -> None:
        """One at a time; whoever reads meanwhile sees the old file or the new one."""
        try:
            with self._locked():
                lines = "".join(json.dumps(asdict(made)) + "\n" for made in change(self._read()))
                part = self._file.with_suffix(".part")
                with _private(part, os.O_WRONLY | os.O_TRUNC) as file:
                    file.write(lines)
                part.replace(self._file)
        except OSError as exc:
            raise NoHistory(f"{exc.filename or self._file}: {exc.strerror or exc}") from exc

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _private(self._folder / "casts.lock", os.O_WRONLY) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read(self) -> list[Made]:
        """Oldest first. Lines that somebody has damaged are left out, and gone with the next change."""
        try:
            lines = self._file.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [made for line in lines if (made := _parsed(line)) is not None]


def _private(path: Path, flags: int) -> IO[str]:
    """A file to write to that only its owner can read."""
    return os.fdopen(os.open(path, flags | os.O_CREAT, 0o600), "w")


def _parsed(line: str) -> Made | None:
    try:
        fields: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS.keys():
        return None
    good = all(type(fields[name]) is kind for name, kind in _FIELDS.items())
    return Made(**fields) if good else None
