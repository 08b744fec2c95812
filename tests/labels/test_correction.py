"""Labels moved to where scores see their objects."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from array_scene import ArrayScene
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError
from crispmap.geo.grid import Block, Grid
from crispmap.labels import correction as module
from crispmap.labels.correction import CorrectedLabels, LabelCorrection, cleared, match, moved
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, FloatArray, LabelArray

SCHEMA = ClassSchema([ClassDef("background", "#ffffff"), ClassDef("building", "#ff0000")])


def grid_of(shape: tuple[int, int], gsd_m: float = 1.0) -> Grid:
    return Grid(CRS.from_epsg(32631), Affine(gsd_m, 0, 500_000, 0, -gsd_m, 5_000_000), shape)


def houses(shape: tuple[int, int], seed: int, count: int) -> LabelArray:
    """Houses of 6 to 13 px at random places."""
    rng = np.random.default_rng(seed)
    labels: LabelArray = np.zeros(shape, np.uint8)
    for _ in range(count):
        height, width = rng.integers(6, 14, 2)
        row, col = rng.integers(0, shape[0] - height), rng.integers(0, shape[1] - width)
        labels[row : row + height, col : col + width] = 1
    return labels


def logits(truth: LabelArray, seed: int, noise: float = 1.0) -> FloatArray:
    """Scores that favour the truth, with noise."""
    margin = np.where(truth == 1, 4.0, -4.0) + np.random.default_rng(seed).normal(0, noise, truth.shape)
    return np.stack([-margin / 2, margin / 2]).astype(np.float32)


def rolled(labels: LabelArray, down: int, right: int) -> LabelArray:
    """Labels moved by whole pixels, IGNORE coming in."""
    result: LabelArray = np.full(labels.shape, IGNORE, np.uint8)
    height, width = labels.shape
    for row in range(height):
        for col in range(width):
            if 0 <= row - down < height and 0 <= col - right < width:
                result[row, col] = labels[row - down, col - right]
    return result


def labels_of(array: LabelArray, scores: Scene, **how: float) -> CorrectedLabels:
    return CorrectedLabels(lambda block: array[block.slices], scores, SCHEMA, LabelCorrection(**how))


@settings(max_examples=15, deadline=None)
@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 10**6))
def test_labels_that_are_off_by_one_shift_come_back_to_the_truth(down: int, right: int, seed: int) -> None:
    truth = houses((160, 200), seed, 80)
    off = rolled(truth, down, right)
    found = labels_of(off, ArrayScene(logits(truth, seed), grid=grid_of(truth.shape)), sure=1.0).read(
        Block(0, 0, 160, 200)
    )
    inner = np.s_[16:-16, 16:-16]
    assert (found[inner] != truth[inner]).mean() < 0.02  # a shift is smoothed, and swayed by what the border cuts off


def test_each_neighbourhood_moves_its_own_way() -> None:
    truth = houses((128, 400), 5, 120)
    off = np.concatenate([rolled(truth, 4, 0)[:, :200], rolled(truth, -4, 3)[:, 200:]], axis=1)
    grid = grid_of(truth.shape)
    found = labels_of(off, ArrayScene(logits(truth, 5), grid=grid), window_m=10.0, sure=1.0).read(grid.block)
    for part in (np.s_[10:-10, 10:150], np.s_[10:-10, 250:-10]):
        assert (off[part] != truth[part]).mean() > 0.1
        assert (found[part] != truth[part]).mean() < 0.01


def test_what_labels_lack_or_invent_is_left_out_and_sways_nothing() -> None:
    truth = houses((128, 128), 7, 40)
    off = rolled(truth, 3, -5)
    lacking, invented = np.s_[40:56, 40:56], np.s_[90:100, 20:30]
    off[lacking], off[invented] = 0, 1
    grid = grid_of(truth.shape)
    found = labels_of(off, ArrayScene(logits(truth, 7, noise=0.3), grid=grid)).read(grid.block)
    known = found != IGNORE
    inner = np.zeros(truth.shape, np.bool_)
    inner[8:-8, 8:-8] = True
    assert (~known & inner).sum() > 50
    np.testing.assert_array_equal(found[known & inner], truth[known & inner])


def test_where_there_is_nothing_to_match_labels_stay() -> None:
    labels = houses((64, 64), 1, 8)
    nothing = np.full((2, 64, 64), 0.5, np.float32)
    down, right = match(labels, nothing, np.ones((64, 64), np.bool_), reach=5, window=10.0, step=1)
    assert not down.any()
    assert not right.any()
    np.testing.assert_array_equal(moved(labels, (down, right)), labels)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_pixel_is_the_same_however_it_is_read_and_tiled(data: st.DataObject) -> None:
    gsd_m = data.draw(st.sampled_from([0.3, 0.5, 1.0]))
    truth = houses((150, 210), 3, 60)
    off = rolled(truth, 3, 2)
    grid = grid_of(truth.shape, gsd_m)
    scores = ArrayScene(logits(truth, 3), grid=grid)
    how = {"reach_m": 4 * gsd_m, "window_m": 6 * gsd_m}
    whole = labels_of(off, scores, **how).read(grid.block)
    row, col = data.draw(st.integers(0, 149)), data.draw(st.integers(0, 209))
    block = Block(row, col, data.draw(st.integers(1, 150 - row)), data.draw(st.integers(1, 210 - col)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TILE_PX", 48)
        np.testing.assert_array_equal(labels_of(off, scores, **how).read(block), whole[block.slices])


def test_outside_what_labels_or_scores_know_nothing_is_known() -> None:
    truth = houses((96, 96), 2, 30)
    partly = truth.copy()
    partly[:, 48:] = IGNORE
    valid = np.ones(truth.shape, np.bool_)
    valid[60:] = False
    grid = grid_of(truth.shape)
    found = labels_of(partly, ArrayScene(logits(truth, 2), valid, grid=grid)).read(grid.block)
    assert (found[60:] == IGNORE).all()
    assert (found[:, 60:] == IGNORE).all()
    assert (found[:60, :40] != IGNORE).mean() > 0.9


def test_a_label_is_cleared_only_by_another_class_that_is_sure() -> None:
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    building = np.array([[0.7, 0.9, 0.2, 0.9]], np.float32)
    found = cleared(labels, np.stack([1 - building, building]), np.ones((1, 4), np.bool_), 0.8)
    assert found.tolist() == [[0, IGNORE, IGNORE, 1]]


@pytest.mark.parametrize("wrong", [{"reach_m": 0.0}, {"window_m": float("nan")}, {"sure": 1.5}])
def test_amounts_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        LabelCorrection(**wrong)


def test_scores_of_other_classes_are_refused() -> None:
    scores = ArrayScene(np.zeros((3, 8, 8), np.float32), grid=grid_of((8, 8)))
    with pytest.raises(InputError, match=r"2 classes .* 3 bands"):
        labels_of(np.zeros((8, 8), np.uint8), scores)
