"""The verb ``cache``: where, how much, what; and all of it gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.files.cache import VARIABLE, user_cache


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["cache", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_it_shows_what_is_kept_and_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    assert json.loads(run("--json"))["entries"] == []
    user_cache().put({"what": "a graph"}, bytes(2_000_000))
    user_cache().put({"what": "facts"}, b"1")
    (tmp_path / "kept" / f"{'0' * 64}.kept").write_bytes(b"damaged")
    facts = json.loads(run("--json"))
    assert facts["folder"] == str(tmp_path / "kept")
    assert sorted(one["what"] for one in facts["entries"]) == ["a graph", "damaged", "facts"]
    assert facts["bytes"] == sum(one["bytes"] for one in facts["entries"]) > 2_000_000
    shown = run()
    assert str(tmp_path / "kept") in shown
    assert "2.00 MB" in shown
    assert "a graph" in shown
    assert "3 entries" in run("--clear")
    assert list((tmp_path / "kept").iterdir()) == []


def test_turned_off_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "off")
    assert VARIABLE in run()
    assert json.loads(run("--json"))["folder"] is None
    run("--clear")
