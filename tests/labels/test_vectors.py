"""Vectors read from every format, and every way in which they do not fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.labels.geometry import single_parts
from crispmap.labels.osm import preset_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors

SCHEMA = preset_schema()
ONE = ClassSchema((ClassDef("background", "#000000"), ClassDef("roof", "#ffffff")))
UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(1, 0, 450_000, 0, -1, 5_400_400), (400, 400))
HOUSE = shapely.box(450_100, 5_400_100, 450_120, 5_400_110)
STREET = shapely.LineString([(450_000, 5_400_200), (450_300, 5_400_210)])

OSM_XML = """<?xml version="1.0" encoding="UTF-8"?>
<osm version="0.6">
 <node id="1" lat="48.7530" lon="2.3200"/><node id="2" lat="48.7530" lon="2.3202"/>
 <node id="3" lat="48.7532" lon="2.3202"/><node id="4" lat="48.7532" lon="2.3200"/>
 <node id="5" lat="48.7540" lon="2.3210"><tag k="building" v="yes"/></node>
 <way id="10"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="yes"/></way>
 <way id="11"><nd ref="1"/><nd ref="3"/><tag k="highway" v="residential"/><tag k="width" v="5.5 m"/></way>
 <way id="12"><nd ref="2"/><nd ref="4"/><tag k="highway" v="tertiary"/><tag k="lanes" v="2"/></way>
 <way id="13"><nd ref="2"/><nd ref="4"/><tag k="highway" v="service"/><tag k="tunnel" v="yes"/></way>
 <way id="14"><nd ref="1"/><nd ref="4"/><tag k="highway" v="footway"/></way>
