"""Packages of npm for tests, in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def npm_install(package_json: Path, folder: Path) -> Path:
    """The folder, with what package_json pins in its node_modules. Without npm or a registry: skips, fails in CI."""
    shutil.copy(package_json, folder / "package.json")
    if shutil.which("npm") is None:
        _missing("npm is not on this machine")
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        _missing(f"npm can not install: {done.stderr.strip()[-300:]}")
    return folder


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have npm: {reason}")
    pytest.skip(f"NOT TESTED: {reason}")
