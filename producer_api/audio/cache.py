"""Whole files of finished casts, encoded when somebody seeks, kept until the space is needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)


class AudioCache:
    """Files under one directory, at most `limit_bytes` together; the least recently used go first."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._making: dict[str, asyncio.Lock] = {}

    async def file(self, name: str, pieces: AsyncIterator[bytes]) -> Path:
        """The file of this name, written from `pieces` unless it is there; made once, however many ask."""
        lock = self._making.setdefault(name, asyncio.Lock())
        async with lock:
            path = self._directory / name
            if not await asyncio.to_thread(path.exists):
                await self._write(path, pieces)
                await asyncio.to_thread(self._evict, path)
            await asyncio.to_thread(path.touch)
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
            Path(file.name).unlink()  # noqa: ASYNC240  one unlink, even when this task is being cancelled
            raise

    def _part(self) -> IO[bytes]:
        self._directory.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=self._directory, delete=False)

    def _evict(self, keep: Path) -> None:
        files = sorted((p for p in self._directory.iterdir() if p.is_file()), key=lambda p: p.stat().st_mtime)
        total = sum(p.stat().st_size for p in files)
        for path in files:
            if total <= self._limit:
                return
            if path != keep:
                total -= path.stat().st_size
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
