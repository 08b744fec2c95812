"""Closed ways with highway=* are lines, in every format, unless they say that they are areas."""

from __future__ import annotations

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
from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.labels.rasterize import rasterize
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors
from crispmap.types import LabelArray

SCHEMA = preset_schema()
UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(0.5, 0, 450_000, 0, -0.5, 5_400_100), (200, 200))
RING = shapely.Point(450_050, 5_400_050).buffer(30, quad_segs=4)
FORMATS = [".gpkg", ".geojson", ".fgb", ".shp", ".parquet", ".osm"]


def write(path: Path, shape: shapely.Polygon, tags: dict[str, str]) -> Path:
    frame = gpd.GeoDataFrame({key: [value] for key, value in tags.items()}, geometry=[shape], crs=UTM)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".osm":
        points = frame.to_crs(4326).geometry[0].exterior.coords[:-1]
        nodes = "".join(f'<node id="{k}" lon="{x:.9f}" lat="{y:.9f}"/>' for k, (x, y) in enumerate(points, 1))
        refs = "".join(f'<nd ref="{k}"/>' for k in [*range(1, len(points) + 1), 1])
        said = "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        path.write_text(f'<osm version="0.6">{nodes}<way id="1">{refs}{said}</way></osm>')
    else:
        (frame.to_crs(4326) if path.suffix == ".geojson" else frame).to_file(path)
    return path


def drawn(path: Path, schema: ClassSchema = SCHEMA, **options: str) -> LabelArray:
    return rasterize(read_vectors(path, schema, grid=GRID, options=LabelOptions(**options)), GRID, schema)


def ring(width_m: float = 7.0) -> LabelArray:
    lines = gpd.GeoDataFrame({"class_id": [2], "width_m": [width_m]}, geometry=[RING.exterior], crs=UTM)
    return rasterize(lines, GRID, SCHEMA)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("extra", [{}, {"junction": "roundabout"}, {"area": "no"}, {"width": "4"}])
def test_a_closed_way_is_its_outline(tmp_path: Path, suffix: str, extra: dict[str, str]) -> None:
    found = drawn(write(tmp_path / f"a{suffix}", RING, {"highway": "residential", **extra}))
    expected = ring(float(extra.get("width", 7)))
    assert (found != expected).sum() < 10  # degrees are written rounded
    assert found[100, 100] == 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_area_is_filled(tmp_path: Path, suffix: str) -> None:
    found = drawn(write(tmp_path / f"a{suffix}", RING, {"highway": "pedestrian", "area": "yes"}))
    assert (found == 2).sum() / 4 == pytest.approx(RING.area, rel=0.01)


@pytest.mark.parametrize(
    ("tags", "options"),
    [
        ({"highway": "pedestrian", "type": "multipolygon"}, {}),
        ({"class": "road", "highway": "residential"}, {}),
        ({"highway": "residential"}, {"all_as": "road"}),
    ],
)
def test_what_says_otherwise_is_filled(tmp_path: Path, tags: dict[str, str], options: dict[str, str]) -> None:
    assert drawn(write(tmp_path / "a.gpkg", RING, tags), **options)[100, 100] == 2


def test_an_area_by_another_tag_is_filled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", RING, {"building": "yes", "highway": "services"})
    assert drawn(path)[100, 100] == 1
    plaza = ClassSchema((SCHEMA[0], ClassDef("plaza", "#123456", ("place=square", "highway=pedestrian"))))
    path = write(tmp_path / "b.gpkg", RING, {"place": "square", "highway": "pedestrian"})
    assert drawn(path, plaza)[100, 100] == 1


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(3, 12), st.integers(0, 1 << 16))
def test_a_closed_way_is_drawn_as_the_line_round_it(tmp_path: Path, corners: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.random(corners)) * 2 * np.pi
    reach = rng.uniform(10, 45, corners)
    shape = shapely.Polygon(np.column_stack([np.cos(angles), np.sin(angles)]) * reach[:, None] + (450_050, 5_400_050))
    way = drawn(write(tmp_path / "way.parquet", shape, {"highway": "primary"}))
    assert np.array_equal(way, drawn(write(tmp_path / "line.parquet", shape.exterior, {"highway": "primary"})))