</osm>
"""


def features(**columns: list) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=[HOUSE, STREET], crs=UTM)


def tagged() -> gpd.GeoDataFrame:
    return features(building=["yes", None], highway=[None, "residential"], width=[None, "5 m"])


def write(frame: gpd.GeoDataFrame, path: Path, **options: Any) -> Path:
    pyogrio.write_dataframe(frame, path, **options)
    return path


# --- formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.fgb", "a.parquet", "a.json", "a.gml"])
@pytest.mark.parametrize("grid", [None, GRID])
def test_every_format_gives_the_same(tmp_path: Path, name: str, grid: Grid | None) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        tagged().to_parquet(path)
    elif path.suffix in (".geojson", ".json"):
        write(tagged().to_crs(4326), path, driver="GeoJSON")
    else:
        write(tagged(), path)
    found = read_vectors(path, SCHEMA, grid=grid).sort_values("class_id", ignore_index=True)
    assert list(found.columns) == ["geometry", "class_id", "width_m"]
    assert found["class_id"].tolist() == [1, 2]
    assert math.isnan(found["width_m"][0])
    assert found["width_m"][1] == 5
    assert found.crs == (UTM if grid is not None or "json" not in name else 4326)
    assert found.to_crs(UTM).geometry.area[0] == pytest.approx(200, rel=1e-4)


def test_shapefile_with_upper_case_names_and_no_prj(tmp_path: Path) -> None:
    path = write(features(BUILDING=["yes", None], HIGHWAY=[None, "primary"]).iloc[:1], tmp_path / "a.shp")
    assert len(read_vectors(path, SCHEMA, grid=GRID)) == 1
    (tmp_path / "a.prj").unlink()
    with pytest.raises(LabelError, match="no coordinate reference system"):
        read_vectors(path, SCHEMA, grid=GRID)
    found = read_vectors(path, SCHEMA, grid=GRID, options=LabelOptions(assume_crs="EPSG:32631"))
    assert found.geometry[0].equals(HOUSE)
    with pytest.raises(LabelError, match="not known"):
        read_vectors(path, SCHEMA, grid=GRID, options=LabelOptions(assume_crs="EPSG:99999"))


def test_osm_files_keep_their_other_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.osm"
    path.write_text(OSM_XML)
    found = read_vectors(path, SCHEMA)
    assert sorted(found["class_id"]) == [1, 2, 2]
    assert sorted(found["width_m"].dropna()) == [5.5, 7.0]
    assert set(found.geom_type) == {"Polygon", "LineString"}
    away = Grid(UTM, Affine(1, 0, 460_000, 0, -1, 5_400_400), (400, 400))
    with pytest.raises(LabelError, match="lies on the scene"):
        read_vectors(path, SCHEMA, grid=away)
    x, y = gpd.GeoSeries([shapely.Point(2.3201, 48.7531)], crs=4326).to_crs(UTM).iloc[0].coords[0]
    here = Grid(UTM, Affine(1, 0, x - 50, 0, -1, y + 50), (100, 100))
    assert len(read_vectors(path, SCHEMA, grid=here)) == 3


def test_osm_without_the_driver_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.osm.pbf"
    path.write_bytes(b"")
    monkeypatch.setattr(pyogrio, "list_drivers", dict)
    with pytest.raises(LabelError, match="OpenStreetMap"):
        read_vectors(path, SCHEMA)


def test_parquet_without_pyarrow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    tagged().to_parquet(path)

    def refuse(*_: object, **__: object) -> None:
        raise ImportError("pyarrow")

    monkeypatch.setattr(gpd, "read_parquet", refuse)
    with pytest.raises(LabelError, match="pyarrow"):
        read_vectors(path, SCHEMA)


def test_all_layers_are_read_unless_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write(tagged().iloc[:1], path, layer="houses")
    write(tagged().iloc[1:].to_crs(3857), path, layer="streets")
    write(gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.Point(0, 0)], crs=UTM), path, layer="trees")
    assert sorted(read_vectors(path, SCHEMA, grid=GRID)["class_id"]) == [1, 2]
    assert read_vectors(path, SCHEMA, grid=GRID, options=LabelOptions(layer="streets"))["class_id"].tolist() == [2]
    with pytest.raises(LabelError, match="no layer 'roads'"):
        read_vectors(path, SCHEMA, options=LabelOptions(layer="roads"))


# --- classes -----------------------------------------------------------------------------------------------------


def test_a_class_column_wins_over_tags(tmp_path: Path) -> None:
    frame = features(building=["yes", None], highway=[None, "primary"], Class=["ROAD", None])
    found = read_vectors(write(frame, tmp_path / "a.gpkg"), SCHEMA)
    assert found["class_id"].tolist() == [2, 2]


def test_the_only_class_without_rule_takes_everything(tmp_path: Path) -> None:
    path = write(features(x=[1, 2]), tmp_path / "a.gpkg")
    assert read_vectors(path, ONE)["class_id"].tolist() == [1, 1]


def test_all_as_takes_everything(tmp_path: Path) -> None:
    path = write(tagged(), tmp_path / "a.gpkg")
    assert read_vectors(path, SCHEMA, options=LabelOptions(all_as="building"))["class_id"].tolist() == [1, 1]
    with pytest.raises(SchemaError):
        read_vectors(path, SCHEMA, options=LabelOptions(all_as="hut"))


def test_no_feature_of_a_class_lists_columns_and_rules(tmp_path: Path) -> None:
    path = write(features(landuse=["x", "y"], name=["a", "b"]), tmp_path / "a.gpkg")
    with pytest.raises(LabelError) as error:
        read_vectors(path, SCHEMA, grid=GRID)
    assert "landuse, name" in str(error.value)
    assert "building=*" in str(error.value)


def test_a_class_that_nothing_can_match_is_an_error(tmp_path: Path) -> None:
    schema = ClassSchema((*SCHEMA.classes, ClassDef("pool", "#0000ff")))
    path = write(tagged(), tmp_path / "a.gpkg")
    with pytest.raises(LabelError, match="'pool' has no OSM rule"):
        read_vectors(path, schema)
    path = write(features(class_name=["pool", "building"]), tmp_path / "b.gpkg")
    assert read_vectors(path, schema)["class_id"].tolist() == [3, 1]


# --- geometries --------------------------------------------------------------------------------------------------


def test_geometries_become_valid_plane_single_parts(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    shapes = [
        shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 7, 7)]),
        bow,
        shapely.GeometryCollection([shapely.Point(1, 1), STREET, shapely.MultiPolygon([shapely.box(0, 0, 3, 3)])]),
        shapely.Point(3, 3),
        shapely.Polygon(),
        None,
        shapely.LineString([(0, 0, 5), (9, 9, 6)]),
    ]
    path = write(gpd.GeoDataFrame({"id": range(7)}, geometry=shapes, crs=UTM), tmp_path / "a.gpkg")
    with pytest.warns(CrispmapWarning, match=r"3 without usable .*feature 4 of a, Point"):
        found = read_vectors(path, ONE)
    assert sorted(found.geometry.area.round(6)) == [0, 0, 1, 4, 9, 25, 25]
    assert found.geometry.is_valid.all()
    assert not found.geometry.has_z.any()
    assert found.index.tolist() == list(range(7))


def test_repair_leaves_no_lines_of_polygons() -> None:
    spiked = shapely.Polygon([(0, 0), (10, 0), (10, 10), (20, 10), (10, 10), (0, 10)])
    endless = shapely.LineString([(0, 0), (math.inf, 1)])
    ring = shapely.LinearRing([(0, 0), (1, 0), (1, 1)])
    dot = shapely.LineString([(3, 3), (3, 3)])
    nested = shapely.GeometryCollection([shapely.GeometryCollection([shapely.MultiLineString([[(0, 0), (1, 1)]])])])
    parts, source = single_parts(np.array([spiked, endless, ring, dot, nested], dtype=object))
    assert [shape.geom_type for shape in parts] == ["Polygon", "LineString", "LineString"]
    assert source.tolist() == [0, 2, 4]
    assert parts[0].area == 100


def test_only_points_is_an_error(tmp_path: Path) -> None:
    points = gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.Point(450_100, 5_400_100)], crs=UTM)
    with pytest.raises(LabelError, match="holds a "):
        read_vectors(write(points, tmp_path / "a.gpkg"), SCHEMA)
    with pytest.raises(LabelError, match="no polygon or line"):
        read_vectors(write(points, tmp_path / "b.gpkg", layer="x"), SCHEMA, options=LabelOptions(layer="x"))


# --- place -------------------------------------------------------------------------------------------------------


def test_only_features_about_the_grid_are_read(tmp_path: Path) -> None:
    far = shapely.affinity.translate(HOUSE, 5000, 0)
    near = shapely.affinity.translate(HOUSE, -200, 0)
    frame = gpd.GeoDataFrame({"id": [1, 2, 3]}, geometry=[HOUSE, far, near], crs=UTM)
    frame.to_parquet(tmp_path / "a.parquet")
    for path in (write(frame, tmp_path / "a.gpkg"), tmp_path / "a.parquet"):
        assert len(read_vectors(path, ONE)) == 3
        found = read_vectors(path, ONE, grid=GRID)
        assert sorted(found.geometry.centroid.x) == [449_910, 450_110]


def test_elsewhere_shows_both_boxes(tmp_path: Path) -> None:
    path = write(tagged(), tmp_path / "a.gpkg")
    away = Grid(UTM, Affine(1, 0, 460_000, 0, -1, 5_400_400), (400, 400))
    with pytest.raises(LabelError, match=r"lon/lat 2\.\d+\.\.2\.\d+ / 48\.\d+\.\.48\.\d+; scene: 2\.4"):
        read_vectors(path, SCHEMA, grid=away)
    beside = Grid(UTM, Affine(1, 0, 450_310, 0, -1, 5_400_400), (100, 100))  # read with its neighbourhood, not on it
    with pytest.raises(LabelError, match="lies on the scene"):
        read_vectors(path, SCHEMA, grid=beside)


def test_swapped_axes_are_guessed(tmp_path: Path) -> None:
    frame = tagged().to_crs(4326)
    frame = frame.set_geometry(shapely.transform(frame.geometry.to_numpy(), lambda xy: xy[:, ::-1]))
    with pytest.raises(LabelError, match="swapped"):
        read_vectors(write(frame.set_crs(4326), tmp_path / "a.geojson"), SCHEMA, grid=GRID)


def test_geojson_in_metres_is_reported(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="crs"):
        path = write(tagged().set_crs(None, allow_override=True), tmp_path / "a.geojson")
    for grid in (GRID, None):
        with pytest.raises(LabelError, match="says its coordinates are degrees"):
            read_vectors(path, SCHEMA, grid=grid)
        found = read_vectors(path, SCHEMA, grid=grid, options=LabelOptions(assume_crs="EPSG:32631"))
        assert found["class_id"].tolist() == [1, 2]


def test_scene_without_crs(tmp_path: Path) -> None:
    plain = Grid(None, Affine.identity(), (100, 100))
    roof = gpd.GeoDataFrame({"id": [1]}, geometry=[shapely.box(10, 10, 20, 20)])
    with pytest.warns(UserWarning, match="crs"):
        bare = write(roof, tmp_path / "a.gpkg")
    assert read_vectors(bare, ONE, grid=plain).geometry[0].bounds == (10, 10, 20, 20)
    assert read_vectors(bare, ONE).crs is None
    said = write(roof.set_crs(4326), tmp_path / "b.geojson")
    with pytest.raises(LabelError, match="scene has no coordinate reference system"):
        read_vectors(said, ONE, grid=plain)
    assert len(read_vectors(said, ONE, grid=plain, options=LabelOptions(assume_crs="scene"))) == 1


def test_vectors_in_the_scenes_own_coordinates(tmp_path: Path) -> None:
    path = write(tagged(), tmp_path / "a.gpkg")
    found = read_vectors(path, SCHEMA, grid=GRID, options=LabelOptions(assume_crs="scene"))
    assert found.geometry[0].equals(HOUSE)


# --- files -------------------------------------------------------------------------------------------------------


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no file"):
        read_vectors(tmp_path / "no.gpkg", SCHEMA)
    for name in ("a.gpkg", "a.geojson", "a.parquet", "a.osm", "a.shp", "a.txt"):
        path = tmp_path / name
        path.write_bytes(b"this is nothing of the kind")
        with pytest.raises(LabelError, match="cannot be read"):
            read_vectors(path, SCHEMA)


def test_truncated_features(tmp_path: Path) -> None:
    many = gpd.GeoDataFrame(
        {"building": ["yes"] * 500},
        geometry=[shapely.Point(450_100, 5_400_100 + step).buffer(20) for step in range(500)],
        crs=UTM,
    )
    path = write(many, tmp_path / "a.fgb")
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(LabelError, match="cannot be read"):
        read_vectors(path, SCHEMA)


def test_empty_files(tmp_path: Path) -> None:
    path = write(tagged().iloc[:0], tmp_path / "a.gpkg", geometry_type="Polygon")
    for grid in (None, GRID):
        with pytest.raises(LabelError, match="holds no feature"):
            read_vectors(path, SCHEMA, grid=grid)


# --- real files --------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("path", "schema", "classes"),
    [
        ("banepa/banepa_osm_buildings.geojson", SCHEMA, {1: 971}),
        ("kampala/A_buildings.geojson", ONE, {1: 108}),
        ("spacenet/atlanta_buildings.geojson", SCHEMA, {1: 43}),
        ("spacenet/OSMroads_img1447.geojson", SCHEMA, {2: 10}),
        ("spacenet/AOI_2_Vegas_img0.geojson", ONE, {1: 38}),
    ],
)
def test_real_files(real_data: Path, path: str, schema: ClassSchema, classes: dict[int, int]) -> None:
    found = read_vectors(real_data / path, schema)
    assert found["class_id"].value_counts().to_dict() == classes
    if "Vegas" in path:
        assert set(found["width_m"]) <= {3.5 * lanes for lanes in range(1, 9)}


@pytest.mark.realdata
def test_real_buildings_without_any_column(real_data: Path) -> None:
    with pytest.raises(LabelError, match="Columns: none"):
        read_vectors(real_data / "kampala/A_buildings.geojson", SCHEMA)
