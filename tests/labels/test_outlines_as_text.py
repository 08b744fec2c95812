"""Outlines as text: what others wrote is read alike by GDAL, a box only leaves out, and every line counts."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import LabelError
from crispmap.labels.describe import describe_vectors
from crispmap.labels.layers import drawn_layers, layer_box, read_layer
from crispmap.labels.outlines_as_text import text_outlines
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors

BUILDING = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))
HUT = shapely.box(36.0, -1.0, 36.001, -0.999)
GOOGLE = ("latitude", "longitude", "area_in_meters", "confidence", "geometry", "full_plus_code")

places = st.floats(-170, 170).map(lambda value: round(value, 6))
huts = st.tuples(places, st.floats(-80, 80).map(lambda value: round(value, 6))).map(
    lambda corner: shapely.box(corner[0], corner[1], corner[0] + 0.5, corner[1] + 0.25)
)
texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)
features = st.lists(st.tuples(huts, texts), min_size=1, max_size=8)


def table_text(
    rows: list[Any], names: tuple[str, ...] = ("name", "geometry", "lat", "lon"), delimiter: str = ","
) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows([names, *rows])
    return buffer.getvalue()


def lines_text(rows: list[tuple[Any, str]]) -> str:
    def one(shape: Any, name: str) -> str:
        geometry = json.loads(shapely.to_geojson(shape))
        return json.dumps({"type": "Feature", "properties": {"name": name}, "geometry": geometry})

    return "".join(f"{one(shape, name)}\n" for shape, name in rows)


def as_table(rows: list[tuple[Any, str]]) -> tuple[str, str]:
    return "a.csv", table_text([(name, shape.wkt, 1, 2) for shape, name in rows])


def as_lines(rows: list[tuple[Any, str]]) -> tuple[str, str]:
    return "a.geojsonl", lines_text(rows)


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path: Path, box: tuple[float, float, float, float] | None = None) -> gpd.GeoDataFrame:
    (layer,) = drawn_layers(path)
    return read_layer(layer, ("name",), box)


@pytest.mark.parametrize("form", [as_table, as_lines])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=features)
def test_gdal_reads_the_same_and_packing_changes_nothing(
    form: Callable[..., tuple[str, str]], rows: list[tuple[Any, str]], tmp_path: Path
) -> None:
    name, text = form(rows)
    found, packed = read(write(tmp_path / name, text)), read(write(tmp_path / f"{name}.gz", text))
    options = {"GEOM_POSSIBLE_NAMES": "geometry", "AUTODETECT_TYPE": "NO"} if name.endswith(".csv") else {}
    theirs = pyogrio.read_dataframe(tmp_path / name, **options)
    for one in (found, packed):
        assert shapely.equals(one.geometry.to_numpy(), theirs.geometry.to_numpy()).all()
        assert one["name"].tolist() == [name for _, name in rows]
        assert one.crs == CRS.from_epsg(4326)


@pytest.mark.parametrize("form", [as_table, as_lines])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=features, corner=huts)
def test_a_box_leaves_out_what_does_not_touch_it(
    form: Callable[..., tuple[str, str]], rows: list[tuple[Any, str]], corner: Any, tmp_path: Path
) -> None:
    name, text = form(rows)
    path, box = write(tmp_path / name, text), tuple(corner.buffer(20).bounds)
    expected = [name for shape, name in rows if shape.intersects(shapely.box(*box))]
    assert read(path, box)["name"].tolist() == expected  # type: ignore[arg-type]
    whole = shapely.total_bounds(np.array([shape for shape, _ in rows]))
    np.testing.assert_allclose(layer_box(drawn_layers(path)[0]), whole)  # type: ignore[arg-type]


def test_the_files_of_google_and_microsoft_are_labels_as_they_come(tmp_path: Path) -> None:
    google = write(tmp_path / "9b9_buildings.csv.gz", table_text([(-1, 36, 5.5, 0.7, HUT.wkt, "6G")], GOOGLE))
    microsoft = write(tmp_path / "part-00001.csv.gz", lines_text([(HUT, "x")]))
    plain = write(tmp_path / "unknown.gz", lines_text([(HUT, "x")]))
    for path in (google, microsoft, plain):
        found = read_vectors(path, BUILDING)
        assert found.geometry[0].equals(HUT)
        assert found["class_id"].tolist() == [1]
        (facts,) = describe_vectors(path).layers
        assert (facts.geometry, facts.features, facts.bounds) == ("Polygon", 1, HUT.bounds)
    assert describe_vectors(google).layers[0].fields == tuple(name for name in GOOGLE if name != "geometry")


def test_a_gzipped_file_of_a_format_of_gdal_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(gpd.GeoSeries([HUT]).to_json().encode()))
    assert read_vectors(tmp_path / "a.geojson.gz", BUILDING).geometry[0].equals(HUT)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_byte_order_marks_and_lines_within_cells(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeff" + table_text([('two\nlines "', HUT.wkt, "x,y", 1)], delimiter=delimiter)
    assert read(write(tmp_path / "a.csv", text))["name"].tolist() == ['two\nlines "']


def test_the_crs_is_that_of_the_geometries_or_of_a_file_beside_or_unknown(tmp_path: Path) -> None:
    def crs_of(name: str, geometry: str) -> CRS | None:
        return drawn_layers(write(tmp_path / name, table_text([("x", geometry)], ("name", "geom"))))[0].crs

    square = shapely.box(500_000, 0, 500_010, 10)
    assert crs_of("a.csv", f"SRID=32637;{square.wkt}") == CRS.from_epsg(32637)
    assert crs_of("b.csv", shapely.to_wkb(shapely.set_srid(square, 32637), hex=True, include_srid=True)) == CRS(32637)
    assert crs_of("c.csv", square.wkt) is None
    (tmp_path / "d.prj").write_text(CRS(32637).to_wkt("WKT1_ESRI"))
    assert crs_of("d.csv", square.wkt).to_epsg() == 32637  # type: ignore[union-attr]
    found = read_vectors(tmp_path / "c.csv", BUILDING, options=LabelOptions(assume_crs="EPSG:32637"))
    assert found.crs == CRS(32637)


def test_an_outline_longer_than_a_field_of_python_may_be(tmp_path: Path) -> None:
    ring = shapely.Point(36, -1).buffer(1, quad_segs=2000)
    path = write(tmp_path / "a.csv", table_text([("x", ring.wkt, 1, 2)]))
    limit = csv.field_size_limit()
    assert len(ring.wkt) > limit
    assert read(path).geometry.iloc[0].equals_exact(ring, 1e-9)
    assert csv.field_size_limit() == limit


def test_features_without_geometry_are_kept_to_be_counted(tmp_path: Path) -> None:
    text = lines_text([(HUT, "x")]) + '{"type": "Feature", "properties": null, "geometry": null}\n\n'
    for name, content in (("a.ndjson", text), ("a.csv", table_text([("x", HUT.wkt, 1, 2), ("y", "", 1, 2)]))):
        assert read(write(tmp_path / name, content), (0, 0, 1, 1)).geometry.isna().tolist() == [True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", table_text([("x", HUT.wkt, 1, 2), ("y", "POLYGON((1 2", 1, 2), ("z", HUT.wkt, 1)])),
        ("a.csv", table_text([("x", f"SRID=4326;{HUT.wkt}", 1, 2), ("y", f"SRID=32637;{HUT.wkt}", 1, 2), ("z",)])),
        ("a.geojsonl", lines_text([(HUT, "x")]) + '{"type": "Feature", "prop\n[1, 2]\n'),
        ("a.csv.gz", lines_text([(HUT, "x")]) + '{"type": "Feature", "geometry": {"type": "Polygon"}}\n7\n'),
    ],
)
def test_lines_that_cannot_be_read_are_counted(tmp_path: Path, name: str, text: str) -> None:
    path = write(tmp_path / name, text)
    for work in (lambda: read_vectors(path, BUILDING), lambda: describe_vectors(path)):
        with pytest.raises(LabelError, match=r"2 of 3 lines.*the first is line"):
            work()


def test_damaged_and_foreign_files_are_errors(tmp_path: Path) -> None:
    whole = gzip.compress(lines_text([(HUT, str(index)) for index in range(3000)]).encode())
    for name, content in {
        "cut": whole[:-200],
        "flipped": whole[:900] + b"\xff" * 40 + whole[940:],
        "no": b"x" * 99,
    }.items():
        (tmp_path / f"{name}.csv.gz").write_bytes(content)
        with pytest.raises(LabelError):
            read_vectors(tmp_path / f"{name}.csv.gz", BUILDING)
    (tmp_path / "a.csv").write_bytes(table_text([("é", HUT.wkt, 1, 2)]).encode("cp1252"))
    with pytest.raises(LabelError, match="encoding"):
        read_vectors(tmp_path / "a.csv", BUILDING)
    assert len(read_vectors(tmp_path / "a.csv", BUILDING, options=LabelOptions(encoding="cp1252"))) == 1
    with pytest.raises(LabelError, match="at an address"):
        read_vectors("https://example.org/a.csv.gz", BUILDING)
    assert text_outlines(write(tmp_path / "b.csv", "")) is None


def test_answers_of_overpass_that_cannot_be_read_say_what_to_ask_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"version": 0.6, "generator": "Overpass API", "elements": []}')
    (tmp_path / "a.osm").write_text(
        '<?xml version="1.0"?><osm version="0.6"><way id="1"><nd ref="1" lat="1" lon="2"/>'
        '<tag k="building" v="yes"/></way></osm>'
    )
    for name in ("a.json", "a.osm"):
        with pytest.raises(LabelError) as error:
            read_vectors(tmp_path / name, BUILDING)
        assert "[out:xml]" in error.value.remedy
