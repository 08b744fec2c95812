"""No feature is lost in silence: each is read or counted, also where a CRS ends."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError
from crispmap.geo.grid import Grid
from crispmap.labels.left_out import Reason
from crispmap.labels.osm import preset_schema
from crispmap.labels.rasterize import rasterize
from crispmap.labels.reader import LabelOptions
from crispmap.labels.translate import write_moved
from crispmap.labels.vectors import read_features, read_vectors
from crispmap.types import IGNORE

SCHEMA = preset_schema()
ONE = ClassSchema((ClassDef("background", "#000000"), ClassDef("roof", "#ffffff")))
UTM = CRS.from_epsg(32631)
LONLAT = CRS.from_epsg(4326)
GRID = Grid(UTM, Affine(1, 0, 450_000, 0, -1, 5_400_400), (400, 400))
BOX = shapely.box(450_100, 5_400_100, 450_120, 5_400_110)

KINDS = {
    "kept": ("building", BOX, None),
    "several parts": ("1", shapely.MultiPolygon([BOX, shapely.affinity.translate(BOX, 50)]), None),
    "unknown class": ("hut", BOX, Reason.UNKNOWN_CLASS),
    "empty class": (None, BOX, Reason.EMPTY_CLASS),
    "point": ("road", shapely.Point(450_100, 5_400_100), Reason.NO_GEOMETRY),
    "flat": ("road", shapely.Polygon([(450_100, 5_400_100), (450_120, 5_400_100), (450_100, 5_400_100)]),
             Reason.NO_GEOMETRY),
    "away": ("building", shapely.affinity.translate(BOX, 9_000), Reason.ELSEWHERE),
}  # fmt: skip


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=12), suffix=st.sampled_from([".gpkg", ".parquet"]))
def test_every_feature_is_read_or_counted(tmp_path: Path, kinds: list[str], suffix: str) -> None:
    rows = [KINDS[kind] for kind in ["kept", *kinds]]
    frame = gpd.GeoDataFrame({"class": [row[0] for row in rows]}, geometry=[row[1] for row in rows], crs=UTM)
    path = tmp_path / f"a{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_file(path)
    found = read_features(path, SCHEMA, grid=GRID, options=LabelOptions(unknown="ignore"))
    reasons = [row[2] for row in rows]
    assert found.left_out.total == len(rows)
    assert found.left_out.counts == {reason: reasons.count(reason) for reason in set(reasons) - {None}}
    parts = kinds.count("kept") + 2 * kinds.count("several parts") + kinds.count("unknown class") + 1
    assert len(found.frame) == parts
    assert (found.frame["class_id"] == IGNORE).sum() == kinds.count("unknown class")
    loud = set(reasons) & {Reason.UNKNOWN_CLASS, Reason.EMPTY_CLASS, Reason.NO_GEOMETRY}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found.left_out.warn()
    assert [one.category for one in heard] == [CrispmapWarning] * bool(loud)
    for reason in loud:
        assert f"{reasons.count(reason)} {reason}" in str(heard[0].message)
        assert f"feature {reasons.index(reason) + (suffix == '.gpkg')}" in str(heard[0].message)


@pytest.mark.parametrize("value", ["biulding", 7])
@pytest.mark.parametrize("schema", [SCHEMA, ONE])
def test_a_class_that_the_schema_lacks_is_an_error(tmp_path: Path, value: object, schema: ClassSchema) -> None:
    known = schema.names[1] if isinstance(value, str) else 1
    frame = gpd.GeoDataFrame({"class": [known, value, value]}, geometry=[BOX] * 3, crs=UTM)
    frame.to_file(tmp_path / "a.gpkg")
    with pytest.raises(LabelError, match=rf"'{value}' \(2 features\)"):
        read_vectors(tmp_path / "a.gpkg", schema, grid=GRID)
    with pytest.warns(CrispmapWarning, match="2 "):
        found = read_vectors(tmp_path / "a.gpkg", schema, grid=GRID, options=LabelOptions(unknown="ignore"))
    assert found["class_id"].tolist() == [1, IGNORE, IGNORE]


def test_tags_may_decide_where_a_column_of_classes_does_not(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"class": ["road", "hut"], "building": [None, "yes"]}, geometry=[BOX, BOX], crs=UTM)
    frame.to_file(tmp_path / "a.gpkg")
    assert read_vectors(tmp_path / "a.gpkg", SCHEMA)["class_id"].tolist() == [2, 1]


# --- where a CRS ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [(-180, -90, 180, 90), (-100, 20, 90, 89.9), (1, 40, 60, 70)])
@pytest.mark.parametrize("scene", [32631, 3857, 3035])
def test_a_polygon_larger_than_the_domain_of_the_crs_covers_the_scene(
    tmp_path: Path, bounds: tuple[float, ...], scene: int
) -> None:
    gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.box(*bounds)], crs=LONLAT).to_file(tmp_path / "a.gpkg")
    x, y = gpd.GeoSeries([shapely.Point(2.5, 48.5)], crs=LONLAT).to_crs(scene)[0].coords[0]
    for side in (10, 1000):  # metres a pixel: the cut must not bend into a large scene
        grid = Grid(CRS.from_epsg(scene), Affine(side, 0, x, 0, -side, y), (100, 100))
        assert (rasterize(read_vectors(tmp_path / "a.gpkg", ONE, grid=grid), grid, ONE) == 1).all()


@pytest.mark.parametrize("centre", [180.0, -180.0])
@pytest.mark.parametrize("source", [4326, 4167, 32760, 3832])
def test_scenes_across_the_antimeridian_in_degrees(tmp_path: Path, centre: float, source: int) -> None:
    grid = Grid(LONLAT, Affine(1e-5, 0, centre - 200e-5, 0, -1e-5, -17), (300, 400))
    west, east = shapely.box(179.9990, -17.002, 179.9994, -17.001), shapely.box(-179.9995, -17.002, -179.9991, -17.001)
    across = shapely.box(179.9998, -17.0005, 180.0002, -17.0003)
    frame = gpd.GeoDataFrame({"x": [1, 2, 3]}, geometry=[west, east, across], crs=LONLAT).to_crs(source)
    frame.to_file(tmp_path / "a.gpkg")
    ids = rasterize(read_vectors(tmp_path / "a.gpkg", ONE, grid=grid), grid, ONE)
    assert (ids == 1).sum() == pytest.approx(2 * 40 * 100 + 40 * 20, rel=0.03)
    columns = np.flatnonzero((ids == 1).any(axis=0))
    assert columns.min() == pytest.approx(100, abs=1)
    assert columns.max() == pytest.approx(290, abs=1)
    if source == 4326:
        assert write_moved(tmp_path / "a.gpkg", tmp_path / "moved.gpkg", grid, (1.0, 0.0)) == 3


def test_broken_and_mixed_geometries_that_reach_far_are_cut_or_counted(tmp_path: Path) -> None:
    bow = shapely.Polygon([(1, 40), (60, 70), (60, 40), (1, 70)])
    mixed = shapely.GeometryCollection([shapely.Point(9, 9), shapely.box(1, 40, 60, 70), bow])
    endless = shapely.Polygon([(3, 48), (4, 48), (np.inf, 49)])
    frame = gpd.GeoDataFrame({"x": [1, 2, 3]}, geometry=[bow, mixed, endless], crs=LONLAT)
    frame.to_parquet(tmp_path / "a.parquet")
    grid = Grid(UTM, Affine(10, 0, 450_000, 0, -10, 5_400_400), (100, 100))
    found = read_features(tmp_path / "a.parquet", ONE, grid=grid)
    assert (rasterize(found.frame, grid, ONE) == 1).all()
    assert found.left_out.counts in ({}, {Reason.NO_GEOMETRY: 1}, {Reason.ELSEWHERE: 1})
    assert found.left_out.total == 3


@pytest.mark.parametrize("reach", [1e7, 1e12, 1e200])
def test_a_line_without_end_is_drawn(tmp_path: Path, reach: float) -> None:
    lines = [shapely.LineString([(450_000 - reach, y), (450_000 + reach, y)]) for y in (5_400_300.5, 5_400_200.5)]
    gpd.GeoDataFrame({"highway": ["primary"] * 2}, geometry=lines, crs=UTM).to_parquet(tmp_path / "a.parquet")
    ids = rasterize(read_vectors(tmp_path / "a.parquet", SCHEMA, grid=GRID), GRID, SCHEMA)
    assert (ids == 2).sum(axis=0).tolist() == [14] * 400


def test_the_world_covers_a_scene_across_the_antimeridian(tmp_path: Path) -> None:
    gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.box(-180, -90, 180, 90)], crs=LONLAT).to_file(tmp_path / "a.gpkg")
    for crs, x, y, side in ((4326, 179.99, -17, 1e-4), (32760, 816_000, 8_118_000, 10)):
        grid = Grid(CRS.from_epsg(crs), Affine(side, 0, x, 0, -side, y), (200, 200))
        assert (rasterize(read_vectors(tmp_path / "a.gpkg", ONE, grid=grid), grid, ONE) == 1).all()
