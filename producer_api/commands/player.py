"""Players that are on this machine: what is spoken goes to the first of them while it is made."""

from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal

from contracts.errors import CastlineError
from producer_api.commands.client import Server

_WAV_HEADER_BYTES = 44
_WAV_CHANNELS_AT = 22


@dataclass(frozen=True, slots=True)
class Player:
    """takes: Ogg-Opus or bare 16-bit samples on its standard input, or a WAV file, which is played when it is whole."""

    name: str
    arguments: tuple[str, ...]
    takes: Literal["opus", "samples", "file"]


PLAYERS = (
    Player("ffplay", ("-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"), "opus"),
    Player("mpv", ("--no-terminal", "--no-video", "-"), "opus"),
    Player("pw-play", ("--rate", "{rate}", "--channels", "{channels}", "--format", "s16", "-"), "samples"),
    Player("paplay", ("--raw", "--format=s16le", "--rate={rate}", "--channels={channels}"), "samples"),
    Player("aplay", ("-q", "-t", "raw", "-f", "S16_LE", "-r", "{rate}", "-c", "{channels}", "-"), "samples"),
    Player("afplay", (), "file"),
)


class CanNotPlay(CastlineError):
    """There is no player, or it failed."""


def find_player() -> Player:
    """Raises CanNotPlay."""
    for player in PLAYERS:
        if shutil.which(player.name):
            return player
    names = ", ".join(player.name for player in PLAYERS)
    raise CanNotPlay(f"--play needs a player; none of these is here: {names}")


def play(server: Server, player: Player, audio: Mapping[str, str]) -> None:
    """To the end, or until the player is closed. audio: paths by format. Raises CanNotPlay, ServerError."""
    fmt = "opus" if player.takes == "opus" else "wav"
    with server.stream("GET", audio[fmt], patient=True) as response:
        pieces = response.iter_bytes()
        if player.takes == "file":
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                file.writelines(pieces)
                file.flush()
                _run(player, [*player.arguments, file.name], iter(()))
        elif player.takes == "samples":
            rate, channels, first = _wav_start(pieces)
            arguments = [argument.format(rate=rate, channels=channels) for argument in _arguments(player)]
            _run(player, arguments, _chained(first, pieces))
        else:
            _run(player, player.arguments, pieces)


def _arguments(player: Player) -> Sequence[str]:
    """PipeWire has always taken standard input for samples; newer ones want to be told so."""
    if player.name != "pw-play":
        return player.arguments
    told = subprocess.run([player.name, "--help"], capture_output=True, check=False, text=True)
    return ("--raw", *player.arguments) if "--raw" in told.stdout + told.stderr else player.arguments


def _wav_start(pieces: Iterator[bytes]) -> tuple[int, int, bytes]:
    """(Hz, channels, the first samples). Raises CanNotPlay."""
    head = b""
    while len(head) < _WAV_HEADER_BYTES:
        piece = next(pieces, b"")
        if not piece:
            raise CanNotPlay("there is no sound in this cast")
        head += piece
    channels, rate = struct.unpack_from("<HI", head, _WAV_CHANNELS_AT)
    return rate, channels, head[_WAV_HEADER_BYTES:]


def _chained(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _run(player: Player, arguments: Sequence[str], pieces: Iterator[bytes]) -> None:
    """Raises CanNotPlay if it fails; one that somebody closes has had enough."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [player.name, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            _feed(process.stdin, pieces)
            process.wait()
        finally:
            process.kill()
            process.wait()
        if process.returncode > 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise CanNotPlay(f"{player.name} ended with status {process.returncode}: {said[-1] if said else ''}")


def _feed(stdin: IO[bytes] | None, pieces: Iterator[bytes]) -> None:
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError), stdin:
        for piece in pieces:
            stdin.write(piece)
            stdin.flush()
