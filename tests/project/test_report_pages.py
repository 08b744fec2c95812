"""What the report of a project shows besides figures: the course of its trainings."""

from __future__ import annotations

import html
import re
import warnings
from pathlib import Path

import pytest
from pair_sets import write_deepglobe, write_project

from crispmap.errors import CrispmapWarning
from crispmap.project.results import evaluate_project
from crispmap.project.run import predict_project, train_project

pytestmark = pytest.mark.usefixtures("one_thread")
SPLIT = "split: {validation: ['3'], test: ['1', '2'], refiner: ['4']}"
REFINER = "refiner: {iterations: 1, max_steps: 2, batch: 2, patch_px: 16}\n"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mapped")
    write_deepglobe(folder / "data", 5)
    write_project(folder, SPLIT, REFINER)
    train_project(folder)
    predict_project(folder)
    return folder


def report_of(folder: Path) -> str:
    evaluate_project(folder, force=True)
    return html.unescape((folder / "out/report.html").read_text(encoding="utf-8"))


def charts_of(page: str) -> list[str]:
    return re.findall(r'aria-label="(Training of the [\w-]+(?: network)?)', page)


def test_every_training_has_its_chart(mapped: Path) -> None:
    page = report_of(mapped)
    assert charts_of(page) == ["Training of the coarse network", "Training of the refiner"]
    assert "after step 4" in page


@pytest.mark.parametrize("content", ["", "step,loss\n", "step,loss\n3,0.5\n", None])
def test_a_history_that_is_not_of_the_model_gives_no_chart(mapped: Path, content: str | None) -> None:
    path = mapped / "out/training/refiner/history.csv"
    kept = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_text(content)
    try:
        assert charts_of(report_of(mapped)) == ["Training of the coarse network"]
    finally:
        path.write_bytes(kept)


def test_a_damaged_history_is_told_of_and_the_report_is_made(mapped: Path) -> None:
    path = mapped / "out/training/coarse/history.csv"
    kept = path.read_bytes()
    path.write_text("step,loss\none,two\n")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert charts_of(report_of(mapped)) == ["Training of the refiner"]
        assert [one.category for one in told] == [CrispmapWarning]
        assert str(path) in str(told[0].message)
    finally:
        path.write_bytes(kept)
