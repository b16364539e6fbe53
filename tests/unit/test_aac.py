"""AAC in ADTS: what a player that joins in the middle stands on."""

from __future__ import annotations

import numpy as np
import pytest
from streams import decode, speechlike

from producer_api.audio.encoders import make_encoder
from producer_api.audio.libav import RATE

FRAME = 1_024


def frames_of(stream: bytes) -> list[bytes]:
    """By the lengths in their headers (ISO 13818-7, 6.2)."""
    frames = []
    while stream:
        assert stream[:2] == b"\xff\xf1", "sync word, MPEG-4, no checksum"
        profile, rate, channels = stream[2] >> 6, stream[2] >> 2 & 15, (stream[2] & 1) << 2 | stream[3] >> 6
        assert (profile, rate, channels) == (1, 6, 1), "LC, 24 kHz, mono"
        length = (stream[3] & 3) << 11 | stream[4] << 3 | stream[5] >> 5
        assert 7 < length <= len(stream)
        frames.append(stream[:length])
        stream = stream[length:]
    return frames


@pytest.mark.parametrize("samples", [1, 1_023, 1_024, 1_025, 48_000])
def test_every_frame_has_a_header_that_fits(samples: int) -> None:
    encoder = make_encoder("aac")
    stream = encoder.start() + encoder.feed(speechlike(samples)) + encoder.finish()
    frames = frames_of(stream)
    assert len(frames) * FRAME >= samples + FRAME, "the first window, and all of the source"
    assert len(decode("aac", stream)) == len(frames) * FRAME


def test_a_player_may_join_at_any_frame() -> None:
    encoder = make_encoder("aac")
    stream = encoder.feed(speechlike(2 * RATE)) + encoder.finish()
    frames, whole = frames_of(stream), decode("aac", stream)
    joined = decode("aac", b"".join(frames[20:]))
    assert len(joined) == len(whole) - 20 * FRAME
    np.testing.assert_allclose(joined[FRAME:], whole[21 * FRAME :], atol=1e-4)
