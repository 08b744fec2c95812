"""Masks of ids, colours and black and white, on the scene's grid or elsewhere."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Transformer

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, GeoreferenceWarning, GridError, LabelError
from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import MaskLabels, open_labels
from crispmap.labels.palette import (
    NOT_WHOLE,
    UNKNOWN,
    MaskTraits,
    by_id,
    by_table,
    choose_decoder,
    colour_code,
    nearest_colour,
    show_code,
    split_colour,
)
from crispmap.labels.rasterize import VectorLabels, rasterize_file
from crispmap.labels.reader import LabelOptions
from crispmap.types import IGNORE

TWO = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("roof", "#d7191c")))
THREE = ClassSchema((*TWO.classes, ClassDef("road", "#fdae61")))
UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(2, 0, 450_000, 0, -2, 5_400_100), (40, 50))
IDS = np.random.default_rng(1).integers(0, 3, GRID.shape).astype(np.uint8)
PALETTE = np.array([one.rgb for one in THREE], dtype=np.uint8)
SKIP = LabelOptions(unknown="ignore")


def write(path: Path, bands: np.ndarray, grid: Grid | None = GRID, colours: dict | None = None, **options: Any) -> Path:
    bands = bands[None] if bands.ndim == 2 else bands
    place = {} if grid is None else {"crs": grid.crs and grid.crs.to_wkt(), "transform": grid.transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(bands),
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            **place,
            **options,
        ) as file:
            file.write(bands)
            if colours:
                file.write_colormap(1, colours)
    return path


def read(path: Path, schema: ClassSchema = THREE, grid: Grid = GRID, options: LabelOptions | None = None) -> np.ndarray:
    reader = open_labels(path, schema, grid, options=options)
    try:
        return reader.read(grid.block)
    finally:
        reader.close()


# --- what values mean --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_ids_of_any_type(tmp_path: Path, dtype: str) -> None:
    ids = IDS.astype(dtype)
    ids[0, :3] = 255
    expected = IDS.copy()
    expected[0, :3] = IGNORE
    np.testing.assert_array_equal(read(write(tmp_path / "a.tif", ids)), expected)


def test_nodata_nan_and_alpha_are_left_out(tmp_path: Path) -> None:
    expected = IDS.copy()
    expected[:5] = IGNORE
    nodata = IDS.copy()
    nodata[:5] = 77
    np.testing.assert_array_equal(read(write(tmp_path / "a.tif", nodata, nodata=77)), expected)
    nan = IDS.astype(np.float32)
    nan[:5] = np.nan
    np.testing.assert_array_equal(read(write(tmp_path / "b.tif", nan)), expected)
    alpha = np.full(GRID.shape, 255, np.uint8)
    alpha[:5] = 0
    rgba = np.concatenate([np.moveaxis(PALETTE[IDS], 2, 0), alpha[None]])
    np.testing.assert_array_equal(read(write(tmp_path / "c.tif", rgba, photometric="RGB", alpha="YES")), expected)


def test_colours_exact_and_lossy(tmp_path: Path) -> None:
    rgb = np.moveaxis(PALETTE[IDS], 2, 0)
    np.testing.assert_array_equal(read(write(tmp_path / "a.tif", rgb)), IDS)
    noisy = (rgb.astype(int) + np.random.default_rng(2).integers(-16, 17, rgb.shape)).clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(read(write(tmp_path / "b.tif", noisy)), IDS)
    with pytest.raises(LabelError, match="colours of no class"):
        read(write(tmp_path / "c.tif", noisy), options=LabelOptions(tolerance=3))
    np.testing.assert_array_equal(read(write(tmp_path / "d.tif", rgb.astype(np.uint16))), IDS)


def test_colour_tables_of_the_schema_decide(tmp_path: Path) -> None:
    shuffled = {3: (*THREE[0].rgb, 255), 5: (*THREE[1].rgb, 255), 1: (*THREE[2].rgb, 255)}
    values = np.array([3, 5, 1], np.uint8)[IDS]
    np.testing.assert_array_equal(read(write(tmp_path / "a.tif", values, colours=shuffled)), IDS)
    other = {0: (1, 1, 1, 255), 1: (2, 2, 2, 255), 2: (3, 3, 3, 255)}
    np.testing.assert_array_equal(read(write(tmp_path / "b.tif", IDS, colours=other)), IDS)


@given(
    table=st.dictionaries(st.integers(-300, 300), st.integers(0, 5), min_size=1),
    values=st.lists(st.one_of(st.integers(-310, 310), st.just(NOT_WHOLE))),
)
@settings(deadline=None, max_examples=60)
def test_values_are_read_through_a_table_as_through_a_dictionary(table: dict[int, int], values: list[int]) -> None:
    decode = by_table(table, lambda codes: codes * 10)
    found = decode(np.array(values, np.int64).reshape(1, -1))
    assert found.tolist() == [[table[value] * 10 if value in table else UNKNOWN for value in values]]


class CountingTable(dict[int, int]):
    """A colour table that counts how often it is asked."""

    asked = 0

    def __getitem__(self, key: int) -> int:
        self.asked += 1
        return super().__getitem__(key)

    def get(self, key: int, default: int | None = None) -> int | None:
        self.asked += 1
        return super().get(key, default)


def test_a_colour_table_is_not_asked_for_every_pixel() -> None:
    table = CountingTable({index: colour_code(one.rgb) for index, one in enumerate(THREE)})
    decode = choose_decoder(np.arange(3), MaskTraits(False, table, False, None), THREE, 16)
    np.testing.assert_array_equal(decode(IDS.astype(np.int64)), IDS)
    assert table.asked < IDS.size / 2


def test_black_and_white_is_two_classes(tmp_path: Path) -> None:
    ids = np.minimum(IDS, 1)
    path = write(tmp_path / "a.tif", ids * np.uint8(255))
    np.testing.assert_array_equal(read(path, TWO), ids)
    np.testing.assert_array_equal(read(write(tmp_path / "b.tif", np.stack([ids * np.uint8(255)] * 3)), TWO), ids)
    white = write(tmp_path / "c.tif", np.full(GRID.shape, 255, np.uint8))
    assert (read(white, TWO) == 1).all()
    # With 255 as nodata, or with three classes, or beside an id, 255 means unknown.
    nodata = write(tmp_path / "d.tif", ids * np.uint8(255), nodata=255)
    np.testing.assert_array_equal(read(nodata, TWO), np.where(ids == 1, IGNORE, 0))
    with pytest.warns(CrispmapWarning, match="black and white"):
        np.testing.assert_array_equal(read(path, THREE), np.where(ids == 1, IGNORE, 0))
    mixed = np.array([0, 1, 255], np.uint8)[IDS]
    np.testing.assert_array_equal(read(write(tmp_path / "e.tif", mixed), TWO), mixed)


def test_lossy_black_and_white(tmp_path: Path) -> None:
    ids = np.zeros(GRID.shape, np.uint8)
    ids[10:30, 10:30] = 1
    Image.fromarray(ids * np.uint8(255)).save(tmp_path / "a.jpg", quality=60)
    with pytest.warns(GeoreferenceWarning):
        found = read(tmp_path / "a.jpg", TWO, options=LabelOptions(tolerance=60))
    assert (found == ids).mean() > 0.99


def test_unknown_values_are_listed_with_counts(tmp_path: Path) -> None:
    ids = IDS.copy()
    ids.flat[:15] = np.repeat([7, 8, 9, 10, 11, 12], [5, 4, 3, 1, 1, 1])
    path = write(tmp_path / "a.tif", ids)
    with pytest.raises(LabelError, match=r"7 \(5 pixels\), 8 \(4 pixels\), 9 \(3 pixels\).* and 1 more") as error:
        read(path)
    assert "0 background, 1 roof, 2 road" in str(error.value)
    with pytest.warns(CrispmapWarning, match=r"15 of 2000 pixels hold 7 \(5 pixels\)"):
        found = read(path, options=SKIP)
    assert (found.flat[:15] == IGNORE).all()
    np.testing.assert_array_equal(found.flat[15:], IDS.flat[15:])


def test_unknown_colours_are_listed_as_colours(tmp_path: Path) -> None:
    rgb = np.moveaxis(PALETTE[IDS], 2, 0)
    rgb[:, 0, 0] = 0
    path = write(tmp_path / "a.tif", rgb)
    with pytest.raises(LabelError, match=r"#000000 \(1 pixels\)") as error:
        read(path)
    assert "#d7191c roof" in str(error.value)
    with pytest.warns(CrispmapWarning, match="1 of 2000 pixels"):
        assert read(path, options=SKIP)[0, 0] == IGNORE


def test_pictures_are_no_masks_even_when_unknown_is_ignored(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(100, 200, GRID.shape).astype(np.uint8)
    with pytest.raises(LabelError, match="values of no class"):
        read(write(tmp_path / "a.tif", picture), options=SKIP)
    with pytest.raises(LabelError, match="not integers"):
        read(write(tmp_path / "b.tif", np.random.default_rng(0).random(GRID.shape)))
    with pytest.raises(LabelError, match="colours outside"):
        read(write(tmp_path / "c.tif", np.full((3, *GRID.shape), 9999, np.int32)))
    with pytest.raises(LabelError, match="2 bands"):
        read(write(tmp_path / "d.tif", np.zeros((2, *GRID.shape), np.uint8)))


# --- the decoders ------------------------------------------------------------------------------------------------

colours = st.tuples(*[st.integers(0, 255)] * 3)


@given(
    st.lists(colours, min_size=1, max_size=4, unique=True),
    st.lists(colours, min_size=1, max_size=8),
    st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_colour_within_tolerance(known: list, asked: list, tolerance: int) -> None:
    decode = nearest_colour({index: colour_code(rgb) for index, rgb in enumerate(known)}, tolerance)
    found = decode(np.array([colour_code(rgb) for rgb in asked]))
    for rgb, class_id in zip(asked, found, strict=True):
        far = [max(abs(a - b) for a, b in zip(rgb, one, strict=True)) for one in known]
        assert class_id == UNKNOWN if min(far) > tolerance else far[class_id] == min(far)


@given(colours)
@settings(max_examples=30, deadline=None)
def test_colour_codes_are_reversible(rgb: tuple[int, int, int]) -> None:
    assert tuple(split_colour(np.array([colour_code(rgb)]))[0]) == rgb
    assert show_code(colour_code(rgb), True) == "#{:02x}{:02x}{:02x}".format(*rgb)


def test_what_is_no_whole_number_is_no_class() -> None:
    codes = np.array([0, 2, 3, 255, -1, NOT_WHOLE])
    assert by_id(codes, 3).tolist() == [0, 2, UNKNOWN, 255, UNKNOWN, UNKNOWN]
    assert nearest_colour({0: 0}, 255)(codes)[-1] == UNKNOWN


# --- on another grid ---------------------------------------------------------------------------------------------


def test_a_mask_on_another_grid_is_taken_at_pixel_centres(tmp_path: Path) -> None:
    lonlat = CRS.from_epsg(4326)
    to_lonlat = Transformer.from_crs(UTM, lonlat, always_xy=True)
    left, top = to_lonlat.transform(450_020, 5_400_080)
    source = Grid(lonlat, Affine(3e-5, 0, left, 0, -2e-5, top), (60, 70))
    values = np.random.default_rng(3).integers(0, 3, source.shape).astype(np.uint8)
    found = read(write(tmp_path / "a.tif", values, source))

    cols, rows = np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5)
    x, y = to_lonlat.transform(*(GRID.transform @ (cols, rows)))
    at_col, at_row = ~source.transform @ (x, y)
    inside = (at_col >= 0) & (at_col < 70) & (at_row >= 0) & (at_row < 60)
    expected = np.full(GRID.shape, IGNORE, np.uint8)
    expected[inside] = values[at_row[inside].astype(int), at_col[inside].astype(int)]
    assert inside.any()
    assert not inside.all()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["ids", "nodata", "rgb", "rgba"])
def test_warped_blocks_equal_the_whole(tmp_path: Path, kind: str) -> None:
    source = Grid(UTM, Affine.translation(450_010, 5_400_090) @ Affine.rotation(20) @ Affine.scale(1.7, -1.7), (50, 50))
    ids = np.random.default_rng(4).integers(0, 3, source.shape).astype(np.uint8)
    bands, options = ids[None], {}
    if kind == "nodata":
        options = {"nodata": 255}
    elif kind != "ids":
        bands = np.moveaxis(PALETTE[ids], 2, 0)
    if kind == "rgba":
        bands = np.concatenate([bands, np.full((1, *source.shape), 255, np.uint8)])
        options = {"photometric": "RGB", "alpha": "YES"}
    reader = MaskLabels(write(tmp_path / "a.tif", bands, source, **options), THREE, GRID)
    whole = reader.read(GRID.block)
    assert {0, 1, 2, IGNORE} == set(np.unique(whole))
    for block in GRID.blocks(13):
        np.testing.assert_array_equal(reader.read(block), whole[block.slices])
    reader.close()


def test_elsewhere_is_an_error(tmp_path: Path) -> None:
    away = Grid(UTM, Affine(2, 0, 550_000, 0, -2, 5_400_100), (40, 50))
    with pytest.raises(LabelError, match=r"a\.tif .*550000"):
        read(write(tmp_path / "a.tif", IDS, away))
    beyond = Grid(CRS.from_epsg(32616), GRID.transform, GRID.shape)
    with pytest.raises(LabelError, match=r"b\.tif .*EPSG:32616"):
        read(write(tmp_path / "b.tif", IDS, beyond))
    with pytest.raises(LabelError, match="nodata only"):
        read(write(tmp_path / "c.tif", np.zeros_like(IDS), nodata=0))


# --- without georeference ----------------------------------------------------------------------------------------


def test_masks_without_georeference_are_laid_pixel_by_pixel(tmp_path: Path) -> None:
    plain = Grid(None, Affine.identity(), GRID.shape)
    bare = write(tmp_path / "a.tif", IDS, None)
    np.testing.assert_array_equal(read(bare, grid=plain), IDS)
    with pytest.warns(GeoreferenceWarning, match="pixel by pixel"):
        np.testing.assert_array_equal(read(bare), IDS)
    with pytest.warns(GeoreferenceWarning, match="pixel by pixel"):
        np.testing.assert_array_equal(read(write(tmp_path / "b.tif", IDS), grid=plain), IDS)
    for grid in (plain, GRID):
        with pytest.raises(LabelError, match="differ in shape"):
            read(write(tmp_path / "c.tif", IDS[:-1], None), grid=grid)


def test_a_transform_without_crs_needs_one(tmp_path: Path) -> None:
    moved = Grid(None, Affine(2, 0, 450_010, 0, -2, 5_400_100), GRID.shape)
    path = write(tmp_path / "a.tif", IDS, moved)
    with pytest.raises(LabelError):
        read(path)
    for crs in ("EPSG:32631", "scene"):
        found = read(path, options=LabelOptions(assume_crs=crs))
        np.testing.assert_array_equal(found[:, 5:], IDS[:, :-5])
        assert (found[:, :5] == IGNORE).all()
    with pytest.raises(LabelError, match="cannot be understood"):
        read(path, options=LabelOptions(assume_crs="EPSG:1"))
    with pytest.warns(GeoreferenceWarning):
        np.testing.assert_array_equal(read(write(tmp_path / "b.tif", IDS, Grid(None, GRID.transform, GRID.shape))), IDS)


# --- files -------------------------------------------------------------------------------------------------------


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no file"):
        read(tmp_path / "no.tif")
    (tmp_path / "a.tif").write_bytes(b"nothing of the kind")
    with pytest.raises(LabelError, match="cannot be opened"):
        read(tmp_path / "a.tif")
    whole = write(tmp_path / "b.tif", np.random.default_rng(0).integers(0, 3, (400, 500)).astype(np.uint8), None)
    (tmp_path / "c.tif").write_bytes(whole.read_bytes()[:90_000])
    with pytest.raises(LabelError, match=r"cannot be (read|opened)"):
        read(tmp_path / "c.tif", grid=Grid(None, Affine.identity(), (400, 500)))


def test_blocks_outside_the_grid_are_errors(tmp_path: Path) -> None:
    reader = MaskLabels(write(tmp_path / "a.tif", IDS), THREE, GRID)
    with pytest.raises(GridError):
        reader.read(Block(0, 0, 41, 10))
    assert reader.read(Block(5, 5, 0, 3)).shape == (0, 3)
    reader.close()


def test_vectors_open_as_labels_too(tmp_path: Path) -> None:
    roof = gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.box(450_010, 5_400_050, 450_050, 5_400_090)], crs=UTM)
    roof.to_file(tmp_path / "a.gpkg")
    reader = open_labels(tmp_path / "a.gpkg", TWO, GRID)
    assert isinstance(reader, VectorLabels)
    assert (reader.read(GRID.block) == 1).sum() == 400
    # What was drawn is read back as it is.
    rasterize_file(reader, tmp_path / "map.tif")
    np.testing.assert_array_equal(read(tmp_path / "map.tif", TWO), reader.read(GRID.block))


# --- real files --------------------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_real_black_and_white_mask(real_data: Path) -> None:
    path = real_data / "boston3/fullyconv_reference.png"
    pixels = np.asarray(Image.open(path))
    found = read(path, TWO, Grid(None, Affine.identity(), pixels.shape))
    np.testing.assert_array_equal(found, pixels == 255)


@pytest.mark.realdata
def test_real_colour_mask(real_data: Path) -> None:
    names = (real_data / "deepglobe/class_dict.csv").read_text().splitlines()[1:]
    entries = [line.split(",") for line in names]
    schema = ClassSchema(tuple(ClassDef(n, "#{:02x}{:02x}{:02x}".format(*map(int, rgb))) for n, *rgb in entries[:-1]))
    path = real_data / "deepglobe/10901_mask.png"
    pixels = np.asarray(Image.open(path))
    grid = Grid(None, Affine.identity(), pixels.shape[:2])
    found = read(path, schema, grid, SKIP)
    for index, one in enumerate(schema):
        np.testing.assert_array_equal(found == index, (pixels == one.rgb).all(axis=2))


@pytest.mark.realdata
def test_real_mask_of_ids(real_data: Path) -> None:
    path = real_data / "landsat/corumba_burned_dNBR027.tif"
    with rasterio.open(path) as file:
        pixels, crs, transform = file.read(1), file.crs, file.transform
    grid = Grid(CRS.from_wkt(crs.to_wkt()), transform, pixels.shape)
    np.testing.assert_array_equal(read(path, TWO, grid), pixels)
    with pytest.raises(LabelError, match=r"banepa_rgb\.tif .*EPSG:4326"):
        read(real_data / "banepa/banepa_rgb.tif", TWO, grid)
