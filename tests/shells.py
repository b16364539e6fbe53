"""`castline` as a user runs it: what tests of its commands have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COPY = """#!{python}
import sys, pathlib
with open({out!r}, "wb", buffering=0) as file:
    file.write(" ".join(sys.argv[1:]).encode() + b"\\n")
    while piece := sys.stdin.buffer.read1(65536):
        file.write(piece)
"""
"""A player that keeps what it was given, behind a line with its arguments."""


@dataclass
class Shell:
    """Runs `castline` with a state folder and players of its own."""

    url: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {"CASTLINE_URL": self.url, "CASTLINE_STATE_DIR": str(self.folder / "state")}
        return {**os.environ, **own, "PATH": str(self.folder / "bin")}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "producer_api.cli", *arguments]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(given, timeout=100)
        return process.returncode, out.decode(), err.decode()

    def good(self, *arguments: str, given: bytes = b"") -> str:
        code, out, err = self.run(*arguments, given=given)
        assert code == 0, err
        return out

    def bad(self, *arguments: str, given: bytes = b"") -> str:
        """The line that says what is wrong."""
        code, out, err = self.run(*arguments, given=given)
        assert (code, err.count("\n"), err[:10]) == (1, 1, "castline: "), (code, out, err)
        return err.removeprefix("castline: ").strip()

    def player(self, name: str, script: str = COPY) -> Path:
        """Install a fake one; where it writes to."""
        out = self.folder / f"{name}.played"
        (self.folder / "bin" / name).write_text(script.format(python=sys.executable, out=str(out)))
        (self.folder / "bin" / name).chmod(0o755)
        return out

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.good("ls", "--json"))
        return found


def job(link: str) -> str:
    return link.strip().rpartition("/")[2]
