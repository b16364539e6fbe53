"""Whatever a client uploads: a correct stream of samples or one clear error, in bounded memory."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sounds import encoded, sine, wav

from contracts.errors import BadAudio
from workers.stt.decode import BLOCK, decode

Heard = Callable[..., NDArray[np.float32]]


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    """Samples of a file's bytes; the blocks are checked on the way."""

    def samples(data: bytes, name: str = "upload.wav", max_s: float = 3_600.0) -> NDArray[np.float32]:
        path = tmp_path / name
        path.write_bytes(data)
        blocks = list(decode(path, max_s))
        assert [block.size for block in blocks[:-1]] == [BLOCK] * (len(blocks) - 1)
        assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
        joined = np.concatenate(blocks)
        assert np.isfinite(joined).all()
        assert float(np.abs(joined).max()) <= 1.0
        return joined

    return samples


def pitch(samples: NDArray[np.float32]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(samples.size)))) * 16_000 / samples.size)


@pytest.mark.parametrize(
    ("rate", "channels", "bits"),
    [
        (16_000, 1, 16), (8_000, 1, 8), (11_025, 2, 8), (44_100, 2, 16), (48_000, 6, 16), (48_000, 3, 16),
        (48_000, 8, 32), (192_000, 1, 16), (96_000, 2, 32), (768_000, 1, 16), (8_000, 24, 16),
    ],
)  # fmt: skip
def test_rates_channels_and_widths(heard: Heard, rate: int, channels: int, bits: int) -> None:
    samples = heard(wav(sine(2.0, rate), rate, channels, bits))
    assert samples.size == pytest.approx(32_000, abs=16)
    assert pitch(samples) == pytest.approx(440, abs=2)
    assert 0.1 < float(np.sqrt(np.mean(samples**2))) < 0.8


