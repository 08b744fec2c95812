"""Work done on canonical tiles gives the scores of the whole scene, to the byte the same for any block."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import (
    StridedNetwork,
    coarse_card,
    random_image,
    refiner_card,
    scaled,
    small_refiner,
    whole_coarse,
    whole_refined,
)

from array_scene import ArrayScene
from crispmap.geo.grid import Block
from crispmap.inference.engines import EngineChoice
from crispmap.inference.network import MapNetwork
from crispmap.inference.plan import Cut, visit_blocks
from crispmap.inference.work import DirectScores, StackedScores
from crispmap.models.model import Model

TORCH = EngineChoice("torch")


def models(network, refiner):
    coarse = None if network is None else Model(network, coarse_card())
    return coarse, None if refiner is None else Model(refiner, refiner_card())


def direct(image, network=None, refiner=None, *, scores=None, valid=None, tile_px=16, shifted=False, engine=TORCH):
    given = None if scores is None else ArrayScene(scores)
    cut = Cut(tile_px, shifted=shifted)
    return DirectScores(ArrayScene(image, valid), given, MapNetwork(*models(network, refiner)), engine, cut)


def in_blocks(work, block_px, layer=0, threads=2):
    shape = work.grid.shape
    scores, valid = np.zeros((work.classes, *shape), np.float32), np.zeros(shape, bool)
    with ThreadPoolExecutor(threads) as pool:
        for block in visit_blocks(shape, block_px):
            layers = work.compute(block, pool)
            if layers is not None:
                scores[:, *block.slices], valid[block.slices] = layers[layer]
    return scores, valid


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), tile_px=st.integers(2, 70), block_px=st.integers(5, 80),
    shifted=st.booleans(),
)  # fmt: skip
def test_network_and_refiner_are_those_of_the_whole_scene(height, width, tile_px, block_px, shifted):
    network, refiner, image = StridedNetwork(), small_refiner(), random_image((height, width))
    coarse = whole_coarse(network, scaled(image))
    work = direct(image, network, refiner, tile_px=tile_px, shifted=shifted)
    assert work.layers == ("refined", "coarse")
    np.testing.assert_allclose(in_blocks(work, block_px, 1)[0], coarse, atol=1e-5)
    np.testing.assert_allclose(in_blocks(work, block_px)[0], whole_refined(refiner, coarse, scaled(image)), atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(height=st.integers(1, 50), width=st.integers(1, 50), tile_px=st.integers(2, 40), shifted=st.booleans())
def test_a_refiner_of_given_scores_is_that_of_the_whole_scene(height, width, tile_px, shifted):
    refiner, image = small_refiner(), random_image((height, width))
    scores = np.random.default_rng(1).normal(0, 3, (3, height, width)).astype(np.float32)
    work = direct(image, refiner=refiner, scores=scores, tile_px=tile_px, shifted=shifted)
    refined, _ = in_blocks(work, 17)
    np.testing.assert_allclose(refined, whole_refined(refiner, scores, scaled(image)), atol=1e-5)
    assert np.array_equal(in_blocks(work, 17, 1)[0], scores)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bytes_depend_neither_on_the_block_nor_on_threads(engine):
    image = random_image((83, 101))
    results = []
    for block_px, threads in [(16, 1), (32, 4), (83, 2), (500, 3), (13, 2)]:
        work = direct(
            image, StridedNetwork(), small_refiner(), engine=EngineChoice(engine, threads=threads), tile_px=16
        )
        results.append(in_blocks(work, block_px, threads=threads)[0])
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_network_alone_gives_its_scores():
    network, image = StridedNetwork(), random_image((40, 30))
    work = direct(image, network)
    assert work.layers == ("coarse",)
    np.testing.assert_allclose(in_blocks(work, 20)[0], whole_coarse(network, scaled(image)), atol=1e-5)


def test_invalid_pixels_enter_as_zero_and_leave_invalid():
    valid = np.random.default_rng(3).random((50, 40)) > 0.2
    valid[:25, :25] = False
    image, network, refiner = random_image((50, 40)), StridedNetwork(), small_refiner()
    seen = scaled(image) * valid
    coarse = whole_coarse(network, seen) * valid
    scores, known = in_blocks(direct(image, network, refiner, valid=valid), 16)
    assert np.array_equal(known, valid)
    np.testing.assert_allclose(scores, whole_refined(refiner, coarse, seen) * valid, atol=1e-5)


def test_ground_without_a_valid_pixel_is_not_computed():
    network = StridedNetwork()
    work = direct(random_image((64, 64)), network, valid=np.zeros((64, 64), bool))
    with ThreadPoolExecutor(1) as pool:
        assert work.compute(Block(0, 0, 64, 64), pool) is None
    assert network.calls == 0


def test_tiles_lie_on_the_stride_grid_and_have_one_shape():
    network = StridedNetwork()
    work = direct(random_image((50, 41)), network, small_refiner(), tile_px=17, shifted=True)
    in_blocks(work, 16)
    assert work.tile_px == 16
    assert len(network.shapes) == 1


def test_rasters_are_read_in_pieces_and_put_together():
    values = np.random.default_rng(0).normal(0, 1, (3, 45, 37)).astype(np.float32)
    valid = np.random.default_rng(1).random((45, 37)) > 0.3
    work = StackedScores([("coarse", ArrayScene(values, valid))], 10, "none")
    scores, known = in_blocks(work, 23)
    assert np.array_equal(scores, values * valid)
    assert np.array_equal(known, valid)
    empty = StackedScores([("coarse", ArrayScene(values, np.zeros((45, 37), bool)))], 10, "none")
    with ThreadPoolExecutor(1) as pool:
        assert empty.compute(Block(0, 0, 45, 37), pool) is None


def test_a_map_needs_a_model():
    with pytest.raises(ValueError, match="needs a network or a refiner"):
        MapNetwork(None, None)
