"""Presets on files: classes found by name, confidence of regions and parts, what is refused, before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import random_maps
import shapely
from numpy.typing import NDArray
from scipy import ndimage

import crispmap
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GridError, InputError, SceneError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vector_file import FORMATS
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.spec import RasterSpec, confidence_spec
from crispmap.raster.writer import RasterWriter, class_map_writer, scores_writer

GRID = random_maps.grid_of(0.5, (120, 160))


def street() -> NDArray[np.uint8]:
    """A street with a speck beside it, and two touching houses with a hole."""
    values = np.zeros(GRID.shape, np.uint8)
    values[80:92] = 2
    values[20:50, 20:50], values[20:50, 50:80] = 1, 1
    values[30:32, 30:32] = 0
    values[5, 100], values[100, 100] = 1, 2
    return values


def scores_of(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    logits = np.stack([np.where(values == one, 4.0, -4.0) for one in range(3)]).astype(np.float32)
    logits[:, 20:50, 49:51] = np.array([0.0, 0.1, -4.0])[:, None, None]
    return logits


@pytest.fixture
def town(tmp_path: Path) -> Path:
    random_maps.write_map(tmp_path / "map.tif", street(), GRID)
    with scores_writer(tmp_path / "scores.tif", GRID, random_maps.SCHEMA.names) as writer:
        writer.write(GRID.block, scores_of(street()))
    return tmp_path


def drawn(folder: Path, name: str = "out.gpkg", **rules: object) -> object:
    vectorize_file(folder / "map.tif", folder / name, PolygonRules(**rules), force=True)  # type: ignore[arg-type]
    return pyogrio.read_dataframe(folder / name, layer=Path(name).stem)


def test_houses_lose_specks_and_holes_and_come_apart_where_the_scores_sink(town: Path) -> None:
    whole = drawn(town, preset="buildings")
    assert whole.class_name.tolist() == ["building"]
    assert whole.area_m2.tolist() == pytest.approx([450], rel=1e-3)
    assert len(whole.geometry[0].exterior.coords) == 5
    assert "confidence" not in whole
    halves = drawn(town, preset="buildings", scores=town / "scores.tif")
    assert halves.area_m2.tolist() == pytest.approx([225, 225], rel=0.04)
    one, other = halves.geometry
    assert one.intersection(other).area == 0
    assert one.intersection(other).length == pytest.approx(15, abs=0.1)  # one wall
    assert one.union(other).area == pytest.approx(whole.geometry[0].area)
    assert halves.confidence.between(0.9, 1).all()


def test_streets_are_lines_with_length_and_width(town: Path) -> None:
    (figures,) = vectorize_file(town / "map.tif", town / "r.gpkg", PolygonRules(preset="roads"))
    found = pyogrio.read_dataframe(town / "r.gpkg", layer="r")
    assert set(found.geom_type) == {"LineString"}
    assert found.length_m.tolist() == pytest.approx([80], abs=0.2)
    assert found.width_m.tolist() == pytest.approx([6], abs=0.3)
    assert (figures.polygons, figures.length_m) == (1, pytest.approx(80, abs=0.2))


def test_land_cover_covers_the_map(town: Path) -> None:
    found = drawn(town, preset="landcover", min_area_m2=0.0)
    assert found.area_m2.sum() == pytest.approx(60 * 80, rel=2e-3)
    assert len(found) == 4  # the street, both sides of it, and the houses; their hole is smaller than 25 pixels


def test_numbers_given_count_instead_of_those_of_the_preset(town: Path) -> None:
    assert len(drawn(town, preset="buildings", sieve_m2=0.0, fill_holes_m2=0.0)) == 2
    assert len(drawn(town, preset="buildings", sieve_m2=0.5, fill_holes_m2=0.0).geometry[0].interiors) == 1


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("preset", ["buildings", "roads", "landcover"])
def test_presets_write_every_format(town: Path, preset: str, suffix: str) -> None:
    vectorize_file(town / "map.tif", town / f"o{suffix}", PolygonRules(preset=preset))  # type: ignore[arg-type]
    if suffix != ".parquet":
        assert pyogrio.read_info(town / f"o{suffix}", layer="o")["geometry_type"] == (
            "LineString" if preset == "roads" else "Polygon"
        )


def test_the_mean_confidence_is_that_of_the_pixels(tmp_path: Path) -> None:
    values = random_maps.blobs(2, GRID.shape)
    random_maps.write_map(tmp_path / "map.tif", values, GRID)
    sure = np.random.default_rng(0).random((2, *GRID.shape)).astype(np.float16)
    sure[:, ::7] = np.nan
    with RasterWriter(confidence_spec(tmp_path / "sure.tif", GRID, 3, {})) as writer:
        writer.write(GRID.block, sure)
    rules = PolygonRules(("all",), confidence=tmp_path / "sure.tif")
    vectorize_file(tmp_path / "map.tif", tmp_path / "o.gpkg", rules, strip_rows=11)
    found = pyogrio.read_dataframe(tmp_path / "o.gpkg", layer="o")
    cols, rows = np.meshgrid(np.arange(GRID.width) + 0.5, np.arange(GRID.height) + 0.5)
    x, y = GRID.transform @ (cols, rows)
    for shape, confidence in list(zip(found.geometry, found.confidence, strict=True))[::17]:
        inside = shapely.contains_xy(shape, x, y)
        own = sure[0][inside].astype(np.float64)
        assert confidence == pytest.approx(np.nanmean(own)) if np.isfinite(own).any() else np.isnan(confidence)


def test_the_confidence_of_scores_is_the_largest_probability(town: Path) -> None:
    found = drawn(town, classes=("road",), confidence=town / "scores.tif")
    likely = np.exp(4) / (np.exp(4) + 2 * np.exp(-4))
    assert found.confidence.tolist() == pytest.approx([likely, likely], abs=1e-5)


def test_scores_that_can_be_read_in_two_ways_are_refused_without_options_that_polygons_lack(town: Path) -> None:
    with RasterWriter(RasterSpec(town / "odd.tif", GRID, count=3, dtype=np.uint8, nodata=None)) as writer:
        writer.write(GRID.block, np.full((3, *GRID.shape), 200, np.uint8))
    with pytest.raises(SceneError) as caught:
        drawn(town, confidence=town / "odd.tif")
    assert "kind=" not in caught.value.remedy


def test_other_pixels_and_other_classes_are_refused(town: Path) -> None:
    other = Grid(GRID.crs, GRID.transform, (60, 80))
    with scores_writer(town / "small.tif", other, random_maps.SCHEMA.names) as writer:
        writer.write(other.block, scores_of(street())[:, :60, :80])
    with scores_writer(town / "two.tif", GRID, ("background", "building")) as writer:
        writer.write(GRID.block, scores_of(street())[:2])
    for option in ("confidence", "scores"):
        with pytest.raises(GridError):
            drawn(town, preset="buildings", **{option: town / "small.tif"})
        with pytest.raises(SceneError):
            drawn(town, preset="buildings", **{option: town / "map.tif"})
        with pytest.raises(SceneError):
            drawn(town, preset="buildings", **{option: town / "missing.tif"})
    with pytest.raises(SchemaError):
        drawn(town, preset="buildings", scores=town / "two.tif")
    with pytest.raises(InputError):
        drawn(town, preset="roads", scores=town / "scores.tif")
    with pytest.raises(InputError):
        drawn(town, preset="forests")
    assert not (town / "out.gpkg").exists()


def test_a_confidence_raster_is_not_taken_for_scores(town: Path) -> None:
    with RasterWriter(confidence_spec(town / "sure.tif", GRID, 3, {})) as writer:
        writer.write(GRID.block, np.ones((2, *GRID.shape), np.float16))
    with pytest.raises(SchemaError):
        drawn(town, preset="buildings", scores=town / "sure.tif")


@pytest.mark.parametrize(
    ("names", "found"),
    [(("background", "houses"), "houses"), (("other", "Building", "road"), "Building"), (("a", "b", "c"), None)],
)
def test_the_class_of_a_preset_is_found_by_name(tmp_path: Path, names: tuple[str, ...], found: str | None) -> None:
    schema = ClassSchema(tuple(ClassDef(name, f"#00000{number}") for number, name in enumerate(names)))
    with class_map_writer(tmp_path / "map.tif", GRID, schema) as writer:
        writer.write(GRID.block, street() % len(names))
    if found is None:
        with pytest.raises(SchemaError):
            drawn(tmp_path, preset="buildings")
        assert len(drawn(tmp_path, preset="buildings", classes=("1",))) == 1
    else:
        assert set(drawn(tmp_path, preset="buildings").class_name) == {found}


def test_footprints_beside_roads_do_not_overlap_them(tmp_path: Path) -> None:
    """Where a building shares a border with a region that is written too, both keep it."""
    values = random_maps.blobs(6)
    random_maps.write_map(tmp_path / "map.tif", values, random_maps.grid_of(0.5, values.shape))
    found = drawn(tmp_path, preset="buildings", classes=("building", "road"), sieve_m2=5.0)
    shapes = np.array(found.geometry, object)
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert shapely.area(shapely.intersection(shapes[one], shapes[other]))[one < other].max() < 1e-6
    assert set(found.class_name) == {"building", "road"}


def test_strips_change_nothing(tmp_path: Path) -> None:
    values = random_maps.blobs(1)
    grid = random_maps.grid_of(0.5, values.shape)
    random_maps.write_map(tmp_path / "map.tif", values, grid)
    rng = np.random.default_rng(1)
    with scores_writer(tmp_path / "s.tif", grid, random_maps.SCHEMA.names) as writer:
        logits = np.stack([6.0 * (values == one) for one in range(3)]) + rng.normal(size=(3, *values.shape))
        writer.write(grid.block, ndimage.gaussian_filter(logits, (0, 1, 1)).astype(np.float32))
    found = []
    for rows in (13, 500):
        rules = PolygonRules(preset="buildings", scores=tmp_path / "s.tif")
        vectorize_file(tmp_path / "map.tif", tmp_path / "o.gpkg", rules, strip_rows=rows, force=True)
        found.append(pyogrio.read_dataframe(tmp_path / "o.gpkg", layer="o"))
    assert len(found[0]) > 2
    assert found[0].equals(found[1])


def test_from_python_with_an_array() -> None:
    values = street()
    found = crispmap.vectorize(values, classes=["background", "building", "road"], gsd_m=0.5, preset="roads")
    assert found.length_m.tolist() == pytest.approx([80], abs=0.2)
    with pytest.raises(TypeError):
        crispmap.vectorize(values, classes=["a", "b", "c"], gsd_m=0.5, presets="roads")  # type: ignore[call-arg]


@pytest.mark.parametrize("gsd_m", random_maps.GSDS_M)
def test_land_cover_has_neither_gaps_nor_overlaps(tmp_path: Path, gsd_m: float) -> None:
    for seed, degrees in ((0, False), (1, True), (4, False)):
        values = random_maps.blobs(seed)
        grid = random_maps.grid_of(gsd_m, values.shape, degrees=degrees)
        random_maps.write_map(tmp_path / "map.tif", values, grid)
        exact, found = (drawn(tmp_path, preset="landcover", simplify_m=length) for length in (0.0, 2 * gsd_m))
        shapes = np.array(found.geometry, object)
        assert shapely.is_valid(shapes).all()
        assert shapely.get_num_coordinates(shapes).sum() < 0.5 * shapely.get_num_coordinates(exact.geometry).sum()
        pixel = abs(grid.transform.determinant)
        one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        shared = shapely.area(shapely.intersection(shapes[one], shapes[other]))[one < other]
        assert shared.max(initial=0) < 1e-6 * pixel
        whole = shapely.union_all(shapes)
        assert shapely.area(shapes).sum() == pytest.approx(whole.area, rel=1e-9)
        assert whole.area == pytest.approx(shapely.union_all(exact.geometry).area, rel=0.02)
        assert found.area_m2.tolist() == pytest.approx(exact.area_m2.tolist(), rel=1e-6)
