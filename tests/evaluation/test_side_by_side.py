"""Maps side by side: each has the figures it has alone, and the rules for all are settled once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.evaluation.files import ScoringRules, evaluate_coarse_file, evaluate_file
from crispmap.evaluation.side_by_side import (
    COARSE,
    RETHRESHOLDED,
    classes_without_reference,
    common_schema,
    evaluate_side_by_side,
)
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Grid
from crispmap.raster.writer import class_map_writer, scores_writer
from recorder import Recorder

SCHEMA = ClassSchema((ClassDef("background", "#202020"), ClassDef("roof", "#d7191c"), ClassDef("road", "#ffffff")))
pytestmark = pytest.mark.filterwarnings("ignore:A random map")  # these maps are random
GRID = Grid(CRS.from_epsg(32633), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (40, 60))
WIDE = Grid(GRID.crs, GRID.transform @ Affine.scale(4), (10, 15))


def write(path: Path, ids: NDArray[np.uint8], grid: Grid = GRID, schema: ClassSchema = SCHEMA) -> Path:
    with class_map_writer(path, grid, schema) as writer:
        writer.write(grid.block, ids)
    return path


@pytest.fixture
def place(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2, GRID.shape, dtype=np.uint8)
    (tmp_path / "other").mkdir()
    with scores_writer(tmp_path / "scores.tif", GRID, SCHEMA.names) as writer:
        writer.write(GRID.block, rng.normal(size=(3, *GRID.shape)).astype(np.float32))
    return {
        "reference": write(tmp_path / "reference.tif", ids),
        "map": write(tmp_path / "map.tif", rng.integers(0, 3, GRID.shape, dtype=np.uint8)),
        "twin": write(tmp_path / "other" / "map.tif", ids),
        "wide": write(tmp_path / "wide.tif", ids[2::4, 2::4], WIDE),
        "scores": tmp_path / "scores.tif",
    }


def test_each_map_has_the_figures_it_has_alone_in_the_order_given(place: dict[str, Path]) -> None:
    maps = [place["map"], place["twin"], place["wide"]]
    recorder = Recorder()
    found = evaluate_side_by_side(maps, place["reference"], events=recorder)
    assert list(found.evaluations) == [str(place["map"]), str(place["twin"]), "wide.tif"]
    for path, evaluation in zip(maps, found.evaluations.values(), strict=True):
        assert evaluation == evaluate_file(path, place["reference"], ScoringRules(widths_m=(2.0, 6.0)))
    assert [(task.title, task.total) for task in recorder.tasks] == [("evaluation", 2 * 40 * 60 + 10 * 15)]
    assert found.biases is None
    assert classes_without_reference(found.evaluations) == ["road"]


def test_coarse_scores_stand_first(place: dict[str, Path]) -> None:
    complete = write(place["map"].with_name("complete.tif"), np.arange(2400, dtype=np.uint8).reshape(40, 60) % 3)
    areas = {"refiner": [AreaPiece(window=(0, 0, 40, 20))]}
    rules = ScoringRules(areas=areas, widths_m=(1.0,))
    recorder = Recorder()
    found = evaluate_side_by_side([place["map"]], complete, rules, scores=place["scores"], events=recorder)
    alone = evaluate_coarse_file(place["scores"], complete, SCHEMA, ScoringRules(areas=areas, widths_m=(1.0,)))
    assert sorted(set(recorder.last.done)) == [0, 2400, 4800, 7200]
    assert list(found.evaluations) == [COARSE, RETHRESHOLDED, "map.tif"]
    assert found.evaluations[COARSE] == alone.coarse
    assert found.evaluations[RETHRESHOLDED] == alone.rethresholded
    assert found.to_dict()["biases"] == dict(zip(SCHEMA.names, alone.biases.tolist(), strict=True))


def test_windows_need_maps_of_one_grid(place: dict[str, Path]) -> None:
    rules = ScoringRules(areas={"test": [AreaPiece(window=(0, 0, 9, 9), origin="here")]})
    evaluate_side_by_side([place["map"], place["twin"]], place["reference"], rules)
    with pytest.raises(InputError, match="here"):
        evaluate_side_by_side([place["map"], place["wide"]], place["reference"], rules)


def test_maps_of_other_classes_are_an_error(place: dict[str, Path], tmp_path: Path) -> None:
    other = ClassSchema((ClassDef("a", "#202020"), ClassDef("b", "#d7191c")))
    strange = write(tmp_path / "strange.tif", np.zeros(GRID.shape, np.uint8), schema=other)
    with pytest.raises(SchemaError, match=r"strange\.tif"):
        common_schema([place["map"], strange])
