"""Vectors of a file moved: every layer and column kept, the ground distance true in any CRS."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod

from crispmap.errors import LabelError, OutputError
from crispmap.events import Listener
from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.translate import near_layers, write_moved
from crispmap.labels.vectors import read_vectors

GRID = Grid(CRS.from_epsg(32631), Affine(1, 0, 450_000, 0, -1, 5_400_000), (100, 200))
HOUSES = [shapely.box(x, y, x + 10, y + 8) for x, y in ((450_020, 5_399_920), (450_150, 5_399_960))]
STREET = shapely.LineString([(449_990, 5_399_950), (450_210, 5_399_950)])
FAR = shapely.box(460_000, 5_399_920, 460_010, 5_399_930)


def frame(geometries: list[shapely.Geometry], **columns: list[object]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=geometries, crs=GRID.crs)


@pytest.fixture
def osm(tmp_path: Path) -> Path:
    """Two layers in degrees, with a feature far from the grid."""
    path = tmp_path / "osm.gpkg"
    houses = frame([*HOUSES, FAR], building=["yes", "house", "yes"], name=["Haus Ä", None, "far"], floors=[1, 2, 3])
    houses.to_crs(4326).to_file(path, layer="buildings")
    frame([STREET], highway=["residential"], lanes=["2"]).to_crs(4326).to_file(path, layer="roads")
    return path


def distances_m(before: gpd.GeoDataFrame, after: gpd.GeoDataFrame) -> np.ndarray:
    """Geodesic (east, north) from each vertex to the same after."""
    points = [shapely.get_coordinates(one.to_crs(4326).geometry.to_numpy()) for one in (before, after)]
    azimuth, _, length = Geod(ellps="WGS84").inv(*points[0].T, *points[1].T)
    return np.column_stack([length * np.sin(np.radians(azimuth)), length * np.cos(np.radians(azimuth))])


def test_layers_columns_and_crs_are_kept_and_the_distance_is_true(tmp_path: Path, osm: Path) -> None:
    out = tmp_path / "mended.gpkg"
    assert write_moved(osm, out, GRID, (3.0, -2.0)) == 3
    assert pyogrio.list_layers(out)[:, 0].tolist() == ["buildings", "roads"]
    for layer, near in (("buildings", 2), ("roads", 1)):
        before, after = gpd.read_file(osm, layer=layer)[:near], gpd.read_file(out, layer=layer)
        assert after.crs == before.crs
        pd.testing.assert_frame_equal(after.drop(columns="geometry"), before.drop(columns="geometry"))
        np.testing.assert_allclose(distances_m(before, after), [[3, -2]] * before.count_coordinates().sum(), atol=1e-3)
    schema = preset_schema(("building", "road"))
    ids = [read_vectors(path, schema, grid=GRID)["class_id"].tolist() for path in (osm, out)]
    assert ids[0] == ids[1] == [1, 1, 2]


def test_one_layer_alone(tmp_path: Path, osm: Path) -> None:
    assert write_moved(osm, tmp_path / "a.gpkg", GRID, (1, 1), options=LabelOptions(layer="roads")) == 1
    assert pyogrio.list_layers(tmp_path / "a.gpkg")[:, 0].tolist() == ["roads"]


@pytest.mark.parametrize("far", [0, 1, 3])
def test_features_too_far_to_be_returned_are_counted(tmp_path: Path, far: int) -> None:
    class Notes(Listener):
        def note(self, text: str) -> None:
            notes.append(text)

    notes: list[str] = []
    path = tmp_path / "houses.gpkg"
    frame([*HOUSES, *[FAR] * far]).to_file(path)
    ((_, found),) = near_layers(path, GRID, events=Notes())
    assert len(found) == len(HOUSES)
    assert [f"{far} feature" in one for one in notes] == [True] * min(far, 1)


def test_columns_a_geopackage_cannot_hold_as_they_are(tmp_path: Path) -> None:
    features = json.loads(
        frame(HOUSES, fid=[7, 7], Name=["a", "b"], name=["c", "d"], geom=[1, 2]).to_crs(4326).to_json()
    )
    for one in features["features"]:
        one["properties"] |= {"tags": {"building": "yes"}, "refs": [1, 2]}
    path = tmp_path / "odd.geojson"
    path.write_text(json.dumps(features))
    write_moved(path, tmp_path / "odd.gpkg", GRID, (0, 0))
    found = gpd.read_file(tmp_path / "odd.gpkg")
    assert found["fid_"].tolist() == [7, 7]
    assert (found["Name"].tolist(), found["name_"].tolist()) == (["a", "b"], ["c", "d"])
    assert found["geom_"].tolist() == [1, 2]
    assert json.loads(found["tags"][0]) == {"building": "yes"}
    assert json.loads(found["refs"][0]) == [1, 2]


def test_parquet_with_lists(tmp_path: Path) -> None:
    path = tmp_path / "houses.parquet"
    frame(HOUSES, refs=[[1, 2], []]).to_parquet(path)
    write_moved(path, tmp_path / "a.gpkg", GRID, (5, 0))
    found = gpd.read_file(tmp_path / "a.gpkg", layer="houses")
    assert [json.loads(text) for text in found["refs"]] == [[1, 2], []]


@pytest.mark.parametrize("assumed", ["EPSG:32631", "scene"])
def test_a_crs_that_is_assumed_is_declared(tmp_path: Path, assumed: str) -> None:
    path = tmp_path / "houses.shp"
    frame(HOUSES, a=[1, 2]).to_file(path)
    path.with_suffix(".prj").unlink()
    with pytest.raises(LabelError, match="no coordinate reference system"):
        write_moved(path, tmp_path / "a.gpkg", GRID, (1, 1))
    write_moved(path, tmp_path / "a.gpkg", GRID, (1, 1), options=LabelOptions(assume_crs=assumed))
    assert gpd.read_file(tmp_path / "a.gpkg").crs == GRID.crs


def test_without_crs_they_move_along_their_axes(tmp_path: Path) -> None:
    grid = Grid(None, Affine.identity(), (100, 200))
    path = tmp_path / "plain.geojson"
    path.write_text(gpd.GeoSeries([shapely.box(10, 10, 20, 20)]).to_json())
    write_moved(path, tmp_path / "a.gpkg", grid, (3, -2), options=LabelOptions(assume_crs="scene"))
    found = pyogrio.read_dataframe(tmp_path / "a.gpkg")
    assert found.geometry[0].bounds == (13, 8, 23, 18)


def test_vectors_elsewhere_and_bad_targets_write_nothing(tmp_path: Path, osm: Path) -> None:
    away = Grid(GRID.crs, GRID.transform.translation(0, 0) @ Affine(1, 0, 4e5, 0, -1, 5e6), GRID.shape)
    with pytest.raises(LabelError, match=r"osm\.gpkg"):
        write_moved(osm, tmp_path / "a.gpkg", away, (1, 1))
    with pytest.raises(OutputError, match=r"ends in \.gpkg") as caught:
        write_moved(osm, tmp_path / "a.shp", GRID, (1, 1))
    assert "a.gpkg" in caught.value.remedy
    with pytest.raises(OutputError, match="does not exist"):
        write_moved(osm, tmp_path / "no" / "a.gpkg", GRID, (1, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["osm.gpkg"]


def test_a_file_is_on_the_disk_before_it_appears(tmp_path: Path, osm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "moved.gpkg"
    before: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: before.append(os.fstat(file).st_ino) if not out.exists() else None)
    write_moved(osm, out, GRID, (1, 1))
    assert out.stat().st_ino in before


def test_a_file_that_is_there_is_replaced_whole_or_not_at_all(
    tmp_path: Path, osm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.gpkg"
    out.write_text("old")
    (tmp_path / "a.gpkg-wal").write_text("of the old one")
    with pytest.raises(OutputError, match="exists"):
        write_moved(osm, out, GRID, (1, 1))

    def full(*args: object, **kwargs: object) -> None:
        raise pyogrio.errors.DataSourceError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(pyogrio, "write_dataframe", full)
        with pytest.raises(OutputError, match="disk full"):
            write_moved(osm, out, GRID, (1, 1), force=True)
    assert out.read_text() == "old"
    write_moved(osm, out, GRID, (1, 1), force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gpkg", "osm.gpkg"]
    assert not math.isnan(gpd.read_file(out, layer="roads").total_bounds[0])
