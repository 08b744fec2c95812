"""Class maps to polygons in files, and back."""

from __future__ import annotations

import itertools
import json
import os
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GeoreferenceWarning, InputError, OutputError, SceneError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.labels.rasterize import rasterize
from crispmap.labels.vectors import read_vectors
from crispmap.polygons import vector_file
from crispmap.polygons.features import ClassPolygons
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vector_file import FORMATS
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.writer import class_map_writer, scores_writer

SCHEMA = ClassSchema(
    (ClassDef("background", "#f2efe9"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61", width_m=4.0))
)
GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 448_000, 0, -0.5, 5_411_000), (60, 80))


def town() -> NDArray[np.uint8]:
    rng = np.random.default_rng(4)
    values = np.zeros(GRID.shape, np.uint8)
    for _ in range(25):
        row, col = rng.integers(0, (50, 70))
        values[row : row + rng.integers(1, 9), col : col + rng.integers(1, 9)] = 1
    values[::17, 3:] = 2
    values[:, 40] = 2
    values[:6, :11] = 255
    return values


def write(path: Path, values: NDArray[np.uint8], grid: Grid = GRID) -> Path:
    with class_map_writer(path, grid, SCHEMA) as writer:
        writer.write(grid.block, values)
    return path


def write_plain(path: Path, values: NDArray[Any], **profile: Any) -> Path:
    bands = values if values.ndim == 3 else values[None]
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    place = {"crs": "EPSG:32631", "transform": GRID.transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **{**shape, **place, **profile}) as file:
            file.write(bands)
    return path


@pytest.fixture
def town_map(tmp_path: Path) -> Path:
    return write(tmp_path / "map.tif", town())


def read(path: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(path) if path.suffix == ".parquet" else pyogrio.read_dataframe(path, layer=path.stem)


def by_name(found: list[ClassPolygons]) -> dict[str, ClassPolygons]:
    return {one.name: one for one in found}


class TestLaws:
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_drawn_on_the_grid_of_the_map_the_polygons_are_the_map(
        self, tmp_path: Path, town_map: Path, suffix: str
    ) -> None:
        out = tmp_path / f"polygons{suffix}"
        vectorize_file(town_map, out, PolygonRules(("all",)))
        frame = read(out).to_crs(GRID.crs)
        drawn = rasterio.features.rasterize(
            zip(frame.geometry, frame["class_id"], strict=True), GRID.shape, fill=255, transform=GRID.transform
        )
        assert np.array_equal(drawn, town())

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_read_as_labels_they_are_the_map(self, tmp_path: Path, town_map: Path, suffix: str) -> None:
        out = tmp_path / f"polygons{suffix}"
        vectorize_file(town_map, out)
        drawn = rasterize(read_vectors(out, SCHEMA, grid=GRID), GRID, SCHEMA)
        assert np.array_equal(drawn, np.where(town() == 255, 0, town()))

    def test_a_file_does_not_depend_on_the_strips(self, tmp_path: Path, town_map: Path) -> None:
        for simplify_m in (0.0, 1.0):
            texts = set()
            for rows in (1, 7, 64):
                out = tmp_path / "polygons.geojson"
                rules = PolygonRules(("all",), simplify_m=simplify_m)
                vectorize_file(town_map, out, rules, strip_rows=rows, force=True)
                texts.add(out.read_text())
            assert len(texts) == 1

    def test_areas_add_up_to_the_pixels(self, tmp_path: Path, town_map: Path) -> None:
        found = vectorize_file(town_map, tmp_path / "polygons.gpkg", PolygonRules(("all",)))
        frame = read(tmp_path / "polygons.gpkg")
        pixel_m2 = np.prod(GRID.gsd_m())
        for one in found:
            assert one.area_m2 == pytest.approx((town() == one.class_id).sum() * pixel_m2, rel=1e-6)
            own = frame[frame["class_name"] == one.name]
            assert own["area_m2"].sum() == pytest.approx(one.area_m2)
            assert len(own) == one.polygons

    def test_without_crs_areas_are_those_of_the_pixels_exactly(self, tmp_path: Path) -> None:
        grid = Grid(None, Affine.identity(), GRID.shape)
        path = write(tmp_path / "map.tif", town(), grid)
        with pytest.warns(GeoreferenceWarning):
            found = vectorize_file(path, tmp_path / "polygons.gpkg", PolygonRules(("all",)))
        assert {one.class_id: one.area_m2 for one in found} == {i: float((town() == i).sum()) for i in range(3)}
        assert read(tmp_path / "polygons.gpkg").crs is None

    def test_simplifying_changes_outlines_but_neither_areas_nor_number(self, tmp_path: Path, town_map: Path) -> None:
        plain = vectorize_file(town_map, tmp_path / "plain.gpkg")
        simple = vectorize_file(town_map, tmp_path / "simple.gpkg", PolygonRules(simplify_m=2.0))
        assert [(one.name, one.polygons) for one in simple] == [(one.name, one.polygons) for one in plain]
        assert [one.area_m2 for one in simple] == pytest.approx([one.area_m2 for one in plain], rel=1e-8)
        frames = [read(tmp_path / name) for name in ("plain.gpkg", "simple.gpkg")]
        assert frames[0]["area_m2"].tolist() == pytest.approx(frames[1]["area_m2"].tolist(), rel=1e-8)
        assert frames[1].geometry.is_valid.all()
        assert frames[1].count_coordinates().sum() < frames[0].count_coordinates().sum()

    def test_large_maps_are_written_batch_by_batch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vector_file, "_BATCH", 40)
        monkeypatch.setattr("crispmap.polygons.vectorize._POINTS", 50)
        values = (np.indices(GRID.shape).sum(axis=0) % 2).astype(np.uint8)
        for suffix in FORMATS:
            out = tmp_path / f"polygons{suffix}"
            (found,) = vectorize_file(write_plain(tmp_path / "board.tif", values[:9, :20]), out, force=True)
            assert (found.polygons, len(read(out))) == (90, 90)


