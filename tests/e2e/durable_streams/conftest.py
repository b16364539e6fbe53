"""What npm has: the official client and the conformance suite, pinned in package.json."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from npm import npm_install

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our scripts and their node_modules."""
    folder = npm_install(HERE / "package.json", tmp_path_factory.mktemp("durable-streams"))
    for script in HERE.glob("*.js"):
        shutil.copy(script, folder)
    return folder
