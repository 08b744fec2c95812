"""Objects of files: maps and vectors against vectors and masks, in areas, from Python and as a verb."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import random_maps
import shapely
from typer.testing import CliRunner, Result

import crispmap
from crispmap.cli.main import app
from crispmap.errors import InputError, LabelError, SchemaError
from crispmap.evaluation.files import ScoringRules
from crispmap.geo.area_pieces import AreaPiece
from crispmap.polygons.object_files import evaluate_objects
from crispmap.polygons.vectorize import vectorize_file

GRID = random_maps.grid_of(0.5, (100, 120))
HOUSES = [(10, 10, 20, 20), (10, 60, 20, 30), (60, 20, 16, 24), (70, 80, 20, 20)]  # row, col, height, width


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A map that misses the last house, has another elsewhere and shifts the others by a pixel; and all references."""
    values, truth = np.zeros((2, *GRID.shape), np.uint8)
    shapes = []
    for row, col, height, width in HOUSES:
        truth[row : row + height, col : col + width] = 1
        ends = [GRID.transform @ (col, row), GRID.transform @ (col + width, row + height)]
        shapes.append(shapely.box(*ends[0], *ends[1]))
    for row, col, height, width in HOUSES[:3]:
        values[row : row + height, col + 1 : col + width + 1] = 1
    values[40:50, 100:110] = 1
    random_maps.write_map(tmp_path / "map.tif", values, GRID)
    random_maps.write_map(tmp_path / "truth.tif", truth, GRID)
    frame = gpd.GeoDataFrame({"class": ["building"] * 4}, geometry=shapes, crs=GRID.crs)
    frame.to_crs(4326).to_file(tmp_path / "truth.gpkg")
    vectorize_file(tmp_path / "map.tif", tmp_path / "map.gpkg")
    return tmp_path


@pytest.mark.parametrize("predicted", ["map.tif", "map.gpkg"])
@pytest.mark.parametrize("reference", ["truth.tif", "truth.gpkg"])
def test_maps_and_vectors_give_the_same_figures(place: Path, predicted: str, reference: str) -> None:
    found = crispmap.evaluate_objects(place / predicted, place / reference)["building"]
    assert (found.predicted, found.reference, found.right, found.found) == (4, 4, 3, 3)
    assert found.f1 == pytest.approx(0.75)
    assert found.polis_m == pytest.approx(0.25, abs=0.01)  # half of the corners lie half a metre off
    assert found.corner_offset_m == pytest.approx(0.5, abs=0.01)


def test_objects_count_where_their_centre_is(place: Path) -> None:
    window = crispmap.evaluate_objects(place / "map.tif", place / "truth.gpkg", area=(0, 0, 100, 60))["building"]
    assert (window.predicted, window.reference, window.right) == (2, 2, 2)
    corner = GRID.transform @ (0, 0)
    half = gpd.GeoDataFrame(geometry=[shapely.box(corner[0], corner[1] - 50, corner[0] + 30, corner[1])], crs=GRID.crs)
    half.to_crs(3857).to_file(place / "half.gpkg")
    for name in ("map.tif", "map.gpkg"):
        found = crispmap.evaluate_objects(place / name, place / "truth.gpkg", area=place / "half.gpkg")["building"]
        assert (found.predicted, found.reference, found.right) == (2, 2, 2)


def test_a_reference_beyond_the_map_is_not_missed(place: Path) -> None:
    near = gpd.read_file(place / "truth.gpkg", layer="truth").to_crs(GRID.crs).geometry
    shapes = [*near, *near.translate(100)]
    both = gpd.GeoDataFrame({"class": ["building"] * 8}, geometry=shapes, crs=GRID.crs)
    both.to_file(place / "more.gpkg")
    assert crispmap.evaluate_objects(place / "map.tif", place / "more.gpkg")["building"].reference == 4


def test_several_files_side_by_side(place: Path) -> None:
    found = evaluate_objects([place / "map.tif", place / "truth.gpkg"], place / "truth.gpkg").to_dict()
    figures = [one["building"]["f1"] for one in found["maps"].values()]
    assert figures == [pytest.approx(0.75), pytest.approx(1.0)]
    assert json.dumps(found, default=str)


def test_what_cannot_be_compared_is_refused(place: Path) -> None:
    window = ScoringRules(areas={"test": [AreaPiece(window=(0, 0, 9, 9), origin="area=")]})
    with pytest.raises(InputError):
        evaluate_objects([place / "map.gpkg"], place / "truth.gpkg", window)
    lines = gpd.GeoDataFrame({"class": ["road"]}, geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=GRID.crs)
    lines.geometry = lines.geometry.translate(*(GRID.transform @ (5, 5)))
    lines.to_file(place / "lines.gpkg")
    with pytest.raises(LabelError):
        crispmap.evaluate_objects(place / "map.tif", place / "lines.gpkg")
    with pytest.raises(LabelError):
        crispmap.evaluate_objects(place / "map.tif", place / "none.gpkg")
    with pytest.raises(SchemaError):
        crispmap.evaluate_objects(place / "map.tif", place / "truth.gpkg", all_as="tree")


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_the_verb_prints_a_table_and_json(place: Path) -> None:
    words = (place / "map.tif", place / "map.gpkg", "--reference", place / "truth.gpkg", "--objects")
    shown = call(*words)
    assert shown.exit_code == 0, shown.output
    assert "75.00" in shown.stdout
    figures = json.loads(call(*words, "--json").stdout)["maps"]
    assert [one["building"]["right"] for one in figures.values()] == [3, 3]


@pytest.mark.parametrize("option", [("--width-m", 1), ("--scores", "s.tif", "--fit-area", "0,0,9,9")])
def test_options_of_pixels_are_refused_beside_objects(place: Path, option: tuple[object, ...]) -> None:
    result = call(place / "map.tif", "--reference", place / "truth.gpkg", "--objects", *option)
    assert result.exit_code == 2
    assert str(option[0]) in result.stderr
    assert call("--objects").exit_code == 2
