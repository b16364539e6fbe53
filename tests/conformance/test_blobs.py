"""What blobs promise, whatever they stand on."""

from __future__ import annotations

import asyncio

from contracts.adapters import Store

TTL_MS = 60_000


async def test_parts_are_kept_by_number_and_said_again_without_harm(store: Store) -> None:
    body = bytes(range(256)) * 4096
    await store.blobs.put("a", {0: body, 7: b""}, TTL_MS)
    await store.blobs.put("a", {0: body, 1: b"one"}, TTL_MS)
    assert await store.blobs.get("a", [0, 1, 7, 2]) == [body, b"one", b"", None]
    assert await store.blobs.get("b", [0]) == [None]


async def test_some_parts_or_all_are_dropped(store: Store) -> None:
    await store.blobs.put("a", {0: b"zero", 1: b"one", 2: b"two"}, TTL_MS)
    await store.blobs.put("b", {0: b"other"}, TTL_MS)
    await store.blobs.drop("a", [0, 2])
    assert await store.blobs.get("a", [0, 1, 2]) == [None, b"one", None]
    await store.blobs.drop("a")
    await store.blobs.drop("a")
    assert await store.blobs.get("a", [1]) == [None]
    assert await store.blobs.get("b", [0]) == [b"other"]


async def test_a_set_expires_as_a_whole(store: Store) -> None:
    await store.blobs.put("a", {0: b"zero"}, TTL_MS)
    await store.blobs.put("a", {1: b"one"}, 1)
    async with asyncio.timeout(10):
        while await store.blobs.get("a", [1]) != [None]:
            await asyncio.sleep(0)
    assert await store.blobs.get("a", [0]) == [None]
