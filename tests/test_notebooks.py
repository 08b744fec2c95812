"""The notebooks of the documents run from top to bottom, and show what a reader is to see."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
_SPEC = importlib.util.spec_from_file_location("run_notebooks", ROOT / "docs" / "run_notebooks.py")
assert _SPEC is not None
assert _SPEC.loader is not None
run_notebooks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(run_notebooks)

NOTEBOOKS = [pytest.param(path, id=path.stem) for path in run_notebooks.NOTEBOOKS]


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def shown(notebook: dict[str, Any]) -> list[list[tuple[str, list[str]]]]:
    """What each cell of code shows: kinds of output, not their text, which differs between machines."""
    codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [[(one["output_type"], sorted(one.get("data", []))) for one in cell["outputs"]] for cell in codes]


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_what_cells_show_is_stored_for_readers_and_small(path: Path) -> None:
    notebook = read(path)
    assert notebook["nbformat"] == 4
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert sum(bool(outputs) for outputs in shown(notebook)) > 4
    assert path.stat().st_size < 500_000
    text = path.read_text(encoding="utf-8")
    assert str(ROOT.parent) not in text
    assert f"notebooks/{path.name}" in (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::crispmap.errors.CrispmapWarning")
@pytest.mark.parametrize("path", NOTEBOOKS)
def test_a_notebook_runs_and_shows_what_is_stored(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    stored, again = read(path), read(path)
    run_notebooks.run(again)
    assert shown(again) == shown(stored)


def test_the_runner_keeps_prints_values_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = ["x = 2\nprint(x)", "x + 1", "class A:\n    def _repr_html_(self):\n        return '<p>'\nA()", "x = 3"]
    cells = [{"cell_type": "code", "source": source.splitlines(True)} for source in sources]
    run_notebooks.run({"cells": cells})
    assert cells[0]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["2\n"]}]
    assert cells[1]["outputs"][0]["data"] == {"text/plain": ["3"]}
    assert cells[2]["outputs"][0]["data"]["text/html"] == ["<p>"]
    assert cells[3]["outputs"] == []
    with pytest.raises(ZeroDivisionError):
        run_notebooks.run({"cells": [{"cell_type": "code", "source": ["1 / 0"]}]})
