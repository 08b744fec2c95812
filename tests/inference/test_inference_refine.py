"""Refined scores are those of the refiner on the whole scene, from a network just run as from a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
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
from crispmap.errors import GridError, ModelError
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.plan import Cut, visit_blocks
from crispmap.inference.refine import refined_scores
from crispmap.models.model import Model
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import read_whole
from whole_refined import every_iteration

CARD = refiner_card()
SHAPES = [(97, 61), (64, 64), (1, 1), (130, 1), (3, 40)]


def random_scores(shape, seed=7):
    return np.random.default_rng(seed).normal(0, 3, (3, *shape)).astype(np.float32)


def fused(scene, refiner, cut):
    coarse = coarse_scores(scene, Model(StridedNetwork(), coarse_card()), cut=cut)
    return refined_scores(coarse, scene, Model(refiner, CARD), cut=cut)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile_px", [16, 512])
def test_tiled_refinement_is_that_of_the_whole_area(shape, tile_px):
    refiner, image, scores = small_refiner(), random_image(shape), random_scores(shape)
    result, valid = read_whole(
        refined_scores(ArrayScene(scores), ArrayScene(image), Model(refiner, CARD), cut=Cut(tile_px))
    )
    assert valid.all()
    np.testing.assert_allclose(result, whole_refined(refiner, scores, scaled(image)), atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 60), width=st.integers(1, 60), tile_px=st.integers(4, 70), block_px=st.integers(5, 80))
def test_network_and_refiner_in_one_are_those_of_the_whole_scene(height, width, tile_px, block_px):
    refiner, image = small_refiner(), random_image((height, width))
    coarse = whole_coarse(StridedNetwork(), scaled(image))
    expected = whole_refined(refiner, coarse, scaled(image))
    result = fused(ArrayScene(image), refiner, Cut(tile_px, block_px))
    labels = np.zeros((height, width), int)
    for block in visit_blocks((height, width), block_px):
        scores = result.read(block)[0]
        np.testing.assert_allclose(scores, expected[:, *block.slices], atol=1e-5)
        labels[block.slices] = scores.argmax(0)
    top = np.sort(expected, axis=0)
    clear = top[-1] - top[-2] > 1e-4  # ties may fall either way
    assert (labels == expected.argmax(0))[clear].all()


@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_refining_saved_coarse_scores_gives_the_same_bytes(ratio):
    valid = np.random.default_rng(0).random((90, 75)) > 0.1
    scene = ArrayScene(random_image((90, 75)), valid, gsd=(1 / ratio, 1 / ratio))
    coarse = coarse_scores(scene, Model(StridedNetwork(), coarse_card()), cut=Cut(16))
    values, known = read_whole(coarse)
    saved = ArrayScene(values, known, gsd=(1 / ratio, 1 / ratio))
    at_once = read_whole(fused(scene, small_refiner(), Cut(16)))
    from_saved = read_whole(refined_scores(saved, scene, Model(small_refiner(), CARD), cut=Cut(16)))
    for one, other in zip(at_once, from_saved, strict=True):
        assert np.array_equal(one, other)


def test_bytes_do_not_depend_on_the_block():
    scene = ArrayScene(random_image((203, 151)))
    results = []
    for block_px in (16, 37, 500):
        result = np.zeros((3, 203, 151), np.float32)
        scores = fused(scene, small_refiner(), Cut(32, block_px))
        for block in visit_blocks((203, 151), block_px):
            result[:, *block.slices] = scores.read(block)[0]
        results.append(result)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_coarse_tiles_are_not_computed_again_for_the_refiners_halo():
    network = StridedNetwork()
    scene = ArrayScene(random_image((300, 300)))
    coarse = coarse_scores(scene, Model(network, coarse_card()), cut=Cut(60, 100))
    result = refined_scores(coarse, scene, Model(small_refiner(), CARD), cut=Cut(60, 100))
    for block in visit_blocks((300, 300), 100):
        result.read(block)
    assert network.calls == 25


def test_invalid_pixels_enter_as_zero_and_leave_invalid():
    rng = np.random.default_rng(3)
    image_valid, scores_valid = rng.random((50, 40)) > 0.2, rng.random((50, 40)) > 0.2
    image_valid[:25, :25] = False
    image, scores = random_image((50, 40)), random_scores((50, 40))
    result, valid = read_whole(
        refined_scores(
            ArrayScene(scores, scores_valid), ArrayScene(image, image_valid), Model(small_refiner(), CARD), cut=Cut(20)
        )
    )
    both = image_valid & scores_valid
    expected = whole_refined(small_refiner(), scores * both, scaled(image) * both)
    assert np.array_equal(valid, both)
    np.testing.assert_allclose(result, expected * both, atol=1e-5)


def test_the_declared_radius_is_true():
    refiner, image, scores = small_refiner(), random_image((50, 50)), random_scores((50, 50))

    def refined(scores, image):
        return read_whole(refined_scores(ArrayScene(scores), ArrayScene(image), Model(refiner, CARD), cut=Cut(20)))[0]

    before = refined(scores, image)
    for index in range(2):
        inputs = [scores.copy(), image.copy()]
        inputs[index][:, 25, 20] += 300
        rows, cols = np.nonzero((before != refined(*inputs)).any(axis=0))
        assert max(np.abs(rows - 25).max(), np.abs(cols - 20).max()) == refiner.radius_px


@pytest.mark.parametrize("ratio", [2, 3])
def test_scores_with_larger_pixels_are_brought_to_the_scene(ratio):
    image, scores = random_image((60, 48)), random_scores((60 // ratio, 48 // ratio))
    coarse = ArrayScene(scores, gsd=(ratio, ratio))
    result, _ = read_whole(refined_scores(coarse, ArrayScene(image), Model(small_refiner(), CARD)))
    upsampled, _ = read_whole(ResampledScene(coarse, 1 / ratio, 1 / ratio))
    np.testing.assert_allclose(result, whole_refined(small_refiner(), upsampled, scaled(image)), atol=1e-5)


@pytest.mark.parametrize("shape", [(30, 24), (60, 48), (31, 25), (20, 16)])
@pytest.mark.parametrize("side", [Affine.identity(), Affine.scale(3, -3)])
def test_scores_without_georeference_cover_the_scene(shape, side):
    scores = ArrayScene(random_scores(shape), transform=side)
    image = ArrayScene(random_image((60, 48)), transform=Affine(0.5, 0, 1e5, 0, -0.5, 5e6), crs=CRS.from_epsg(32631))
    assert refined_scores(scores, image, Model(small_refiner(), CARD)).grid == image.grid


SCENE_GRID = Affine(0.5, 0, 1e5, 0, -0.5, 5e6)


@pytest.mark.parametrize(
    ("shape", "transform", "epsg"),
    [
        ((60, 48), SCENE_GRID, 32632),
        ((60, 48), Affine(0.5, 0, 1e5 + 3, 0, -0.5, 5e6), 32631),
        ((50, 48), SCENE_GRID, 32631),
        ((20, 20), Affine(1, 0, 1e5, 0, -1, 5e6), 32631),
        ((60, 48), Affine(0.5, 0.1, 1e5, 0, -0.5, 5e6), 32631),
        ((60, 48), Affine(0.5, 0, 1e5, 0, 0.5, 5e6), 32631),
        ((50, 40), Affine.identity(), None),
        ((30, 48), Affine.identity(), None),
    ],
    ids=["crs", "shifted", "shorter", "less ground", "rotated", "upside down", "cut, no georeference", "stretched"],
)
def test_scores_over_other_ground_are_refused_with_both_grids(shape, transform, epsg):
    scores = ArrayScene(random_scores(shape), transform=transform, crs=epsg and CRS.from_epsg(epsg))
    image = ArrayScene(random_image((60, 48)), transform=SCENE_GRID, crs=CRS.from_epsg(32631))
    with pytest.raises(GridError, match=rf"(?s)scores: {shape[0]} x {shape[1]} .*scene: 60 x 48 .*gdalwarp"):
        refined_scores(scores, image, Model(small_refiner(), CARD))


def test_wrong_counts_are_refused_with_both_counts():
    image, scores = ArrayScene(random_image((9, 9))), ArrayScene(random_scores((9, 9)))
    with pytest.raises(ModelError, match=r"(?s)3 bands.*made for 2"):
        refined_scores(scores, ArrayScene(random_image((9, 9), bands=3)), Model(small_refiner(), CARD))
    with pytest.raises(ModelError, match="3 classes and was made for 4"):
        refined_scores(scores, image, Model(small_refiner(classes=4), CARD))


@pytest.mark.parametrize("ratio", [2.0, 2.5, 0.5])
@pytest.mark.parametrize("shape", [(60, 44), (37, 51)])
def test_on_other_pixel_sizes_scores_and_image_are_resampled_to_the_refiners_and_back(shape, ratio):
    refiner, image, scores = small_refiner(), ArrayScene(random_image(shape)), ArrayScene(random_scores(shape))
    card = replace(CARD, gsd_m=ratio)
    found, valid = read_whole(refined_scores(scores, image, Model(refiner, card), cut=Cut(16)))
    coarser = [read_whole(ResampledScene(one, ratio, ratio))[0] for one in (scores, image)]
    refined = whole_refined(refiner, coarser[0], scaled(coarser[1]))
    back = ResampledScene(ArrayScene(refined), 1 / ratio, 1 / ratio)
    expected, _ = back.read(image.grid.block)
    assert valid.all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("variant", ["class-specific", "untied"])
def test_every_iteration_is_that_of_the_whole_from_the_scores_to_the_map(variant):
    shape = (41, 23)
    refiner, image, scores = small_refiner(variant=variant), random_image(shape), random_scores(shape)
    raster = refined_scores(
        ArrayScene(scores), ArrayScene(image), Model(refiner, CARD), cut=Cut(16), every_iteration=True
    )
    found, valid = read_whole(raster)
    expected = np.concatenate(every_iteration(refiner, scores, scaled(image)))
    assert raster.band_count == 3 * (refiner.iterations + 1)
    assert valid.all()
    assert np.array_equal(found[:3], scores)
    np.testing.assert_allclose(found, expected, atol=1e-5)
