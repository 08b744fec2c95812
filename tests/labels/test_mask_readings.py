"""The readings of a mask: ids in every band, exact colours before near ones, and grey values from a threshold on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError
from crispmap.geo.grid import Block, Grid
from crispmap.labels import mask_values
from crispmap.labels.mask import open_labels
from crispmap.labels.palette import MaskTraits, choose_decoder, colour_code
from crispmap.labels.reader import LabelOptions
from crispmap.types import IGNORE

COLOURED = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("roof", "#d7191c"), ClassDef("road", "#fdae61")))
DARK = ClassSchema((ClassDef("background", "#000000"), *COLOURED.classes[1:]))
TWO = ClassSchema(COLOURED.classes[:2])
GRID = Grid(CRS.from_epsg(32631), Affine(2, 0, 450_000, 0, -2, 5_400_100), (40, 50))
IDS = np.random.default_rng(1).integers(0, 3, GRID.shape).astype(np.uint8)


def write(path: Path, bands: np.ndarray, **options: object) -> Path:
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    place = {"crs": "EPSG:32631", "transform": GRID.transform}
    with rasterio.open(path, "w", **profile, dtype=bands.dtype, **place, **options) as file:
        file.write(bands)
    return path


def read(path: Path, schema: ClassSchema, **options: object) -> np.ndarray:
    reader = open_labels(path, schema, GRID, options=LabelOptions(**options))
    try:
        return reader.read(GRID.block)
    finally:
        reader.close()


def test_ids_repeated_in_every_band_are_ids(tmp_path: Path) -> None:
    ids = IDS.copy()
    ids[0] = IGNORE
    assert np.array_equal(read(write(tmp_path / "a.tif", np.stack([ids] * 3)), COLOURED), ids)


@pytest.mark.parametrize("values", [[0, 1, 2], [0, 1, 2, 7]])
def test_ids_that_may_be_colours_near_a_class_are_refused(tmp_path: Path, values: list[int]) -> None:
    ids = np.array(values, np.uint8)[np.random.default_rng(2).integers(0, len(values), GRID.shape)]
    path = write(tmp_path / "rep.tif", np.stack([ids] * 3))
    with pytest.raises(LabelError, match=r"rep\.tif"):
        read(path, DARK)
    if len(values) == 3:
        assert np.array_equal(read(path, DARK, tolerance=0), ids)


def test_a_colour_table_of_near_colours_that_contradicts_the_ids_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", IDS[None])
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {value: (value, value, value, 255) for value in range(256)})
    with pytest.raises(LabelError, match=r"a\.tif"):
        read(path, DARK)


distinct = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=6, unique=True)


@given(distinct, st.integers(0, 60))
@settings(deadline=None, max_examples=60)
def test_exact_colours_are_their_classes_whatever_lies_near(colours: list[tuple[int, int, int]], near: int) -> None:
    schema = ClassSchema(tuple(ClassDef(f"c{k}", "#{:02x}{:02x}{:02x}".format(*c)) for k, c in enumerate(colours)))
    codes = np.array([colour_code(one) for one in colours])
    decode = choose_decoder(np.sort(codes), MaskTraits(True, None, False, None), schema, near)
    assert decode(codes).tolist() == list(range(len(colours)))


@given(st.integers(2, 200), st.integers(0, 15))
@settings(deadline=None, max_examples=60)
def test_ids_in_every_band_are_never_read_as_one_class(classes: int, tolerance: int) -> None:
    colours = ["#000000", *(f"#{k:02x}ff00" for k in range(1, classes))]
    schema = ClassSchema(tuple(ClassDef(f"c{k}", colour) for k, colour in enumerate(colours)))
    codes = np.arange(classes) * 0x010101
    try:
        decode = choose_decoder(codes, MaskTraits(True, None, False, None), schema, tolerance)
    except LabelError:
        return
    assert decode(codes).tolist() == list(range(classes))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_threshold_reads_grey_masks_damaged_by_jpeg(tmp_path: Path, mode: str) -> None:
    ids = np.zeros(GRID.shape, np.uint8)
    ids[10:30, 9:31] = 1
    Image.fromarray(ids * np.uint8(255)).convert(mode).save(tmp_path / "a.jpg", quality=30)
    with pytest.warns(CrispmapWarning), pytest.raises(LabelError):
        read(tmp_path / "a.jpg", TWO)
    with pytest.warns(CrispmapWarning):
        found = read(tmp_path / "a.jpg", TWO, threshold=128)
    assert set(np.unique(found)) == {0, 1}
    assert (found == ids).mean() > 0.99


def test_a_threshold_needs_two_classes(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="128"):
        read(write(tmp_path / "a.tif", IDS[None]), COLOURED, threshold=128)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize("threshold", [0.5, 128, 200.25])
def test_a_threshold_is_a_comparison(tmp_path: Path, kind: str, threshold: float) -> None:
    """Also of values between whole numbers, as in probabilities."""
    values = np.random.default_rng(0).uniform(0, 255, (1, *GRID.shape)).astype(kind)
    path = write(tmp_path / "a.tif", values)
    assert np.array_equal(read(path, TWO, threshold=threshold), values[0] >= threshold)


def test_a_threshold_that_tells_nothing_apart_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", IDS[None])
    with pytest.raises(LabelError, match="nan"):
        read(path, TWO, threshold=float("nan"))
    with pytest.warns(CrispmapWarning, match="one side"):
        read(path, TWO, threshold=300)
    colours = write(tmp_path / "b.tif", np.stack([IDS * 0, IDS * 100, IDS * 0]).astype(np.uint8))
    with pytest.raises(LabelError, match="not grey"):
        read(colours, TWO, threshold=128)


def test_black_and_white_alone_is_told_where_there_are_more_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.where(IDS == 1, 255, 0)[None].astype(np.uint8))
    with pytest.warns(CrispmapWarning, match="black and white"):
        assert set(np.unique(read(path, COLOURED))) == {0, IGNORE}


def test_a_mask_beyond_the_antimeridian_meets_a_scene_that_crosses_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 100, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", transform=(1e-3, 0, -180, 0, -1e-3, -17)) as file:
        file.write(np.ones((1, 100, 100), np.uint8))
    grid = Grid(CRS.from_epsg(32760), Affine(10, 0, 818_000, 0, -10, 8_116_000), (200, 200))
    reader = open_labels(path, TWO, grid)
    assert set(np.unique(reader.read(grid.block))) == {1, IGNORE}
    reader.close()


def test_a_nodata_value_that_a_colour_table_is_filled_up_with_is_no_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.where(IDS == 2, 255, IDS)[None].astype(np.uint8), nodata=255)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {index: one.rgb for index, one in enumerate(DARK)})
    assert np.array_equal(read(path, DARK), np.where(IDS == 2, IGNORE, IDS))


@pytest.mark.parametrize(("nodata", "meant"), [(1, "background"), (255, "roof")])
def test_with_a_threshold_nodata_is_the_class_of_its_grey(tmp_path: Path, nodata: int, meant: str) -> None:
    grey = np.where(IDS == 0, nodata, IDS * 90).astype(np.uint8)
    with pytest.raises(LabelError, match=f"which is class {meant}"):
        read(write(tmp_path / "a.tif", grey[None], nodata=nodata), TWO, threshold=128)


@given(st.integers(1, 9000), st.integers(1, 9000))
@settings(deadline=None)
def test_windows_looked_at_are_spread_over_all_of_a_mask(height: int, width: int) -> None:
    windows, partly = mask_values._sample(SimpleNamespace(height=height, width=width))
    every = list(Block(0, 0, height, width).pieces(mask_values._BLOCK_PX))
    step = max(1.0, len(every) / mask_values._MOST_BLOCKS)
    expected = [every[int(place * step)] for place in range(min(len(every), mask_values._MOST_BLOCKS))]
    assert [Block(one.row_off, one.col_off, one.height, one.width) for one in windows] == expected
    assert partly == (len(windows) < len(every))


def test_a_mask_that_claims_more_pixels_than_can_be_listed_has_a_sample() -> None:
    windows, partly = mask_values._sample(SimpleNamespace(height=2**31 - 1, width=2**31 - 1))
    assert len(windows) == mask_values._MOST_BLOCKS
    assert partly
