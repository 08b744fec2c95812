"""Rasters computed when read give the same pixels whatever is remembered of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from crispmap.geo.grid import Block
from crispmap.inference.plan import plan_tiles
from crispmap.inference.tiled import TiledScores

SHAPE = (40, 30)
VALUES = np.random.default_rng(0).normal(size=(2, 56, 48)).astype(np.float32)
VALID = VALUES[0] > -1


class Counted:
    """Cuts tiles out of an array, and counts them."""

    def __init__(self):
        self.tiles = []

    def __call__(self, tile: Block):
        self.tiles.append(tile)
        rows, cols = tile.slices
        return VALUES[:, rows, cols], VALID[rows, cols]


def raster(keep):
    compute = Counted()
    plan = plan_tiles(SHAPE, tile_px=8)
    return TiledScores(ArrayScene(np.zeros((1, *SHAPE))), ("a", "b"), plan, compute, keep=keep), compute


@settings(deadline=None, max_examples=40)
@given(
    keep=st.integers(0, 30),
    blocks=st.lists(st.tuples(*[st.integers(-70, 70)] * 2, *[st.integers(0, 60)] * 2), min_size=1, max_size=5),
)
def test_any_block_holds_the_raster_and_its_reflection(keep, blocks):
    scores, _ = raster(keep)
    around = np.pad(VALUES[:, :40, :30], ((0, 0), (130, 130), (130, 130)), mode="symmetric")
    valid = np.pad(VALID[:40, :30], 130, mode="symmetric")
    for place in blocks:
        block = Block(*place)
        rows, cols = (slice(part.start + 130, part.stop + 130) for part in block.slices)
        values, known = scores.read(block)
        assert np.array_equal(values, around[:, rows, cols])
        assert np.array_equal(known, valid[rows, cols])


def test_tiles_read_last_are_remembered():
    scores, compute = raster(2)
    for col in (0, 8, 0, 16, 0, 8):
        scores.read(Block(0, col, 8, 8))
    assert [tile.col for tile in compute.tiles] == [0, 8, 16, 8]


def test_a_closed_raster_remembers_nothing():
    scores, compute = raster(4)
    for _ in range(2):
        scores.read(Block(0, 0, 3, 3))
        scores.close()
    assert len(compute.tiles) == 2


def test_what_is_read_may_be_changed_without_changing_the_raster():
    scores, _ = raster(4)
    first, _ = scores.read(Block(0, 0, 8, 8))
    first[:] = 0
    assert np.array_equal(scores.read(Block(0, 0, 8, 8))[0], VALUES[:, :8, :8])
