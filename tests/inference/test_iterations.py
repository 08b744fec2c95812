"""Ground after every step of a refiner: the same in pieces as at once, and unknown where anything is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from block_area import area_of
from crispmap.classes import ClassDef, ClassSchema
from crispmap.geo.areas import box_of
from crispmap.geo.grid import Block
from crispmap.inference import iterations as made
from crispmap.inference import refine as rasters
from crispmap.inference.iterations import IterationMaps
from crispmap.models.base import Refiner
from crispmap.models.card import ModelCard
from crispmap.models.model import Model
from crispmap.models.scaling import Scaling
from crispmap.refiners.pde.refiner import HeatRefiner
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.types import IGNORE, LabelArray
from whole_refined import every_iteration

SHAPE = 70, 90
NAMES = ("ground", "roof", "road")
AS_IS = Scaling((0.0, 0.0), (1.0, 1.0))
RNG = np.random.default_rng(4)
IMAGE = RNG.normal(size=(2, *SHAPE)).astype(np.float32)
SCORES = RNG.normal(size=(3, *SHAPE)).astype(np.float32)
LABELS: LabelArray = RNG.choice(np.array([0, 1, 2, IGNORE], np.uint8), SHAPE)
BLOCKS = st.builds(Block, st.integers(0, 30), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40))


class HeldLabels:
    """A reference held in memory."""

    def read(self, block: Block) -> LabelArray:
        return LABELS[block.slices].copy()

    def close(self) -> None:
        pass


def small_refiner() -> Refiner:
    torch.manual_seed(1)
    return RecurrentRefiner(3, 2, iterations=2).eval()


REFINER = small_refiner()
SCHEMA = ClassSchema(tuple(ClassDef(name, f"#00000{index}") for index, name in enumerate("abc")))
CARD = ModelCard("refiner", "rnn", {}, SCHEMA, ("a", "b"), Scaling((0.0, 0.0), (1.0, 1.0)), 1.0, 4, 1)
MODEL = Model(REFINER, CARD)
WHOLE = every_iteration(REFINER, SCORES, IMAGE)
STEPS = IterationMaps(ArrayScene(IMAGE), ArrayScene(SCORES), MODEL, "cpu")


@given(st.lists(BLOCKS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=50)
def test_the_box_of_areas_is_the_smallest_that_holds_them(blocks: list[Block]) -> None:
    covered = np.zeros(SHAPE, np.bool_)
    for block in blocks:
        covered[block.slices] = True
    rows, cols = np.nonzero(covered)
    box = box_of([area_of(block) for block in blocks])
    assert (box.row, box.col) == (rows.min(), cols.min())
    assert (box.row_stop - 1, box.col_stop - 1) == (rows.max(), cols.max())


@given(BLOCKS)
@settings(deadline=None, max_examples=15)
def test_a_block_is_cut_out_of_the_steps_of_the_whole(block: Block) -> None:
    steps = STEPS.over(block)
    assert len(steps) == REFINER.iterations + 1
    for (scores, labels), whole in zip(steps, WHOLE, strict=True):
        np.testing.assert_allclose(scores, whole[:, *block.slices], atol=1e-4)
        assert np.array_equal(labels, scores.argmax(0))


@pytest.mark.parametrize("of_image", [True, False])
def test_what_the_image_or_the_scores_leave_unknown_is_unknown_after_every_step(of_image: bool) -> None:
    valid = np.ones(SHAPE, np.bool_)
    valid[10:20, 30:50] = False
    holes, full = (IMAGE, SCORES) if of_image else (SCORES, IMAGE)
    image, scores = (
        (ArrayScene(holes, valid), ArrayScene(full)) if of_image else (ArrayScene(full), ArrayScene(holes, valid))
    )
    block = Block(5, 25, 20, 40)
    for _, labels in IterationMaps(image, scores, MODEL, "cpu").over(block):
        assert np.array_equal(labels == IGNORE, ~valid[block.slices])


def test_ground_that_two_areas_share_counts_once_in_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "_CHUNK_PX", 16)
    blocks = [Block(3, 4, 30, 40), Block(20, 30, 40, 40)]
    curve = STEPS.curve([area_of(block) for block in blocks], HeldLabels(), NAMES)
    mask = np.zeros(SHAPE, np.bool_)
    for block in blocks:
        mask[block.slices] = True
    mask &= LABELS != IGNORE
    for matrix, scores in zip(curve, WHOLE, strict=True):
        expected = np.zeros((3, 3), np.int64)
        np.add.at(expected, (LABELS[mask], scores.argmax(0)[mask]), 1)
        assert np.array_equal(matrix.counts, expected)


def test_a_refiner_that_reaches_far_runs_in_larger_tiles_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    far = HeatRefiner(3, 2, 2, 40)
    assert far.margin_px > rasters._WIDE_MARGIN_PX
    block = Block(20, 20, 30, 40)
    wide = IterationMaps(ArrayScene(IMAGE), ArrayScene(SCORES), Model(far, CARD), "cpu").over(block)
    monkeypatch.setattr(rasters, "_WIDE_MARGIN_PX", far.margin_px)
    narrow = IterationMaps(ArrayScene(IMAGE), ArrayScene(SCORES), Model(far, CARD), "cpu").over(block)
    for (scores, labels), (again, same) in zip(wide, narrow, strict=True):
        np.testing.assert_allclose(scores, again, atol=1e-5)
        assert np.array_equal(labels, same)