class TestFiles:
    def test_columns_and_crs(self, tmp_path: Path, town_map: Path) -> None:
        for suffix in FORMATS:
            out = tmp_path / f"polygons{suffix}"
            vectorize_file(town_map, out)
            frame = read(out)
            assert {"class_id", "class_name", "area_m2"} <= set(frame.columns)
            assert frame.crs == ("EPSG:4326" if suffix == ".geojson" else "EPSG:32631")
            assert set(frame.geom_type) == {"Polygon"}
            assert dict(zip(frame["class_id"], frame["class_name"], strict=True)) == {1: "building", 2: "road"}

    def test_geojson_is_rfc_7946(self, tmp_path: Path, town_map: Path) -> None:
        vectorize_file(town_map, tmp_path / "polygons.geojson")
        document = json.loads((tmp_path / "polygons.geojson").read_text())
        assert "crs" not in document
        x, y = document["features"][0]["geometry"]["coordinates"][0][0]
        assert (x, y) == pytest.approx((2.29, 48.85), abs=0.01)
        assert all(shapely.geometry.shape(one["geometry"]).exterior.is_ccw for one in document["features"])

    def test_geojson_of_fine_pixels_is_as_fine(self, tmp_path: Path) -> None:
        grid = Grid(GRID.crs, Affine(0.005, 0, 448_000, 0, -0.005, 5_411_000), GRID.shape)
        vectorize_file(write(tmp_path / "map.tif", town(), grid), tmp_path / "polygons.geojson")
        drawn = rasterize(read_vectors(tmp_path / "polygons.geojson", SCHEMA, grid=grid), grid, SCHEMA)
        assert np.array_equal(drawn, np.where(town() == 255, 0, town()))

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_no_polygon_is_an_empty_layer(self, tmp_path: Path, suffix: str) -> None:
        path = write(tmp_path / "map.tif", np.zeros(GRID.shape, np.uint8))
        out = tmp_path / f"polygons{suffix}"
        found = vectorize_file(path, out)
        assert [(one.name, one.polygons, one.area_m2) for one in found] == [("building", 0, 0.0), ("road", 0, 0.0)]
        assert len(read(out)) == 0

    def test_a_map_of_one_class_is_one_rectangle(self, tmp_path: Path) -> None:
        path = write(tmp_path / "map.tif", np.full(GRID.shape, 1, np.uint8))
        vectorize_file(path, tmp_path / "polygons.gpkg", strip_rows=9)
        frame = read(tmp_path / "polygons.gpkg")
        assert frame.geometry.iloc[0].equals(shapely.box(*GRID.bounds))
        assert len(frame) == 1
        assert frame.geometry.iloc[0].exterior.coords[:] == frame.geometry.iloc[0].exterior.coords[:5]

    def test_a_turned_map(self, tmp_path: Path) -> None:
        grid = Grid(GRID.crs, GRID.transform @ Affine.rotation(33), GRID.shape)
        vectorize_file(write(tmp_path / "map.tif", town(), grid), tmp_path / "polygons.gpkg")
        drawn = rasterize(read_vectors(tmp_path / "polygons.gpkg", SCHEMA, grid=grid), grid, SCHEMA)
        assert np.array_equal(drawn, np.where(town() == 255, 0, town()))

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_a_file_is_on_the_disk_before_it_appears(
        self, tmp_path: Path, town_map: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
    ) -> None:
        out = tmp_path / f"polygons{suffix}"
        before: list[int] = []

        def noting(handle: int) -> None:
            if not out.exists():
                before.append(os.fstat(handle).st_ino)

        monkeypatch.setattr(os, "fsync", noting)
        vectorize_file(town_map, out)
        assert out.stat().st_ino in before

    def test_an_older_file_stands_until_the_new_one_is_whole(
        self, tmp_path: Path, town_map: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "polygons.gpkg"
        out.write_text("older")
        with pytest.raises(OutputError, match="exists"):
            vectorize_file(town_map, out)

        def fail(*_: object, **__: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr(pyogrio, "write_dataframe", fail)
        with pytest.raises(OutputError, match="No space left"):
            vectorize_file(town_map, out, force=True)
        assert out.read_text() == "older"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "map.qml",
            "map.tif",
            "map.tif.aux.xml",
            "polygons.gpkg",
        ]
        monkeypatch.undo()
        Path(f"{out}-wal").write_text("of the older file")
        vectorize_file(town_map, out, force=True)
        assert len(read(out)) > 5
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "map.qml",
            "map.tif",
            "map.tif.aux.xml",
            "polygons.gpkg",
        ]

    def test_a_damaged_map_leaves_nothing(self, tmp_path: Path) -> None:
        path = write_plain(tmp_path / "map.tif", np.ones((900, 900), np.uint8))
        path.write_bytes(path.read_bytes()[:500_000])
        with pytest.raises(SceneError, match="cannot be read at rows"):
            vectorize_file(path, tmp_path / "polygons.gpkg", strip_rows=100)
        assert [one.name for one in tmp_path.iterdir()] == ["map.tif"]


