"""What `castline transcribe` is to hear, and where it writes each transcript: all of it is known before it begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from contracts.errors import BadInput
from producer_api.transcript_text import TextFormat

FORMATS: tuple[TextFormat, ...] = get_args(TextFormat)
STDIN = Path("-")
ENDINGS = frozenset(
    """
    .3gp .aac .ac3 .aif .aiff .amr .ape .au .avi .caf .flac .flv .m2ts .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4
    .mpeg .mpg .mts .oga .ogg .ogv .opus .spx .w64 .wav .weba .webm .wma .wmv .wv
    """.split()
)
"""Files of a folder that are taken for recordings."""


@dataclass(frozen=True, slots=True)
class Recording:
    """path: `-` is standard input; target: where its transcript goes, None: standard output."""

    path: Path
    target: Path | None

    @property
    def name(self) -> str:
        """For a person."""
        return "standard input" if self.path == STDIN else str(self.path)


@dataclass(frozen=True, slots=True)
class Plan:
    """faults: a line for each of the files that can not be heard."""

    recordings: list[Recording]
    faults: list[str]
    fmt: TextFormat


def plan(files: Sequence[Path], out: Path | None, fmt: TextFormat | None) -> Plan:
    """Raises BadInput if the transcripts have no place to go."""
    paths: list[Path] = []
    faults: list[str] = []
    for file in files:
        try:
            paths += [path for path in _recordings(file) if path not in paths]
        except BadInput as exc:
            faults.append(exc.detail)
        except OSError as exc:
            faults.append(f"{file}: {exc.strerror or exc}")
    single = len(files) == 1 and not files[0].is_dir()
    if single and out is None:
        return Plan([Recording(path, None) for path in paths], faults, fmt or "txt")
    if single and out is not None and not out.is_dir() and (out.suffix or out.exists()):
        return Plan([Recording(path, _file(out, path)) for path in paths], faults, fmt or _format(out))
    if out is not None:
        _make_folder(out)
    fmt = fmt or "txt"
    targets = _targets(paths, out, fmt)
    return Plan([Recording(*pair) for pair in zip(paths, targets, strict=True)], faults, fmt)


def _recordings(file: Path) -> list[Path]:
    """The file itself, or those of the folder. Raises BadInput, OSError."""
    if not file.is_dir():
        if file != STDIN and not file.exists():
            raise BadInput(f"{file}: there is no such file")
        return [file]
    found = sorted(path for path in file.iterdir() if _is_recording(path))
    if not found:
        raise BadInput(f"{file}: there is no audio or video in this folder")
    return found


def _is_recording(path: Path) -> bool:
    """Not the hidden ones: macOS leaves a `._talk.wav` beside `talk.wav` that is none."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _format(out: Path) -> TextFormat:
    """Raises BadInput."""
    for fmt in FORMATS:
        if out.suffix.lower() == f".{fmt}":
            return fmt
    raise BadInput(f"--out {out}: the name must end in .{', .'.join(FORMATS)}, or give --format")


def _file(out: Path, recording: Path) -> Path:
    """Raises BadInput if nothing can, or should, be written there."""
    if not out.parent.is_dir():
        raise BadInput(f"--out {out}: there is no such folder")
    if out.exists() and recording.exists() and out.samefile(recording):
        raise BadInput(f"--out {out}: that is the recording")
    return out


def _make_folder(out: Path) -> None:
    """Raises BadInput."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"--out {out}: {exc.strerror or exc}") from exc


def _targets(paths: Sequence[Path], out: Path | None, fmt: TextFormat) -> list[Path]:
    """`talk.srt` for `talk.wav`; `talk.wav.srt` where there is `talk.mp3`, too. Raises BadInput if that is no help."""
    files = [Path("stdin") if path == STDIN else path for path in paths]
    short = [(out or file.parent) / f"{file.stem}.{fmt}" for file in files]
    long = [(out or file.parent) / f"{file.name}.{fmt}" for file in files]
    uses = Counter([*short, *files])
    targets = [a if uses[a] == 1 else b for a, b in zip(short, long, strict=True)]
    for target, count in Counter([*targets, *files]).items():
        if count > 1:
            raise BadInput(f"two files would be {target}; give them one by one")
    return targets
