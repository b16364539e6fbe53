"""Files of finished casts: made once, evicted when nobody uses them, never empty."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from producer_api.audio.cache import ABANDONED_S, IN_USE_S, PART, AudioCache

SIZE = 1_000


async def pieces(size: int = SIZE, after: int = 10) -> AsyncIterator[bytes]:
    for _ in range(after):
        await asyncio.sleep(0)
        yield b"x" * (size // after)


async def failing() -> AsyncIterator[bytes]:
    yield b"x"
    raise OSError("the store is away")


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


async def test_files_are_whole_however_many_are_made_at_once(tmp_path: Path) -> None:
    cache = AudioCache(tmp_path, limit_bytes=0)
    names = [f"{n % 3}.mp3" for n in range(30)]
    paths = await asyncio.gather(*(cache.file(name, pieces()) for name in names))
    assert [path.name for path in paths] == names
    assert {path.stat().st_size for path in paths} == {SIZE}


async def test_what_was_not_used_for_the_longest_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = AudioCache(tmp_path, limit_bytes=2 * SIZE)
    for n, name in enumerate(("old", "older", "oldest")):
        aged(await cache.file(name, pieces()), (n + 1) * IN_USE_S * 2)
    await cache.file("oldest", pieces())  # used again
    await cache.file("new", pieces())
    assert {path.name for path in tmp_path.iterdir()} == {"oldest", "new"}


async def test_a_file_that_is_being_written_stays_and_what_its_writer_left_goes(tmp_path: Path) -> None:
    cache = AudioCache(tmp_path, limit_bytes=0)
    for name, age_s in (("written" + PART, 2 * IN_USE_S), ("left" + PART, 2 * ABANDONED_S)):
        (tmp_path / name).write_bytes(b"x")
        aged(tmp_path / name, age_s)
    await cache.file("one", pieces())
    assert {path.name for path in tmp_path.iterdir()} == {"one", "written" + PART}


async def test_a_file_that_could_not_be_made_leaves_nothing_and_is_made_by_the_next(tmp_path: Path) -> None:
    cache = AudioCache(tmp_path, limit_bytes=SIZE)
    with pytest.raises(OSError, match="away"):
        await cache.file("one", failing())
    assert list(tmp_path.iterdir()) == []
    assert (await cache.file("one", pieces())).stat().st_size == SIZE
