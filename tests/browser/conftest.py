"""Browsers for tests: one of each per run, a fresh tab per test, in every browser that is here.

`page` is a tab of Chromium, then of Firefox. What is missing is skipped on a laptop and a failure under CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from browser import bidi, fakefront

from load_tests.services import install

BROWSERS = ["chromium", "firefox"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They play in real time, on a machine that may be busy: what fails is tried again, twice at most, and said."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2))


@contextmanager
def launched(kind: str, folder: Path) -> Iterator[bidi.Session]:
    """A running browser."""
    if kind == "chromium":
        with bidi.chromium(find("chromium"), find("chromedriver", package="chromium-driver")) as session:
            yield session
    else:
        with sound_card(folder) as environment, bidi.firefox(find("firefox-esr"), folder, environment) as session:
            yield session


@pytest.fixture(scope="session", params=BROWSERS)
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bidi.Session]:
    """One of each kind per run."""
    with launched(request.param, tmp_path_factory.mktemp(request.param)) as session:
        yield session


@pytest.fixture(params=BROWSERS)
def fresh_page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[bidi.Page, frozenset[int]]]:
    """A tab of a browser of its own, and the processes that were there before it."""
    before = frozenset(process.pid for process in psutil.Process().children(recursive=True))
    with launched(request.param, tmp_path) as session:
        yield bidi.Page(session), before


@pytest.fixture
def page(browser: bidi.Session) -> Iterator[bidi.Page]:
    """A fresh tab."""
    tab = bidi.Page(browser)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def front() -> Iterator[fakefront.FakeFront]:
    """A server for the pages alone."""
    with fakefront.running() as running:
        yield running


def find(program: str, *, package: str | None = None) -> str:
    """Path of a program; skips the test without it, fails under CI."""
    found = shutil.which(program) or (install(package or program) and shutil.which(program))
    return found or _missing(program, package or program)


def _missing(program: str, package: str) -> NoReturn:
    reason = f"NOT TESTED: {program} is not on this machine (Debian: apt-get install {package})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def sound_card(folder: Path) -> Iterator[dict[str, str]]:
    """A silent sound server: without any device the audio clock of Firefox never starts (Chromium's does)."""
    program = find("pulseaudio")
    socket = folder / "pulse.socket"
    ours = os.environ | {"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "DBUS_SESSION_BUS_ADDRESS": "none:"}
    modules = [f"module-native-protocol-unix auth-anonymous=1 socket={socket}", "module-null-sink rate=48000"]
    loads = [argument for module in modules for argument in ("-L", module)]
    # The parent returns when the daemon is ready.
    subprocess.run([program, "-n", "--daemonize=yes", "--exit-idle-time=-1", *loads], env=ours, check=True)
    try:
        yield {"PULSE_SERVER": f"unix:{socket}"}
    finally:
        subprocess.run([program, "--kill"], env=ours, check=True)
