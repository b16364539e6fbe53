"""The file of casts that were made from this machine."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from producer_api.commands import history as module
from producer_api.commands.history import History, Made, NoHistory


def made(n: int) -> Made:
    return Made(f"id{n}", "http://127.0.0.1:8080", f"Title {n} – ü", n)


def test_newest_first_bounded_and_a_cast_that_is_made_again_moves_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CASTS", 3)
    history = History(tmp_path / "new" / "folder")
    assert history.newest() == []
    for n in (1, 2, 3, 4, 2):
        history.add(made(n))
    assert history.newest() == [made(2), made(4), made(3)]
    assert history.newest(2) == [made(2), made(4)]
    history.remove("id4")
    history.remove("nobody")
    assert [each.id for each in history.newest()] == ["id2", "id3"]
    assert (history.find("id3"), history.find("id4")) == (made(3), None)


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    History(tmp_path / "state").add(made(1))
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()} == {0o600}


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(made(1))
    with (tmp_path / "casts.jsonl").open("a") as file:
        file.write('{"id": "half\n[]\n{"id": 1, "server": "", "title": "", "created": 1}\n\udcff\n'.encode(
            "utf-8", "surrogateescape").decode("utf-8", "replace"))  # fmt: skip
    assert history.newest() == [made(1)]
    history.add(made(2))
    lines = (tmp_path / "casts.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["id1", "id2"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from producer_api.commands.history import History, Made\n"
        "for n in range(20): History(Path(sys.argv[1])).add(Made(f'{sys.argv[2]}-{n}', 'http://x', '', n))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(w)]) for w in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    ids = {each.id for each in History(tmp_path).newest()}
    assert ids == {f"{w}-{n}" for w in range(4) for n in range(20)}


def test_a_place_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoHistory, match="file") as caught:
        History(tmp_path / "file" / "state").add(made(1))
    assert "\n" not in str(caught.value)
