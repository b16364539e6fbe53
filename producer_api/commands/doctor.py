"""`castline doctor`: what castline needs, what of it is here, what to do about the rest."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from producer_api.commands.client import Server, ServerError

Verdict = Literal["ok", "missing", "optional"]
Finding = tuple[Verdict, str, str]

MIN_FREE_BYTES = 1 << 30
HEARING_MODELS = ("whisper-base", "whisper-tiny.en")
"""A hearing worker takes the first of them that is here."""
PACKAGES: tuple[tuple[str, Verdict, str], ...] = (
    ("onnxruntime", "missing", 'speech on a CPU: pip install "castline[embedded]"'),
    ("espeakng_loader", "missing", 'phonemes for Kokoro: pip install "castline[embedded]"'),
    ("trafilatura", "optional", 'text of documents: pip install "castline[documents]"'),
    ("faster_whisper", "optional", 'speech to text: pip install "castline[stt]"'),
    ("kokoro", "optional", 'Kokoro on torch, for GPUs: pip install "castline[kokoro]"'),
)


def run(data_dir: Path, url: str) -> int:
    """Print a table; 1 if something needed is missing."""
    findings = [*_packages(), _models(), _hearing(), _disk(data_dir), _server(url)]
    table = Table("", "what", "note")
    colours = {"ok": "green", "missing": "red", "optional": "yellow"}
    for verdict, what, note in findings:
        table.add_row(f"[{colours[verdict]}]{verdict}[/]", what, note)
    Console().print(table)
    return int(any(verdict == "missing" for verdict, _, _ in findings))


def _packages() -> Iterator[Finding]:
    yield "ok", "Python", sys.version.split()[0]
    for name, verdict, note in PACKAGES:
        found = importlib.util.find_spec(name) is not None
        yield ("ok" if found else verdict), name, "" if found else note


def _models() -> Finding:
    if path := _path("kokoro-onnx"):
        return "ok", "Kokoro model", path
    return "missing", "Kokoro model", "castline models pull kokoro-onnx"


def _hearing() -> Finding:
    """Whether `castline up` can transcribe: speech does not need it."""
    if importlib.util.find_spec("faster_whisper") is None:
        return "optional", "hearing", 'can not hear: pip install "castline[stt]"'
    for model in HEARING_MODELS:
        if path := _path(model):
            return "ok", "hearing", path
    return "optional", "hearing", f"can not hear: castline models pull {HEARING_MODELS[0]}"


def _path(model: str) -> str:
    """Where it is; empty if it is not, or not all of it."""
    command = [sys.executable, "-m", "workers.models", "path", model]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _disk(data_dir: Path) -> Finding:
    place = next(p for p in (data_dir, *data_dir.parents) if p.exists())
    free = shutil.disk_usage(place).free
    note = f"{free / 1e9:.1f} GB free at {place}"
    return ("ok" if free >= MIN_FREE_BYTES else "missing"), "disk", note


def _server(url: str) -> Finding:
    try:
        answer = Server(url).call("GET", "/ready")
    except ServerError as exc:
        return "optional", "server", str(exc)
    return "ok", "server", f"{url} is ready, workers: {answer['workers']}"
