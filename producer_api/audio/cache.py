"""Whole files of finished casts, encoded when somebody seeks, kept until the space is needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

PART = ".part"
"""Of the name of a file that is being written."""
ABANDONED_S = 86_400.0
"""Nobody writes for so long: its writer has died."""
IN_USE_S = 60.0
"""Whoever has asked for a file has opened it by then."""


class AudioCache:
    """Files under one directory, about `limit_bytes` together: the least recently used go first, none in use does."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._making: dict[str, asyncio.Lock] = {}

    async def file(self, name: str, pieces: AsyncIterator[bytes]) -> Path:
        """The file of this name, written from `pieces` unless it is there; made once, however many ask."""
        lock = self._making.setdefault(name, asyncio.Lock())
        async with lock:
            path = self._directory / name
            if not await asyncio.to_thread(_used, path):
                await self._write(path, pieces)
                await asyncio.to_thread(self._evict)
        self._making.pop(name, None)
        return path

    async def _write(self, path: Path, pieces: AsyncIterator[bytes]) -> None:
        file = await asyncio.to_thread(self._part)
        try:
            with file:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(Path(file.name).rename, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)  # noqa: ASYNC240  even when this task is being cancelled
            raise

    def _part(self) -> IO[bytes]:
        self._directory.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=self._directory, suffix=PART, delete=False)

    def _evict(self) -> None:
        now = time.time()
        found = []
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another front may share the directory
                found.append((path.stat(), path))
        left = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            abandoned = path.suffix == PART and now - stat.st_mtime > ABANDONED_S
            if abandoned or (left > self._limit and path.suffix != PART and now - stat.st_mtime > IN_USE_S):
                left -= stat.st_size
                path.unlink(missing_ok=True)


def _used(path: Path) -> bool:
    """Whether it is there; it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
