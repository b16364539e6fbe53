"""Where a model file may come from. Each source gives the bytes in pieces, or says in one line why it can not."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from contracts.errors import CastlineError
from workers.models.manifest import HubSource, ModelFile, NpmSource, PackageSource, Source, WheelSource

PIECE = 1 << 20
FETCH_TIMEOUT_S = 600


class SourceFailed(CastlineError):
    """This source does not have the file, or can not be reached; the next one may."""


class Sources:
    """Opens files of sources; what was fetched for one file is kept for the next until the end of the block."""

    def __init__(self, local: Path | None) -> None:
        self._local = local
        self._scratch = tempfile.TemporaryDirectory(prefix="castline-models-")
        self._packages: dict[str, Path | SourceFailed] = {}

    def __enter__(self) -> Self:
        """Nothing is fetched yet."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Forget what was fetched."""
        self._scratch.cleanup()

    def offers(self, name: str, file: ModelFile) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(what the source is, its bytes) in the order to try; reading may raise SourceFailed."""
        if self._local is not None:
            yield f"folder {self._local}", self._folder(name, file)
        for source in file.sources:
            yield _describe(source), self._read(source)

    def _folder(self, name: str, file: ModelFile) -> Iterator[bytes]:
        """Laid out like the store, or flat."""
        root = self._local or Path()
        for candidate in (root / name / file.path, root / file.path, root / Path(file.path).name):
            if candidate.is_file():
                yield from _pieces(candidate)
                return
        raise SourceFailed("no such file there")

    def _read(self, source: Source) -> Iterator[bytes]:
        match source:
            case PackageSource():
                for part in source.package:
                    yield from _pieces(_in_package(part))
            case WheelSource():
                yield from _pieces(self._unpacked(source.wheel, _wheel) / source.file)
            case NpmSource():
                yield from _pieces(self._unpacked(source.npm, _npm_pack) / source.file)
            case HubSource():
                yield from _pieces(_from_hub(source))

    def _unpacked(self, package: str, fetch: Callable[[str, Path], Path]) -> Path:
        """Fetched and unpacked once; a failure is remembered, too."""
        known = self._packages.get(package)
        if known is None:
            try:
                known = fetch(package, Path(self._scratch.name) / str(len(self._packages)))
            except SourceFailed as exc:
                known = exc
            self._packages[package] = known
        if isinstance(known, SourceFailed):
            raise SourceFailed(str(known))
        return known


def _describe(source: Source) -> str:
    match source:
        case PackageSource():
            return f"Python package {source.package[0].partition('/')[0]}"
        case WheelSource():
            return f"wheel {source.wheel}"
        case NpmSource():
            return f"npm package {source.npm}"
        case HubSource():
            return f"model hub {source.hub}"


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as exc:
        raise SourceFailed(str(exc)) from exc


def _in_package(part: str) -> Path:
    module, _, inner = part.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise SourceFailed("not installed")
    return Path(spec.submodule_search_locations[0]) / inner


def _wheel(package: str, folder: Path) -> Path:
    """Into a folder of its own: what the package needs may not build here, and its weights do not need it."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif uv is not None:
        pip = [uv, "pip"]
    else:
        raise SourceFailed("neither pip nor uv is installed")
    folder.mkdir()
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
    _run("pip install", [*pip, "install", *options, package], folder)
    return folder


def _run(name: str, command: Sequence[str], folder: Path) -> None:
    """Raises SourceFailed, with the first line of what the command says."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    except subprocess.CalledProcessError as exc:
        lines = [line for line in exc.stderr.splitlines() if line.strip()]
        raise SourceFailed(f"{name} failed: {lines[0] if lines else exc.returncode}") from exc
    except subprocess.TimeoutExpired as exc:
        raise SourceFailed(f"{name} took longer than {FETCH_TIMEOUT_S} s") from exc


def _npm_pack(package: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceFailed("npm is not installed")
    folder.mkdir()
    _run("npm pack", [npm, "pack", "--silent", "--ignore-scripts", package], folder)
    try:
        [tarball] = folder.iterdir()
        _unpack(tarball, folder)
    except (ValueError, EOFError, zlib.error, tarfile.TarError, OSError) as exc:
        raise SourceFailed(f"not a package: {exc}") from exc
    return folder


def _unpack(tarball: Path, folder: Path) -> None:
    """Plain files that stay inside the folder. The filters of extractall are too young: Python 3.11.4."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            place = (folder / member.name).resolve()
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or not place.is_relative_to(folder.resolve()):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with content, place.open("wb") as out:
                shutil.copyfileobj(content, out)


def _from_hub(source: HubSource) -> Path:
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415  an extra
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError as exc:
        raise SourceFailed('huggingface_hub is not installed (pip install "castline[hub]")') from exc
    try:
        return Path(hf_hub_download(source.hub, source.file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as exc:
        raise SourceFailed(str(exc).splitlines()[0] if str(exc) else type(exc).__name__) from exc
