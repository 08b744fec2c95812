"""The style of polygons, in a GeoPackage and beside other formats."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, OutputError
from crispmap.geo.grid import Grid
from crispmap.labels.rasterize import rasterize
from crispmap.labels.vectors import read_vectors
from crispmap.polygons import vector_file
from crispmap.polygons.vector_file import FORMATS
from crispmap.polygons.vectorize import PolygonRules, vectorize_file
from crispmap.raster.writer import class_map_writer

SCHEMA = ClassSchema(
    (ClassDef("ground", "#ffffff"), ClassDef('a "b", <c> & \u200fd', "#d7191c"), ClassDef("road", "#fdae61"))
)
GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 448_000, 0, -0.5, 5_411_000), (30, 40))


@pytest.fixture
def town_map(tmp_path: Path) -> Path:
    values = np.zeros(GRID.shape, np.uint8)
    values[3:9, 3:9], values[20] = 1, 2
    with class_map_writer(tmp_path / "map.tif", GRID, SCHEMA) as writer:
        writer.write(GRID.block, values)
    return tmp_path / "map.tif"


def categories(text: str | bytes) -> list[tuple[str, str]]:
    return [(one.attrib["value"], one.attrib["label"]) for one in ET.fromstring(text).iter("category")]


def saved(path: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(path)) as database:
        (row,) = database.execute(
            "SELECT f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        )
    return tuple(row)


def test_a_geopackage_holds_it_as_qgis_saves_it(town_map: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.gpkg"  # beside the style of the raster, which is no hindrance
    vectorize_file(town_map, out)
    *place, text = saved(out)
    assert place == ["", "map", "geom", 1]
    assert categories(text) == [("1", SCHEMA[1].name), ("2", "road")]
    assert pyogrio.list_layers(out).tolist() == [["map", "Polygon"], ["layer_styles", None]]
    assert len(pyogrio.read_dataframe(out, layer="layer_styles")) == 1


def test_a_geopackage_with_a_style_reads_as_labels(town_map: Path, tmp_path: Path) -> None:
    vectorize_file(town_map, tmp_path / "a.gpkg")
    with rasterio.open(town_map) as file:
        assert np.array_equal(
            rasterize(read_vectors(tmp_path / "a.gpkg", SCHEMA, grid=GRID), GRID, SCHEMA), file.read(1)
        )


def test_a_layer_that_has_the_name_of_the_table_has_none(town_map: Path, tmp_path: Path) -> None:
    vectorize_file(town_map, tmp_path / "Layer_Styles.gpkg")
    assert len(pyogrio.read_dataframe(tmp_path / "Layer_Styles.gpkg")) == 2


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - {".gpkg"}))
def test_other_formats_have_it_beside_them(town_map: Path, tmp_path: Path, suffix: str) -> None:
    vectorize_file(town_map, tmp_path / f"a{suffix}", PolygonRules(("road", "ground")))
    assert categories((tmp_path / "a.qml").read_bytes()) == [("0", "ground"), ("2", "road")]


def test_the_style_of_the_map_is_kept(town_map: Path, tmp_path: Path) -> None:
    before = (tmp_path / "map.qml").read_bytes()
    with pytest.warns(CrispmapWarning, match=r"map\.qml"):
        vectorize_file(town_map, tmp_path / "map.geojson")
    assert (tmp_path / "map.qml").read_bytes() == before
    assert len(pyogrio.read_dataframe(tmp_path / "map.geojson")) == 2


def test_ids_without_names_have_none(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "ids.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", crs="EPSG:32631",
        transform=GRID.transform,
    ) as file:  # fmt: skip
        file.write(np.full((1, 8, 8), 3, np.uint8))
    for name in ("a.gpkg", "a.geojson"):
        vectorize_file(tmp_path / "ids.tif", tmp_path / name)
    assert [one.suffix for one in sorted(tmp_path.iterdir())] == [".geojson", ".gpkg", ".tif"]
    assert len(pyogrio.list_layers(tmp_path / "a.gpkg")) == 1


def test_a_disk_that_fails_meanwhile_leaves_nothing(
    town_map: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(vector_file, "save_style", fail)
    with pytest.raises(OutputError):
        vectorize_file(town_map, tmp_path / "a.gpkg")
    assert not list(tmp_path.glob("*a.gpkg*"))
