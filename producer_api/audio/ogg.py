"""Ogg pages of one Opus stream (RFC 3533, RFC 7845), written so that a follower hears every page at once.

libavformat's Ogg muxer holds a page back until the next one is full and has no way to let go of it through PyAV;
a listener of a live cast would be a page late. The container is small, so it is written here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_SERIAL = 0x63617374
"""Fixed, so that the same chunks make the same bytes; one response holds one logical stream."""

_FIRST, _LAST = 2, 4
_MAX_SEGMENTS = 255
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(page: bytes) -> int:
    """CRC-32 of Ogg (polynomial 0x04c11db7, most significant bit first, start 0) of a page whose CRC field is zero.

    zlib has the same polynomial with the bits the other way round: mirrored in and mirrored out, it runs at C speed.
    """
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def segments(packet: bytes) -> int:
    """Entries of the segment table that a packet takes."""
    return len(packet) // 255 + 1


class OggPages:
    """Numbers and seals the pages of one stream. Not thread-safe."""

    def __init__(self) -> None:
        self._number = 0

    def page(self, packets: Sequence[bytes], granule: int, *, last: bool = False) -> bytes:
        """One page of whole packets. granule: samples at 48 kHz decodable so far, pre-skip included.

        Raises ValueError when the packets do not fit into one page.
        """
        lacing = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
        if len(lacing) > _MAX_SEGMENTS:
            raise ValueError(f"{len(lacing)} segments in one Ogg page; it holds {_MAX_SEGMENTS}")
        flags = (_FIRST if self._number == 0 else 0) | (_LAST if last else 0)
        head = b"OggS" + struct.pack("<BBqII", 0, flags, granule, _SERIAL, self._number)
        tail = bytes([len(lacing)]) + lacing + b"".join(packets)
        self._number += 1
        return head + struct.pack("<I", checksum(head + bytes(4) + tail)) + tail


def opus_tags(vendor: str) -> bytes:
    """The comment packet of a stream without comments."""
    name = vendor.encode()
    return b"OpusTags" + struct.pack("<I", len(name)) + name + struct.pack("<I", 0)


def page_groups(packets: Sequence[bytes], per_page: int) -> list[list[bytes]]:
    """Packets in order, cut into pages of at most per_page packets that also fit the segment table."""
    groups: list[list[bytes]] = []
    room = 0
    for packet in packets:
        need = segments(packet)
        if not groups or len(groups[-1]) == per_page or need > room:
            groups.append([])
            room = _MAX_SEGMENTS
        groups[-1].append(packet)
        room -= need
    return groups
