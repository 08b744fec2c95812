"""The choice of crops for the report."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.geo.grid import Block
from crispmap.report.crops import CROP_PX, choose_crops
from crispmap.types import IGNORE

MAP = np.random.default_rng(0).integers(0, 3, (900, 900)).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 700), st.integers(1, 700), st.integers(1, 300))
def test_the_parts_of_a_block_cover_it_once(row: int, col: int, height: int, width: int, side: int) -> None:
    covered = np.zeros((800, 800), int)
    for part in Block(row, col, height, width).pieces(side):
        assert max(part.shape) <= side
        covered[part.slices] += 1
    assert covered[row : row + height, col : col + width].min() == 1
    assert covered.sum() == height * width


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 900), st.integers(1, 900))
def test_crops_lie_in_the_test_area_and_do_not_overlap(height: int, width: int) -> None:
    ground = Block(0, 0, height, width)
    crops = [crop for _, crop in choose_crops([(None, ground)], lambda _, block: (MAP[block.slices],) * 3, 3)]
    assert 1 <= len(crops) <= 4
    for crop in crops:
        assert crop.intersection(ground) == crop
        assert max(crop.shape) <= CROP_PX
    assert all(a.intersection(b).is_empty for a in crops for b in crops if a != b)


def test_the_worst_refined_of_the_busy_crops_is_shown_too() -> None:
    reference = MAP.copy()
    refined = MAP.copy()
    refined[600:, 600:] = (refined[600:, 600:] + 1) % 3  # wrong here alone
    crops = choose_crops(
        [("town", Block(0, 0, 900, 900))], lambda _, b: (reference[b.slices], reference[b.slices], refined[b.slices]), 3
    )
    assert any(scene == "town" and crop.row >= 576 and crop.col >= 576 for scene, crop in crops)


def test_ground_without_a_label_is_not_shown() -> None:
    nothing = np.full((400, 400), IGNORE, np.uint8)
    assert choose_crops([(None, Block(0, 0, 400, 400))], lambda _, b: (nothing[b.slices],) * 3, 3) == []
