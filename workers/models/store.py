"""The folder of model files: what is missing, how it gets there whole, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import BadInput, ModelMissing
from workers.models.manifest import Manifest, Model, ModelFile, read_manifest
from workers.models.sources import PIECE, SourceFailed, Sources

logger = logging.getLogger(__name__)

Progress = Callable[[int], None]
"""Called with the number of bytes that have come; a negative one takes back those of a source that failed."""


@dataclass(frozen=True, slots=True)
class Held:
    """A model of the manifest and how much of it is here. missing: paths of files."""

    name: str
    model: Model
    missing: tuple[str, ...]


class ModelStore:
    """Models under one directory, `<directory>/<name>/<path>`."""

    def __init__(self, directory: Path, manifest: Manifest | None = None) -> None:
        self._directory = directory
        self._manifest = read_manifest() if manifest is None else manifest

    def held(self) -> list[Held]:
        """Every model of the manifest."""
        return [Held(name, model, tuple(self.missing(name))) for name, model in self._manifest.items()]

    def model(self, name: str) -> Model:
        """Raises BadInput for a name the manifest does not have."""
        if name not in self._manifest:
            raise BadInput(f"There is no model {name!r}; known: {', '.join(self._manifest)}.")
        return self._manifest[name]

    def path(self, name: str) -> Path:
        """The folder of a model that is complete by size. Raises ModelMissing, BadInput."""
        if missing := self.missing(name):
            raise ModelMissing(
                f"{name}: {len(missing)} of {len(self.model(name).files)} files are missing in "
                f"{self._directory / name}; get them with `castline models pull {name}`"
            )
        return self._directory / name

    def missing(self, name: str, *, verify: bool = False) -> list[str]:
        """Files that are absent or of another size; verify: or of another sha256."""
        return [f.path for f in self.model(name).files if not self._good(name, f, verify=verify)]

    def _good(self, name: str, file: ModelFile, *, verify: bool) -> bool:
        path = self._directory / name / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        return not verify or _sha256(path) == file.sha256

    def pull(
        self, name: str, *, local: Path | None = None, verify: bool = False, progress: Progress = lambda _size: None
    ) -> list[str]:
        """Get what is missing; the paths that came. What came before a failure stays. Raises ModelMissing, BadInput.

        local: a folder to look in first. verify: check what is here by sha256, too.
        """
        if not verify and not self.missing(name):
            return []  # without the lock: the folder may be baked into an image and read-only
        try:
            with self._locked(), Sources(local) as sources:
                wanted = set(self.missing(name, verify=verify))
                for file in self.model(name).files:
                    if file.path in wanted:
                        self._get(name, file, sources, progress)
                return sorted(wanted)
        except OSError as exc:
            raise ModelMissing(f"{name} can not be written to {self._directory}: {exc}") from exc

    def _get(self, name: str, file: ModelFile, sources: Sources, progress: Progress) -> None:
        failures = []
        for source, pieces in sources.offers(name, file):
            try:
                self._write(self._directory / name / file.path, file, pieces, progress)
            except SourceFailed as exc:
                failures.append(f"{source}: {exc}")
            else:
                logger.info("model file installed", extra={"file": f"{name}/{file.path}", "source": source})
                return
        raise ModelMissing(
            f"{name}/{file.path} could not be had ({'; '.join(failures)}). Offline: copy the files into a folder "
            f"and run `castline models pull {name} --from FOLDER`, or {self.model(name).install}"
        )

    def _write(self, path: Path, file: ModelFile, pieces: Iterator[bytes], progress: Progress) -> None:
        """Beside its place, checked, synced, then moved there: a crash leaves the old state or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        # One name per file, so what a killed pull left is written over; the lock keeps others from it.
        # Not a tempfile: those are for their owner alone, and workers often run as another user than the pull did.
        part = path.with_name(f".part-{path.name}")
        try:
            with part.open("wb") as out:
                for piece in pieces:
                    digest.update(piece)
                    size += out.write(piece)
                    progress(len(piece))
                    if size > file.size:
                        break
                out.flush()
                os.fsync(out.fileno())
            if (size, digest.hexdigest()) != (file.size, file.sha256):
                raise SourceFailed("another file of that name (the sha256 differs)")  # noqa: TRY301  cleaned up below
            part.replace(path)
        except BaseException:
            progress(-size)
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One pull at a time; a second one waits, and finds everything in place. The lock dies with its process."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.warning("another pull is at work here, waiting for it to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _sync_folder(folder: Path) -> None:
    """A rename outlives a power cut only when its folder is synced, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
