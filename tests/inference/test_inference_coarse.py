"""The scores of a coarse network on a scene are those of the network on the whole scene, however they are read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from small_models import BANDS, StridedNetwork, coarse_card, random_image, scaled, whole_coarse

from array_scene import ArrayScene
from crispmap.errors import ModelError, SceneError
from crispmap.geo.grid import Block
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.plan import Cut, visit_blocks
from crispmap.models.model import Model
from crispmap.models.scaling import Scaling
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import read_whole

CARD = coarse_card()
SHAPES = [(97, 61), (64, 64), (1, 1), (130, 1), (3, 200)]


def read_in_blocks(scores, block_px):
    result = np.full((scores.band_count, *scores.grid.shape), np.nan, np.float32)
    for block in visit_blocks(scores.grid.shape, block_px):
        result[:, *block.slices] = scores.read(block)[0]
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tile_px", [17, 32, 512])
def test_tiled_scores_are_those_of_the_whole_image(shape, tile_px):
    network, image = StridedNetwork(), random_image(shape)
    scores, valid = read_whole(coarse_scores(ArrayScene(image), Model(network, CARD), cut=Cut(tile_px)))
    assert valid.all()
    np.testing.assert_allclose(scores, whole_coarse(network, scaled(image)), atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(height=st.integers(1, 70), width=st.integers(1, 70), tile_px=st.integers(2, 80), block_px=st.integers(3, 90))
def test_scores_do_not_depend_on_tiles_or_blocks(height, width, tile_px, block_px):
    network, image = StridedNetwork(), random_image((height, width))
    whole = whole_coarse(network, scaled(image))
    scores = coarse_scores(ArrayScene(image), Model(network, CARD), cut=Cut(tile_px, block_px))
    np.testing.assert_allclose(read_in_blocks(scores, block_px), whole, atol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 2.5, 1.7])
def test_bytes_do_not_depend_on_the_block(ratio):
    scene = ArrayScene(random_image((203, 151)), gsd=(1 / ratio, 1 / ratio))
    results = [
        read_in_blocks(coarse_scores(scene, Model(StridedNetwork(), CARD), cut=Cut(32, size)), size)
        for size in (16, 37, 64, 500)
    ]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def area_mean(image, ratio_y, ratio_x):
    """Brute force: the mean of each large pixel over the small pixels it covers, by their shared area."""
    height, width = image.shape[1:]

    def shares(length, ratio):
        count = int(np.ceil(length / ratio - 1e-6))
        weight = np.zeros((count, length))
        for i in range(count):
            for j in range(length):
                weight[i, j] = max(0.0, min((i + 1) * ratio, j + 1) - max(i * ratio, j))
        return weight / weight.sum(1, keepdims=True)

    return np.einsum("ih,bhw,jw->bij", shares(height, ratio_y), image, shares(width, ratio_x)).astype(np.float32)


@pytest.mark.parametrize("ratio", [(2.0, 2.0), (2.5, 2.5), (1.7, 2.3), (1.0, 2.0), (4.0, 3.0)])
@pytest.mark.parametrize("shape", [(83, 101), (9, 4), (120, 60)])
def test_a_finer_scene_is_averaged_down_and_its_scores_brought_up_bilinearly(ratio, shape):
    network, image = StridedNetwork(), random_image(shape, seed=3)
    scene = ArrayScene(image, gsd=(1 / ratio[0], 1 / ratio[1]))
    scores, _ = read_whole(coarse_scores(scene, Model(network, CARD), cut=Cut(16)))
    coarse = whole_coarse(network, scaled(area_mean(image, *ratio)))
    expected = F.interpolate(
        torch.from_numpy(coarse)[None], scale_factor=ratio, mode="bilinear", align_corners=False,
        recompute_scale_factor=False,
    )[0].numpy()  # fmt: skip
    rows, cols = (min(a, b) for a, b in zip(shape, expected.shape[1:], strict=True))  # torch rounds the shape down
    np.testing.assert_allclose(scores[:, :rows, :cols], expected[:, :rows, :cols], atol=1e-4)
    assert scores.shape[1:] == shape


def test_a_coarser_scene_is_brought_up_and_its_scores_averaged_down():
    network, image = StridedNetwork(), random_image((40, 30))
    scene = ArrayScene(image, gsd=(2.0, 2.0))
    scores, valid = read_whole(coarse_scores(scene, Model(network, CARD)))
    finer, _ = read_whole(ResampledScene(scene, 0.5, 0.5))
    np.testing.assert_allclose(scores, area_mean(whole_coarse(network, scaled(finer)), 2, 2), atol=1e-4)
    assert valid.all()


def test_a_difference_of_one_per_cent_is_none():
    image, network = random_image((40, 40)), StridedNetwork()
    scores, _ = read_whole(coarse_scores(ArrayScene(image, gsd=(1.009, 0.992)), Model(network, CARD)))
    np.testing.assert_allclose(scores, whole_coarse(network, scaled(image)), atol=1e-5)


def test_pixels_of_degrees_are_resampled_by_their_length_on_the_ground():
    """At 60 degrees a degree of longitude is half as long: square pixels in degrees have a ratio per axis."""
    image = random_image((59, 63))
    degree_m = 111_412.0  # a degree of latitude at 60 degrees north on WGS84
    scene = ArrayScene(image, transform=Affine(1 / degree_m, 0, 10, 0, -1 / degree_m, 60), crs=CRS.from_epsg(4326))
    x, y = scene.grid.gsd_m()
    assert y == pytest.approx(1, rel=1e-3)
    assert x == pytest.approx(0.5, rel=1e-2)
    network = StridedNetwork()
    read_whole(coarse_scores(scene, Model(network, coarse_card(gsd_m=2.0))))
    assert network.shapes == {(30 + 10, 16 + 10)}


def test_every_tile_has_one_shape():
    network = StridedNetwork()
    read_whole(coarse_scores(ArrayScene(random_image((203, 151))), Model(network, CARD), cut=Cut(64)))
    assert len(network.shapes) == 1


def test_no_tile_is_computed_twice_within_a_strip():
    network = StridedNetwork()
    scores = coarse_scores(ArrayScene(random_image((300, 300))), Model(network, CARD), cut=Cut(64, 50))
    for block in visit_blocks((300, 300), 50):
        scores.read(block.padded(10))
    assert network.calls == 25


def test_the_declared_radius_is_true():
    """A pixel changes scores as far as the radius and no further."""
    network, image = StridedNetwork(), random_image((64, 64))
    reach = 0
    before, _ = read_whole(coarse_scores(ArrayScene(image), Model(network, CARD), cut=Cut(20)))
    for row, col in [(31, 31), (32, 32), (31, 32), (20, 40)]:
        other = image.copy()
        other[:, row, col] += 500
        after, _ = read_whole(coarse_scores(ArrayScene(other), Model(network, CARD), cut=Cut(20)))
        rows, cols = np.nonzero((before != after).any(axis=0))
        reach = max(reach, np.abs(rows - row).max(), np.abs(cols - col).max())
    assert reach == network.radius_px


def test_valid_exactly_where_the_scene_is_and_zero_elsewhere():
    valid = np.random.default_rng(1).random((70, 50)) > 0.5
    valid[:32, :32] = False
    for ratio in (1.0, 2.5):
        scene = ArrayScene(random_image((70, 50)), valid, gsd=(1 / ratio, 1 / ratio))
        scores, known = read_whole(coarse_scores(scene, Model(StridedNetwork(), CARD), cut=Cut(16)))
        assert np.array_equal(known, valid)
        assert (scores[:, ~valid] == 0).all()
        assert (scores[:, valid] != 0).any(axis=0).all()


def test_invalid_pixels_enter_the_network_as_zero_after_scaling():
    network, image = StridedNetwork(), random_image((50, 50))
    valid = np.random.default_rng(1).random((50, 50)) > 0.3
    values = np.where(valid, scaled(image), np.float32(0))
    scores, _ = read_whole(coarse_scores(ArrayScene(image, valid), Model(network, CARD), cut=Cut(20)))
    np.testing.assert_allclose(scores, whole_coarse(network, values) * valid, atol=1e-5)


def test_ground_without_a_valid_pixel_costs_one_tile():
    network = StridedNetwork()
    scene = ArrayScene(random_image((400, 400)), np.zeros((400, 400), bool))
    read_whole(coarse_scores(scene, Model(network, CARD), cut=Cut(50)))
    assert network.calls == 1


def test_wrong_band_count_tells_both_counts_and_the_remedy():
    with pytest.raises(ModelError, match=r"(?s)3 bands.*on 2 \(red, green\)"):
        coarse_scores(ArrayScene(random_image((9, 9), bands=3)), Model(StridedNetwork(), CARD))


@pytest.mark.parametrize("gsd", [(30.0, 30.0), (1.0, 0.001)])
def test_pixels_far_from_the_models_are_refused(gsd):
    with pytest.raises(SceneError, match=r"(?s)works at 1 m"):
        coarse_scores(ArrayScene(random_image((9, 9)), gsd=gsd), Model(StridedNetwork(), CARD))


def test_scores_that_are_not_numbers_are_refused():
    network = StridedNetwork()
    network.second.weight.data[0] = torch.nan
    with pytest.raises(ModelError, match="not numbers"):
        coarse_scores(ArrayScene(random_image((9, 9))), Model(network, CARD)).read(Block(0, 0, 3, 3))


def test_the_raster_carries_the_scenes_grid_and_the_class_names():
    scene = ArrayScene(random_image((9, 12)), gsd=(0.5, 0.5), names=BANDS)
    scores = coarse_scores(scene, Model(StridedNetwork(), CARD))
    assert scores.grid == scene.grid
    assert scores.band_names == CARD.schema.names
    assert scores.path == scene.path


@pytest.mark.realdata
def test_scores_of_a_finer_zoom_lie_on_the_same_ground(real_data):
    """Two zooms of one ground: scores of the finer agree best where nothing is shifted."""
    network = StridedNetwork(bands=3)
    with (
        open_scene(real_data / "kampala/A_z19_rgb.tif") as own,
        open_scene(real_data / "kampala/A_z20_rgb.tif") as finer,
    ):
        card = coarse_card(
            gsd_m=own.grid.mean_gsd_m(),
            band_names=("red", "green", "blue"),
            scaling=Scaling((127.0,) * 3, (64.0,) * 3),
        )
        expected, _ = read_whole(coarse_scores(own, Model(network, card)))
        scores, _ = read_whole(coarse_scores(finer, Model(network, card)))
    scores = scores.reshape(3, 512, 2, 768, 2).mean(axis=(2, 4))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    agreement = {
        shift: np.corrcoef(np.roll(scores, shift, (1, 2))[inside].ravel(), expected[inside].ravel())[0, 1]
        for shift in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    }
    assert max(agreement, key=agreement.get) == (0, 0)
    assert agreement[0, 0] > 0.9
