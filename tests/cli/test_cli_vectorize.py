"""The verb ``vectorize``, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from affine import Affine
from pyproj import CRS
from typer.testing import CliRunner, Result

from crispmap.cli.main import app
from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.raster.writer import class_map_writer


@pytest.fixture
def class_map(tmp_path: Path) -> Path:
    grid = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 450_000, 0, -0.5, 5_400_200), (100, 120))
    values = np.zeros(grid.shape, np.uint8)
    values[10:30, 10:30], values[40, 40], values[60:70] = 1, 1, 2
    with class_map_writer(tmp_path / "map.tif", grid, preset_schema(["building", "road"])) as writer:
        writer.write(grid.block, values)
    return tmp_path / "map.tif"


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["vectorize", *map(str, words)])


def test_figures_for_people_and_programs(tmp_path: Path, class_map: Path) -> None:
    out = tmp_path / "map.gpkg"
    result = call(class_map, "--out", out, "--min-area-m2", 1)
    assert result.exit_code == 0, result.output
    assert "building                    1 polygons          0.01 ha  (1 smaller, 0.00 ha, left out)" in result.stdout
    assert f"Wrote {out}" in result.stderr
    result = call(class_map, "--out", out, "--classes", "building, road", "--force", "--json")
    figures = json.loads(result.stdout)
    assert [(one["name"], one["polygons"]) for one in figures["classes"]] == [("building", 2), ("road", 1)]
    assert figures["classes"][1]["area_m2"] == pytest.approx(300, rel=2e-3)
    assert len(pyogrio.read_dataframe(out, layer=out.stem)) == 3


def test_what_is_written_can_be_drawn_again(tmp_path: Path, class_map: Path) -> None:
    assert call(class_map, "--out", tmp_path / "map.geojson", "--simplify-m", 0.3).exit_code == 0
    words = [tmp_path / "map.geojson", "--like", class_map, "--out", tmp_path / "again.tif", "--json"]
    result = CliRunner().invoke(app, ["rasterize", *map(str, words)])
    assert [one["pixels"] for one in json.loads(result.stdout)["classes"]] == [12_000 - 401 - 1200, 401, 1200]


def test_none_is_told(tmp_path: Path, class_map: Path) -> None:
    result = call(class_map, "--out", tmp_path / "map.gpkg", "--min-area-m2", 1e6)
    assert result.exit_code == 0
    assert "The layer is empty" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "map.shp"], ".gpkg"),
        (["--out", "map.gpkg", "--classes", "hut"], "hut"),
        (["--out", "map.gpkg", "--classes", ","], "No class is named"),
        (["--out", "map.gpkg", "--simplify-m", "-1"], "--simplify-m"),
        (["--out", "map.gpkg", "--min-area-m2", "nan"], "--min-area-m2"),
    ],
)
def test_mistakes(
    tmp_path: Path, class_map: Path, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(class_map, *words)
    assert result.exit_code == 2
    assert told in result.output
    assert not list(tmp_path.glob("*.g*"))


def test_a_preset_and_what_it_writes(tmp_path: Path, class_map: Path) -> None:
    result = call(class_map, "--out", tmp_path / "b.gpkg", "--preset", "buildings")
    assert result.exit_code == 0, result.output
    assert "building                    1 polygons          0.01 ha" in result.stdout
    result = call(class_map, "--out", tmp_path / "r.gpkg", "--preset", "roads")
    assert "road                        1 lines             0.06 km" in result.stdout
    figures = json.loads(call(class_map, "--out", tmp_path / "r2.gpkg", "--preset", "roads", "--json").stdout)
    assert figures["classes"][0]["lines"] == 1
    assert figures["classes"][0]["length_m"] == pytest.approx(60, rel=0.01)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("--scores", "s.tif"), "--preset buildings"),
        (("--scores", "s.tif"), "--confidence"),
        (("--preset", "buildings", "--confidence", "none.tif"), ""),
    ],
)
def test_faults_of_presets_are_told_in_options(
    tmp_path: Path, class_map: Path, words: tuple[str, ...], remedy: str
) -> None:
    result = call(class_map, "--out", tmp_path / "map.gpkg", *words)
    assert result.exit_code == 2
    assert remedy in result.stderr
    assert not (tmp_path / "map.gpkg").exists()
