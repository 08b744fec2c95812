"""Blended scores: weights that sum to one, tiles that lie where they lie whatever the block."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import StridedNetwork, coarse_card, random_image, refiner_card, small_refiner

from array_scene import ArrayScene
from crispmap.inference.blend import BlendedScores
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.plan import Cut, TilePlan, visit_blocks
from crispmap.inference.refine import refined_scores
from crispmap.models.model import Model
from crispmap.raster.scene import read_whole


def blended(shape, compute, tile_px=16, overlap_px=6):
    source = ArrayScene(np.zeros((1, *shape)))
    plan = TilePlan(shape, (tile_px, tile_px), overlap_px=overlap_px)
    return BlendedScores(source, ("one",), plan, compute, keep=3)


def by_tile(window):
    """A value of its own for every window."""
    value = np.float32(window.row * 1000 + window.col)
    return np.full((1, *window.shape), value), np.ones(window.shape, bool)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 70), width=st.integers(1, 70), overlap=st.integers(1, 8))
def test_weights_sum_to_one(height, width, overlap):
    constant = blended(
        (height, width), lambda window: (np.full((1, *window.shape), 3, np.float32), np.ones(window.shape, bool)),
        overlap_px=overlap,
    )  # fmt: skip
    np.testing.assert_allclose(read_whole(constant)[0], 3, rtol=1e-6)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 60), width=st.integers(1, 60), block_px=st.integers(3, 70))
def test_bytes_do_not_depend_on_the_block(height, width, block_px):
    scores = blended((height, width), by_tile)
    whole = read_whole(scores)[0]
    for block in visit_blocks((height, width), block_px):
        assert np.array_equal(scores.read(block)[0], whole[:, *block.slices])


def test_from_tile_to_tile_values_go_over_in_a_line():
    row = read_whole(blended((16, 32), lambda window: (
        np.full((1, *window.shape), window.col > 0, np.float32), np.ones(window.shape, bool)
    )))[0][0, 8]  # fmt: skip
    expected = np.clip((np.arange(32) + 0.5 - 10) / 12, 0, 1)
    np.testing.assert_allclose(row, expected, atol=1e-6)


class WholeMean(StridedNetwork):
    """A network whose scores depend on everything it sees."""

    def __init__(self):
        super().__init__()
        self.radius_px = None

    def forward(self, image):
        return super().forward(image) + image.mean(dim=(2, 3), keepdim=True)[:, :1]


def test_networks_and_refiners_without_radius_are_blended_and_stay_independent_of_the_block():
    image = random_image((300, 170))
    scene = ArrayScene(image)
    refiner = small_refiner()
    torch.manual_seed(0)
    refiner.radius_px = None
    coarse = coarse_scores(scene, Model(WholeMean(), coarse_card()), cut=Cut(130))
    refined = refined_scores(coarse, scene, Model(refiner, refiner_card()), cut=Cut(130))
    assert isinstance(refined, BlendedScores)
    whole, valid = read_whole(refined)
    assert valid.all()
    parts = np.zeros_like(whole)
    for block in visit_blocks((300, 170), 77):
        parts[:, *block.slices] = refined.read(block)[0]
    assert np.array_equal(parts, whole)


def test_a_bounded_refiner_blended_is_the_refiner():
    """Where every window says the same of a pixel, blending changes nothing but rounding."""
    scene, scores = ArrayScene(random_image((200, 150))), ArrayScene(random_image((200, 150), bands=3, seed=2))
    refiner = small_refiner()
    exact, _ = read_whole(refined_scores(scores, scene, Model(refiner, refiner_card())))
    refiner.radius_px = None
    result, _ = read_whole(refined_scores(scores, scene, Model(refiner, refiner_card())))
    np.testing.assert_allclose(result, exact, rtol=1e-5, atol=1e-4)