def test_sixteen_bit_mono_is_itself(heard: Heard) -> None:
    wave = sine(3.0)
    assert np.abs(heard(wav(wave)) - wave).max() < 1e-4


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("flac", "flac", 44_100), ("mp3", "libmp3lame", 44_100), ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000), ("mp4", "aac", 44_100), ("matroska", "flac", 16_000), ("mpegts", "aac", 48_000),
        ("aiff", "pcm_s16be", 22_050), ("wav", "pcm_mulaw", 8_000), ("wav", "pcm_s24le", 48_000),
        ("adts", "aac", 24_000), ("caf", "pcm_f32le", 32_000),
    ],
)  # fmt: skip
def test_containers(heard: Heard, container: str, codec: str, rate: int) -> None:
    samples = heard(encoded(sine(2.0, rate), container, codec, rate=rate), "upload")
    assert samples.size == pytest.approx(32_000, abs=2_000)  # padding of the encoders
    assert pitch(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi"])
def test_the_sound_of_a_video(heard: Heard, container: str) -> None:
    data = encoded(sine(2.0, 48_000), container, "aac", rate=48_000, layout="stereo", video=True)
    assert pitch(heard(data, "film")) == pytest.approx(440, abs=2)


def test_float_that_is_no_number_is_bounded(heard: Heard) -> None:
    wave = sine(2.0)
    wave[1_000:1_010] = np.nan
    wave[2_000:2_010] = np.inf
    wave[3_000:3_010] = -1e30
    assert heard(wav(wave, bits=32)).size == 32_000


def test_what_a_truncated_file_holds_counts(heard: Heard) -> None:
    whole = wav(sine(10.0))
    assert heard(whole[: len(whole) // 2 + 1]).size == pytest.approx(80_000, abs=100)
    for container, codec in (("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")):
        data = encoded(sine(10.0, 48_000), container, codec, rate=48_000)
        assert heard(data[: len(data) // 2], "cut").size == pytest.approx(80_000, abs=24_000)


def test_damage_in_the_middle_does_not_move_what_follows(heard: Heard) -> None:
    wave = np.zeros(20 * 16_000, np.float32)
    wave[15 * 16_000 : 16 * 16_000] = sine(1.0)
    data = bytearray(encoded(wave + 1e-3 * sine(20.0, hz=100), "matroska", "libopus", rate=16_000))
    third = len(data) // 4
    data[third : third + len(data) // 6] = b"\xff" * (len(data) // 6)
    samples = heard(bytes(data), "damaged.mkv")
    loud = np.flatnonzero(np.abs(samples) > 0.3) / 16_000
    assert loud[0] == pytest.approx(15.0, abs=0.1)
    assert loud[-1] == pytest.approx(16.0, abs=0.1)


def test_a_late_start_is_silence(heard: Heard) -> None:
    """The picture begins at 0, the sound 2 s later: times are those of the film."""
    import io

    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        picture = out.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for _ in range(20):
            out.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(picture.encode(None))
        pcm = (sine(1.0) * 32_767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 32_000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    samples = heard(file.getvalue(), "film.mkv")
    assert samples.size == pytest.approx(48_000, abs=200)
    assert not samples[:31_000].any()


def nothing_but_a_picture() -> bytes:
    import io

    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        picture = out.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        out.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(picture.encode(None))
    return file.getvalue()


def patched(at: int, value: bytes) -> bytes:
    data = bytearray(wav(sine(1.0)))
    data[at : at + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\n", "no audio"),
        (b"RIFF", "no audio"),
        (wav(np.zeros(0, np.float32)), "no audio that can be decoded"),
        (wav(sine(1.0))[:20], "no audio"),
        (b"Dear sirs, please find attached.\n" * 400, "no audio"),
        (b"\0" * 100_000, "no audio"),
        (np.random.default_rng(7).bytes(100_000), "no audio"),
        (b"PK\x03\x04" + b"\0" * 1_000, "no audio"),
        (nothing_but_a_picture(), "holds no audio"),
        (wav(sine(2.0, 2_000), 2_000), "2,000 samples per second"),
        (patched(24, b"\x01\0\0\0"), "1 samples per second"),
        (patched(24, b"\xff\xff\xff\x7f"), "samples per second"),
        (patched(22, b"\xff\xff"), "no audio|channels"),
        (wav(sine(1.0, 8_000), 8_000, 64), "channels that can not be mixed"),
        (wav(sine(1.0, 8_000), 8_000, 100), "100 channels"),
    ],
    ids=[
        "empty", "newline", "four bytes", "no samples", "half a header", "text", "zeros", "noise", "zip", "picture",
        "2 kHz", "1 Hz", "2 GHz", "65,535 channels", "64 channels", "100 channels",
    ],
)  # fmt: skip
def test_what_is_no_audio_says_so(heard: Heard, capfd: pytest.CaptureFixture[str], data: bytes, says: str) -> None:
    with pytest.raises(BadAudio, match=says) as caught:
        heard(data)
    assert "\n" not in caught.value.detail
    assert "upload" not in caught.value.detail
    assert caught.value.status == 422
    assert capfd.readouterr() == ("", "")


def test_a_header_that_promises_four_gigabytes_is_not_believed(heard: Heard) -> None:
    assert heard(patched(40, b"\xff\xff\xff\xff")).size == 16_000


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "upload"])
def test_a_playlist_opens_no_other_file(heard: Heard, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(sine(1.0)))
    playlists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
        f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
    )
    for text in playlists:
        with pytest.raises(BadAudio):
            heard(text.encode(), name)


def test_a_bomb_is_unpacked_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    path.write_bytes(encoded(np.zeros(1_800 * 16_000, np.float32), "flac", "flac"))
    assert path.stat().st_size < 600_000
    tracemalloc.start()
    try:
        assert sum(block.size for block in decode(path)) == 1_800 * 16_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_the_longest_audio(heard: Heard, tmp_path: Path) -> None:
    assert heard(wav(sine(10.0)), max_s=10.0).size == 160_000
    with pytest.raises(BadAudio, match=r"longer than the limit of 0\.0025 hours"):
        heard(wav(sine(10.0)), max_s=9.0)


def test_an_abandoned_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "upload.wav"
    path.write_bytes(wav(sine(30.0)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    blocks = decode(path)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert [p.name for p in tmp_path.iterdir()] == ["upload.wav"]


def test_a_file_that_is_gone_is_not_the_clients_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(decode(tmp_path / "none.wav"))


SEEDS = (
    wav(sine(1.0)),
    encoded(sine(1.0, 48_000), "flac", "flac", rate=48_000),
    encoded(sine(1.0, 48_000), "mp4", "aac", rate=48_000),
    encoded(sine(1.0, 48_000), "ogg", "libopus", rate=48_000),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS), hits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))),
    keep=st.floats(0, 1),
)  # fmt: skip
def test_any_damage_is_audio_or_bad_audio(
    heard: Heard, seed: bytes, hits: list[tuple[int, bytes]], keep: float
) -> None:
    data = bytearray(seed)
    for at, value in hits:
        data[at % len(data) : at % len(data) + len(value)] = value
    with contextlib.suppress(BadAudio):
        heard(bytes(data[: round(keep * len(data))]), "upload", max_s=600)
