"""A cast as HLS (RFC 8216): an EVENT playlist that grows with it, and the segments it names."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from producer_api.audio.fragments import SEGMENT_S, cut
from producer_api.audio.libav import RATE
from producer_api.audio.sounds import Sounds

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
CACHE_BYTES = 32 << 20


def playlist(sounds: Sounds) -> str:
    """All segments by now; with the end once the cast has ended, however it did.

    The address of a segment says what it takes to make it: incarnation, record, which part of it, first sample.
    """
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES",  # else players begin three target durations before the live edge
        '#EXT-X-MAP:URI="hls/init.mp4"',
    ]
    start = 0
    for sound in sounds.heard:
        for part, (begin, end) in enumerate(cut(sound.samples)):
            lines.append(f"#EXTINF:{(end - begin) / RATE:.6f},")
            lines.append(f"hls/{sounds.epoch}-{sound.seq}-{part}-{start + begin}.m4s")
        start += sound.samples
    if sounds.closed:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


class SegmentCache:
    """Segments that were asked for last: listeners at the live edge want the same one, at the same time."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._made: OrderedDict[Hashable, asyncio.Task[bytes]] = OrderedDict()
        self._bytes = 0

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The segment of this name; made in a thread, once, however many ask. Raises what `make` raises."""
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.create_task(asyncio.to_thread(make))
            task.add_done_callback(lambda task: self._keep(key, task))
        else:
            self._made.move_to_end(key)
        return await asyncio.shield(task)

    def _keep(self, key: Hashable, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._made.pop(key, None)
            return
        self._bytes += len(task.result())
        for old, other in list(self._made.items()):
            if self._bytes <= self._limit:
                return
            if other.done() and other is not task:
                self._bytes -= len(other.result())
                del self._made[old]
