"""Masks of a data set: one meaning of codes for all, and what has none is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError
from crispmap.geo.grid import Block, Grid
from crispmap.labels.coded import CodedMask, MaskCode
from crispmap.labels.reader import LabelOptions
from crispmap.raster.cached import BlockCache
from crispmap.types import IGNORE

TWO = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))
CORNERS = ClassSchema((ClassDef("a", "#00ffff"), ClassDef("b", "#ffff00"), ClassDef("c", "#ffffff")))
COLOURS = np.array([(0, 255, 255), (255, 255, 0), (255, 255, 255), (0, 0, 0)])


def written(folder: Path, *masks: np.ndarray, suffix: str = "png", **how: int) -> list[Path]:
    paths = []
    for number, mask in enumerate(masks):
        paths.append(folder / f"{number}.{suffix}")
        Image.fromarray(mask.astype(np.uint8)).save(paths[-1], **how)
    return paths


def ids_of(code: MaskCode, path: Path, shape: tuple[int, int]) -> np.ndarray:
    return code.read(path, Block(0, 0, *shape))


@given(values=st.lists(st.integers(0, 255), min_size=12, max_size=12), seed=st.integers(0, 9))
def test_every_pixel_gets_the_nearest_class_within_the_tolerance_or_is_counted(values, seed, tmp_path_factory):
    tolerance = 40
    rng = np.random.default_rng(seed)
    mask = np.array(values).reshape(4, 1, 3) + rng.integers(0, 2, (4, 5, 3))
    mask = np.concatenate([mask.clip(0, 255), np.broadcast_to(COLOURS[:, None], (4, 1, 3))], axis=1)
    (path,) = written(tmp_path_factory.mktemp("m"), mask)
    code = MaskCode([path], CORNERS, ["#000000"], LabelOptions(unknown="ignore", tolerance=tolerance))
    distance = np.abs(mask[..., None, :] - COLOURS).max(-1)
    expected = np.where(distance.min(-1) <= tolerance, np.array([0, 1, 2, IGNORE])[distance.argmin(-1)], -1)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        found = ids_of(code, path, (4, 6))
    np.testing.assert_array_equal(found, np.where(expected < 0, IGNORE, expected))
    assert sum(code.unknown_px.values()) == np.count_nonzero(expected < 0)


def test_a_jpeg_mask_beyond_the_exact_sample_is_snapped(tmp_path: Path) -> None:
    ids = np.kron(np.arange(4).reshape(2, 2), np.ones((16, 16), int))
    exact = written(tmp_path, *[COLOURS[ids]] * 3)
    (tmp_path / "j").mkdir()
    damaged = written(tmp_path / "j", COLOURS[ids], suffix="jpg", quality=95)
    code = MaskCode(exact + damaged, CORNERS, ["#000000"], LabelOptions(unknown="error", tolerance=127))
    found = ids_of(code, damaged[0], (32, 32))
    np.testing.assert_array_equal(found[2:14, 2:14], ids[2:14, 2:14])


@pytest.mark.parametrize(("high", "ids"), [(255, False), (1, True)])
def test_a_mask_of_background_alone_takes_its_meaning_from_the_others(tmp_path: Path, high: int, ids: bool) -> None:
    blank, some = np.zeros((8, 8)), np.zeros((8, 8))
    some[2:4] = high
    paths = written(tmp_path, blank, some, blank)
    code = MaskCode(paths, TWO, (), LabelOptions(unknown="error"))
    assert not ids_of(code, paths[0], (8, 8)).any()
    assert ids_of(code, paths[1], (8, 8)).sum() == 16


def test_white_for_black_and_white_colours_of_two_classes_is_the_second(tmp_path: Path) -> None:
    for value in ((255, 0, 0), (255, 255, 255)):
        mask = np.zeros((8, 8, 3), int)
        mask[:3] = value
        (path,) = written(tmp_path, mask)
        assert ids_of(MaskCode([path], TWO, (), LabelOptions(unknown="error")), path, (8, 8)).sum() == 24


def test_values_that_are_ignored(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 7, 1]])
    (path,) = written(tmp_path, mask)
    code = MaskCode([path], TWO, ["#000000", 7], LabelOptions(unknown="error"))
    np.testing.assert_array_equal(ids_of(code, path, (1, 4)), [[0, 1, IGNORE, 1]])


def test_a_colour_of_no_class_names_its_first_place_and_the_count(tmp_path: Path) -> None:
    mask = np.zeros((20, 30, 3), int)
    mask[7, 11:14] = (10, 200, 30)
    (path,) = written(tmp_path, mask)
    with pytest.raises(LabelError) as caught:
        ids_of(MaskCode([path], TWO, (), LabelOptions(unknown="error")), path, (20, 30))
    assert "row 7, column 11" in caught.value.given
    assert "3 pixels" in caught.value.given
    assert "#0ac81e" in caught.value.given
    code = MaskCode([path], TWO, (), LabelOptions(unknown="ignore"))
    with pytest.warns(CrispmapWarning, match="row 7, column 11"):
        ids_of(code, path, (20, 30))
    ids_of(code, path, (20, 30))
    assert code.unknown_px == {path: 3}


@pytest.mark.parametrize("gsd_m", [1.0, 2.0, 1.5, 0.5])
def test_on_another_grid_a_pixel_has_the_class_at_its_centre(tmp_path: Path, gsd_m: float) -> None:
    mask = np.random.default_rng(0).integers(0, 2, (30, 42)) * 255
    (path,) = written(tmp_path, mask)
    own = Grid(None, Affine.scale(1, -1), (30, 42))
    grid = own.resampled(gsd_m, gsd_m)
    found = CodedMask(path, MaskCode([path], TWO), own, grid, BlockCache(10**6)).read(grid.block)
    rows, cols = ((np.arange(size) + 0.5) * gsd_m for size in grid.shape)
    expected = mask[np.ix_(rows.astype(int).clip(0, 29), cols.astype(int).clip(0, 41))] > 0
    np.testing.assert_array_equal(found, expected)


def test_a_mask_that_is_cut_off_is_an_error_or_left_out(tmp_path: Path) -> None:
    (path,) = written(tmp_path, np.random.default_rng(0).integers(0, 2, (64, 64)) * 255)
    code, skipping = MaskCode([path], TWO), MaskCode([path], TWO, skip=True)
    for one in (code, skipping):
        assert ids_of(one, path, (64, 64)).max() == 1
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LabelError, match=path.name):
        ids_of(code, path, (64, 64))
    with pytest.warns(CrispmapWarning, match=path.name):
        assert (ids_of(skipping, path, (64, 64)) == IGNORE).all()