class TestClasses:
    def test_by_name_by_id_all_or_all_but_the_background(self, tmp_path: Path, town_map: Path) -> None:
        number = itertools.count()

        def names(*classes: str) -> list[str]:
            rules = PolygonRules(classes or None)
            return [one.name for one in vectorize_file(town_map, tmp_path / f"{next(number)}.gpkg", rules)]

        assert names() == ["building", "road"]
        assert names("road") == names("2") == names("road", "2") == ["road"]
        assert names("all") == ["background", "building", "road"]
        assert names("0") == ["background"]

    def test_small_polygons_are_left_out_and_counted(self, tmp_path: Path, town_map: Path) -> None:
        every = by_name(vectorize_file(town_map, tmp_path / "a.gpkg"))["building"]
        some = by_name(vectorize_file(town_map, tmp_path / "b.gpkg", PolygonRules(min_area_m2=5)))["building"]
        assert 0 < some.left_out < every.polygons
        assert some.polygons + some.left_out == every.polygons
        assert some.area_m2 + some.left_out_m2 == pytest.approx(every.area_m2)
        frame = read(tmp_path / "b.gpkg")
        assert frame["area_m2"].min() >= 5

    @pytest.mark.parametrize("classes", [("hut",), ("3",), ("-1",), ("building", "x"), ()])
    def test_unknown_classes_are_reported(self, tmp_path: Path, town_map: Path, classes: tuple[str, ...]) -> None:
        with pytest.raises(SchemaError):
            vectorize_file(town_map, tmp_path / "a.gpkg", PolygonRules(classes))
        assert not (tmp_path / "a.gpkg").exists()

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float32, np.float64])
    def test_any_raster_of_whole_numbers(self, tmp_path: Path, dtype: Any) -> None:
        values = np.array([[7, 7, 0], [100, 7, 0]], dtype)
        path = write_plain(tmp_path / "plain.tif", values, nodata=100)
        found = vectorize_file(path, tmp_path / "a.gpkg", PolygonRules(("all",)))
        assert [(one.class_id, one.name, one.polygons) for one in found] == [(0, "0", 1), (7, "7", 1)]
        with pytest.raises(SchemaError, match="building"):
            vectorize_file(path, tmp_path / "b.gpkg", PolygonRules(("building",)))

    def test_a_mask_of_0_and_255_without_nodata(self, tmp_path: Path) -> None:
        path = write_plain(tmp_path / "mask.tif", np.array([[0, 255], [255, 0]], np.uint8))
        assert [one.polygons for one in vectorize_file(path, tmp_path / "a.gpkg")] == [2]

    def test_nan_is_no_class(self, tmp_path: Path) -> None:
        path = write_plain(tmp_path / "plain.tif", np.array([[1, np.nan]], np.float32))
        assert [one.polygons for one in vectorize_file(path, tmp_path / "a.gpkg")] == [1]


