"""What ``info`` finds wrong with a project before any training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from crispmap.project.file import load_project
from crispmap.project.problems import Problem, problems_of
from small_project import PROJECT, make_project


def found(folder: Path, old: str = "", new: str = "") -> list[Problem]:
    assert old in PROJECT
    make_project(folder, PROJECT.replace(old, new))
    return problems_of(load_project(folder))


def test_a_good_project_has_none(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_every_area_off_the_scene_is_told(tmp_path: Path) -> None:
    problems = found(tmp_path, "[{window: [0, 80, 160, 40]}]", "[{window: [150, 80, 20, 40]}, {bounds: [0, 0, 1, 1]}]")
    assert ["refiner" in one.where for one in problems] == [True, True]
    assert "[150, 80, 10, 40]" in problems[0].remedy


def test_areas_that_share_pixels_are_told(tmp_path: Path) -> None:
    assert len(found(tmp_path, "[0, 80, 160, 40]", "[0, 70, 160, 40]")) == 1


def test_a_class_that_an_area_lacks_is_told_with_a_window_that_has_it(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, "[0, 80, 160, 40]", "[0, 80, 100, 40]")
    assert "road" in problem.problem
    window = problem.remedy[problem.remedy.index("[") + 1 : problem.remedy.index("]")]
    row, col, height, width = (int(number) for number in window.split(","))
    with rasterio.open(tmp_path / "precise.tif") as file:
        ids = file.read(1)[row : row + height, col : col + width]
    assert f"with {np.count_nonzero(ids == 2)} of its pixels" in problem.remedy
    assert row >= 100
    assert 80 <= col <= col + width <= 120


def test_a_class_that_is_nowhere_is_told(tmp_path: Path) -> None:
    problems = found(tmp_path, '- {name: road, colour: "#2b83ba"}\n', '- {name: road, colour: "#2b83ba"}\n'
                     '- {name: rail, colour: "#000000"}\n')  # fmt: skip
    assert [one.where.rsplit(" ", 1)[1] for one in problems] == ["coarse", "refiner", "test"]
    assert all("rail" in one.problem and "[" not in one.remedy for one in problems)


@pytest.mark.parametrize("broken", ["scene.tif", "precise.tif", "imprecise.tif"])
def test_a_file_that_cannot_be_read_and_a_missing_one_are_told(tmp_path: Path, broken: str) -> None:
    found(tmp_path)
    (tmp_path / broken).write_bytes(b"no raster")
    (problem,) = problems_of(load_project(tmp_path))
    assert broken in problem.problem
    (tmp_path / broken).unlink()
    (problem,) = problems_of(load_project(tmp_path, check_files=False))
    assert broken in problem.problem


def test_a_class_that_only_other_areas_have_is_told_with_them(tmp_path: Path) -> None:
    text = "refiner: [{window: [0, 80, 4, 40]}]\n  validation: [{window: [4, 80, 156, 40]}]"
    problems = found(tmp_path, "refiner: [{window: [0, 80, 160, 40]}]", text)
    assert {one.where.rsplit(" ", 1)[1] for one in problems} == {"refiner"}
    assert all("validation and test" in one.remedy for one in problems)
