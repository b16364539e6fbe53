"""The configuration of a completion worker: the example loads, and every mistake is one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from contracts.errors import Misconfigured
from load_tests.upstream import serving
from workers.llm_proxy.__main__ import completions
from workers.llm_proxy.config import Route, load_config
from workers.llm_proxy.settings import CompletionSettings, key_from
from workers.settings import WorkerSettings

GOOD = """
upstreams:
  here: {url: "http://127.0.0.1:1/v1/", parallel: 3}
  there: {url: "https://there.invalid/v1", key_env: THERE_KEY, parallel: 5}
models:
  fast: [{upstream: here, model: small}, {upstream: there, model: big, weight: 2}]
  even: [{upstream: here, model: small, order: 1}, {upstream: there, model: big, order: 1}]
"""


def test_the_example_loads() -> None:
    config = load_config(Path(str(files("workers.llm_proxy") / "example.yaml")))
    assert {"fast", "coder", "local", "reasoning"} <= config.models.keys()
    assert {upstream.key_env for upstream in config.upstreams.values()} > {""}
    assert any(upstream.unload and upstream.extra for upstream in config.upstreams.values())


def test_orders_are_positions_unless_given(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(GOOD)
    config = load_config(tmp_path / "c.yaml")
    assert config.routes() == {
        "fast": [Route("here", "small", 0), Route("there", "big", 1, 2.0)],
        "even": [Route("here", "small", 1), Route("there", "big", 1)],
    }
    assert config.upstreams["here"].url == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("upstream: here", "upstream: her", "models.fast.0: there is no upstream 'her'"),
        ("parallel: 3", "paralel: 3", "upstreams.here.paralel: Extra inputs are not permitted"),
        ("parallel: 3", "parallel: 0", "upstreams.here.parallel: Input should be greater than or equal to 1"),
        ('"http://127.0.0.1:1/v1/"', "ftp://x", "upstreams.here.url: Value error, no URL"),
        ('"http://127.0.0.1:1/v1/"', '""', "upstreams.here.url: Value error, no URL"),
        ("weight: 2", "weight: 0", "models.fast.1.weight: Input should be greater than 0"),
        ("models:", "model:", "models: Field required (and 1 more)"),
        ("upstreams:", "upstreams: [", "is not YAML"),
        ("even: [", "even: []\n  odd: [", "models.even: "),
        ("THERE_KEY", "sk-secret-1", "upstreams.there.key_env: String should match pattern"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, before: str, after: str, says: str) -> None:
    path = tmp_path / "c.yaml"
    assert before in GOOD
    path.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(Misconfigured) as error:
        load_config(path)
    line = str(error.value)
    assert says in line
    assert line.startswith(str(path))
    assert "\n" not in line
    assert "sk-secret-1" not in line


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="can not be read"):
        load_config(tmp_path / "none.yaml")


async def refusal(settings: CompletionSettings) -> str:
    """Why the worker does not start."""
    with pytest.raises(Misconfigured) as error:
        async with completions(settings)(WorkerSettings(engine_start_s=0.01)):
            raise AssertionError("it has started")
    return str(error.value)


def test_a_worker_that_can_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("upstreams: {}")
    settings = {"CASTLINE_STORE": f"sqlite://{tmp_path}/c.db", "CASTLINE_BROKER": ""}
    ended = subprocess.run(
        [sys.executable, "-m", "workers.llm_proxy"], capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, **settings, "CASTLINE_LLM_CONFIG": str(tmp_path / "c.yaml")},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "c.yaml: upstreams: Dictionary should have at least 1 item" in ended.stderr


async def test_a_key_comes_from_the_variable_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(GOOD)
    settings = CompletionSettings(config=tmp_path / "c.yaml")
    assert "THERE_KEY" in await refusal(settings)
    monkeypatch.setenv("THERE_KEY", "k")
    assert (key_from("THERE_KEY"), key_from("")) == ("k", "")
    async with completions(settings)(WorkerSettings()) as [post]:
        assert (post.lane, post.info.name, post.info.slots, post.info.probe_xrt) == ("llm", "llm-proxy", 8, 8.0)
        assert post.info.voices == ("fast", "even")


async def test_one_upstream_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "URL", "KEY", "PARALLEL"):
        monkeypatch.setenv(f"CASTLINE_LLM_{name}", "")
    assert "CASTLINE_LLM_URL" in await refusal(CompletionSettings())
    assert "not both" in await refusal(CompletionSettings(config=Path("x"), url="http://x"))
    assert "CASTLINE_LLM_URL: url: " in await refusal(CompletionSettings(url="here"))
    assert "no connection" in await refusal(CompletionSettings(url="http://127.0.0.1:1/v1"))
    with serving() as url:
        monkeypatch.setenv("CASTLINE_LLM_URL", f"{url}/v1")
        monkeypatch.setenv("CASTLINE_LLM_PARALLEL", "7")
        async with completions(CompletionSettings())(WorkerSettings()) as [post]:
            assert (post.info.voices, post.info.slots) == (("small",), 7)
        assert "status 404" in await refusal(CompletionSettings(url=url))