class TestMistakes:
    @pytest.mark.parametrize(
        "values",
        [
            np.full((4, 4), 0.5, np.float32),
            np.full((4, 4), 2**31 + 5, np.uint32),
            np.full((4, 4), np.inf, np.float32),
            np.ones((3, 4, 4), np.uint8),
            np.ones((4, 4), np.complex64),
        ],
    )
    def test_rasters_that_hold_no_classes(self, tmp_path: Path, values: NDArray[Any]) -> None:
        path = write_plain(tmp_path / "image.tif", values)
        with pytest.raises(SceneError):
            vectorize_file(path, tmp_path / "a.gpkg")
        assert [one.name for one in tmp_path.iterdir()] == ["image.tif"]

    def test_scores(self, tmp_path: Path) -> None:
        with scores_writer(tmp_path / "scores.tif", GRID, ["a"]) as writer:
            writer.write(GRID.block, np.zeros(GRID.shape, np.float32))
        with pytest.raises(SceneError, match="scores"):
            vectorize_file(tmp_path / "scores.tif", tmp_path / "a.gpkg")

    def test_no_map(self, tmp_path: Path) -> None:
        (tmp_path / "text.tif").write_text("no raster")
        for name in ("text.tif", "missing.tif", "."):
            with pytest.raises(SceneError):
                vectorize_file(tmp_path / name, tmp_path / "a.gpkg")

    @pytest.mark.parametrize("name", ["a.shp", "a", "a.tif", "missing/a.gpkg"])
    def test_no_place_to_write(self, tmp_path: Path, town_map: Path, name: str) -> None:
        with pytest.raises(OutputError):
            vectorize_file(town_map, tmp_path / name)

    def test_the_map_is_not_overwritten(self, tmp_path: Path, town_map: Path) -> None:
        with pytest.raises(OutputError, match="also an input"):
            vectorize_file(town_map, town_map, force=True)

    def test_geojson_needs_a_place_on_earth(self, tmp_path: Path) -> None:
        path = write(tmp_path / "map.tif", town(), Grid(None, Affine.scale(2), GRID.shape))
        with pytest.raises(OutputError, match="degrees"):
            vectorize_file(path, tmp_path / "a.geojson")

    def test_parquet_needs_pyarrow(self, tmp_path: Path, town_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(OutputError, match="pyarrow is not installed"):
            vectorize_file(town_map, tmp_path / "a.parquet")

    @pytest.mark.parametrize("rules", [{"min_area_m2": -1}, {"simplify_m": float("nan")}])
    def test_numbers_that_make_no_sense(self, rules: dict[str, float]) -> None:
        with pytest.raises(InputError):
            PolygonRules(**rules)


@pytest.mark.realdata
def test_a_real_speckled_mask_comes_back_whole(tmp_path: Path, real_data: Path) -> None:
    path = next(real_data.glob("landsat/**/corumba_burned_dNBR027.tif"))
    with rasterio.open(path) as file:
        values, mask, transform, crs = file.read(1), file.read_masks(1), file.transform, file.crs
    found = vectorize_file(path, tmp_path / "burned.fgb", PolygonRules(("all",)))
    frame = read(tmp_path / "burned.fgb")
    shapes = zip(frame.geometry, frame["class_id"], strict=True)
    drawn = rasterio.features.rasterize(shapes, values.shape, fill=77, transform=transform, dtype=np.uint8)
    assert np.array_equal(drawn, np.where(mask, values, 77))
    assert frame.crs == crs
    assert frame.geometry.is_valid.all()
    pixel_m2 = abs(transform.determinant)
    for one in found:  # UTM: true to its scale
        assert one.area_m2 == pytest.approx(((values == one.class_id) & (mask > 0)).sum() * pixel_m2, rel=2e-3)
