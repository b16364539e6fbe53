"""Model files for tests with real models."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def pull(*models: str) -> None:
    """Have them here; where they can not be had the test is skipped, loudly, and fails in CI."""
    for model in models:
        command = [sys.executable, "-m", "workers.models", "pull", model]
        pulled = subprocess.run(command, check=False, capture_output=True)
        if pulled.returncode:
            why = f"NOT TESTED: {model} is not to be had: {pulled.stderr.decode()}"
            pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
