"""Augmented patches: image, scores and labels stay aligned, and what is drawn hangs on seed and number alone."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from crispmap.data import augmentation
from crispmap.data.augmentation import PatchDraws, warped, warped_labels
from crispmap.data.batches import PatchBatches
from crispmap.data.patches import ArrayPatches
from crispmap.data.sampling import Patches, PatchPlan, PatchSampler
from crispmap.errors import TrainingError
from crispmap.geo.grid import Block
from crispmap.models.settings import AUGMENTATIONS, FLIPS_AND_ROTATIONS
from crispmap.types import IGNORE

EVERY = "+".join(AUGMENTATIONS)
MOVING, COLOURING = ("scale", "elastic"), ("colour", "brightness", "blur", "noise")
ways = st.lists(st.sampled_from(AUGMENTATIONS), unique=True, min_size=1).map("+".join)


def ground_of(shape=(90, 110), ignored=0.0, seed=0) -> ArrayPatches:
    """Blobs of three classes; an image and scores that are the labels, from 1 on, as numbers."""
    rng = np.random.default_rng(seed)
    labels = gaussian_filter(rng.normal(size=(3, *shape)), (0, 6, 6)).argmax(0).astype(np.uint8)
    image = np.stack([labels + 1, 10 * (labels + 1)]).astype(np.float32)
    scores = np.stack([labels == k for k in range(3)]).astype(np.float32)
    labels[rng.random(shape) < ignored] = IGNORE
    return ArrayPatches(image, labels, scores)


def sampler_of(ground: ArrayPatches, augmentation: str, **plan) -> PatchSampler:
    plan = {"patch_px": 24, "margin_px": 5, "augmentation": augmentation, **plan}
    return PatchSampler([ground], ["a", "b", "c"], PatchPlan(**plan))


def assert_same(one: Patches, other: Patches) -> None:
    for name in ("image", "labels", "scores"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(index=st.integers(0, 2**62), moving=st.sampled_from([*MOVING, "scale+elastic", f"{FLIPS_AND_ROTATIONS}+scale"]))
@settings(deadline=None, max_examples=40)
def test_image_scores_and_labels_stay_aligned(index, moving):
    patch = sampler_of(ground_of(), moving).batch(index, 1)
    labels, image = patch.labels[0], patch.image[0, 0, 5:-5, 5:-5]
    known = labels != IGNORE
    # Away from outlines the image is its label to the bit of interpolation; on them it is between both labels.
    sure = known & (patch.scores[0, :, 5:-5, 5:-5].max(0) > 0.999)
    assert sure.sum() > 0.5 * known.sum()
    assert np.abs(image - (labels + 1.0))[sure].max() < 0.01
    np.testing.assert_allclose(patch.image[0, 1], 10 * patch.image[0, 0], rtol=1e-5)


@given(index=st.integers(0, 2**62), changes=st.lists(st.sampled_from(COLOURING), unique=True, min_size=1))
@settings(deadline=None, max_examples=30)
def test_changes_of_colour_leave_labels_scores_and_missing_pixels_alone(index, changes):
    ground = ground_of()
    ground.image[:, 30:60, 40:70] = 0
    plain, changed = (sampler_of(ground, text).batch(index, 1) for text in ("none", "+".join(changes)))
    np.testing.assert_array_equal(changed.labels, plain.labels)
    np.testing.assert_array_equal(changed.scores, plain.scores)
    assert not changed.image[plain.image == 0].any()
    assert np.isfinite(changed.image).all()


@pytest.mark.parametrize("way", [*MOVING, *COLOURING])
def test_every_way_changes_most_patches_and_none_at_zero_strength(way, monkeypatch):
    plain, changed = (sampler_of(ground_of(), text, patch_px=50).batch(0, 20) for text in ("none", way))
    assert sum((one != other).any() for one, other in zip(plain.image, changed.image, strict=True)) >= 17
    for name, value in {"ELASTIC_PX": 0, "LARGEST_ZOOM": 1, "COLOUR": 0, "BRIGHTNESS": 0, "NOISE": 0}.items():
        monkeypatch.setattr(augmentation, name, value)
    monkeypatch.setattr(augmentation, "BLUR_PX", 0)
    still = sampler_of(ground_of(), way, patch_px=50).batch(0, 20)
    np.testing.assert_allclose(still.image, plain.image, atol=1e-3)
    np.testing.assert_array_equal(still.labels, plain.labels)


@given(seed=st.integers(0, 2**63 - 1), first=st.integers(0, 1000), text=ways)
@settings(deadline=None, max_examples=15)
def test_a_patch_is_a_function_of_seed_and_number(seed, first, text):
    batch = sampler_of(ground_of(ignored=0.3), text, seed=seed).batch(first, 3)
    for i in (2, 0, 1):
        alone = sampler_of(ground_of(ignored=0.3), text, seed=seed).batch(first + i, 1)
        assert_same(alone, Patches(batch.image[i : i + 1], batch.labels[i : i + 1], batch.scores[i : i + 1]))


def test_bits_hang_neither_on_threads_nor_on_how_a_batch_is_shared_nor_on_torchs_own_numbers():
    sampler, threads = sampler_of(ground_of(), EVERY), torch.get_num_threads()
    whole = PatchBatches(sampler, 4, range(2))[1]
    torch.manual_seed(5)
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        halves = [PatchBatches(sampler, 4, range(2), rank=rank, world_size=2)[1] for rank in range(2)]
    finally:
        torch.set_num_threads(threads)
    for name, value in whole.items():
        assert torch.equal(value, torch.cat([half[name] for half in halves])), name


def test_flips_and_rotations_have_the_bits_they_had_before_there_were_other_ways():
    labels = (np.arange(300).reshape(15, 20) % 7 % 3).astype(np.uint8)
    image = np.arange(300, dtype=np.float32).reshape(1, 15, 20)
    sampler = PatchSampler([ArrayPatches(image, labels)], "abc", PatchPlan(4, 2, sampling="balanced", seed=1))
    batch = sampler.batch(5, 6)
    assert [zlib.crc32(one.tobytes()) for one in (batch.image, batch.labels)] == [3368000069, 3686760765]


def test_one_way_more_changes_nothing_in_what_the_others_draw():
    def pairs(text: str) -> np.ndarray:
        return sampler_of(ground_of(), text).batch(0, 8).image

    flipped = pairs(FLIPS_AND_ROTATIONS)
    bright = pairs(f"{FLIPS_AND_ROTATIONS}+brightness")
    offsets = (bright - flipped).reshape(8, -1)
    assert np.ptp(offsets, axis=1).max() < 1e-4
    both = pairs(f"noise+brightness+{FLIPS_AND_ROTATIONS}") - pairs(f"{FLIPS_AND_ROTATIONS}+noise")
    np.testing.assert_allclose(both.reshape(8, -1), offsets, atol=1e-4)


def test_strengths_are_those_said(monkeypatch):
    ground = ground_of()
    flat = ArrayPatches(np.ones((3, 90, 110), np.float32), ground.labels)
    drawn = {way: sampler_of(flat, way).batch(0, 300).image - 1 for way in COLOURING}
    offsets = drawn["brightness"][:, 0, 0, 0]
    assert np.ptp(drawn["brightness"].reshape(300, -1), axis=1).max() < 1e-5  # all bands together
    assert (offsets.min(), offsets.max()) == pytest.approx((-0.3, 0.3), abs=0.02)
    bands = drawn["colour"][:, :, 0, 0]
    assert abs(np.corrcoef(bands.T)[0, 1]) < 0.2  # each band by itself
    assert (bands.min(), bands.max()) == pytest.approx((np.exp(-0.2) - 1.2, np.exp(0.2) - 0.8), abs=0.06)
    deviations = drawn["noise"].reshape(300, -1).std(axis=1)
    assert (deviations.min(), deviations.max()) == pytest.approx((0, 0.2), abs=0.01)
    assert np.abs(drawn["blur"]).max() < 1e-5
    zooms = [PatchDraws(("scale",), 0, i).warp(50) for i in range(300)]
    steps = np.array([at[0, 1, 0] - at[0, 0, 0] for at in zooms])
    assert (steps.min(), steps.max()) == pytest.approx((0.75, 4 / 3), abs=0.02)
    assert np.allclose([at.mean() for at in zooms], 24.5)  # about the centre


def test_elastic_is_the_published_one_on_large_patches_and_folds_small_ones_rarely():
    places = np.stack(np.mgrid[:571, :571])
    moves = [PatchDraws(("elastic",), 0, i).warp(571) - places for i in range(60)]
    at_nodes = np.stack([move[:, ::285, ::285] for move in moves])
    assert at_nodes.std() == pytest.approx(10, rel=0.1)
    assert abs(np.corrcoef(at_nodes[:, 0, 0, 0], at_nodes[:, 0, 0, 1])[0, 1]) < 0.4
    nodes = torch.from_numpy(at_nodes)
    expected = torch.nn.functional.interpolate(nodes[:3], (571, 571), mode="bicubic", align_corners=True)
    np.testing.assert_allclose(moves[:3], expected.numpy(), atol=1e-9)
    small = np.stack([PatchDraws(("elastic",), 0, i).warp(40) for i in range(400)])
    folded = (np.diff(small[:, 0], axis=1) <= 0).any((1, 2)) | (np.diff(small[:, 1], axis=2) <= 0).any((1, 2))
    assert folded.mean() < 0.02


@given(seed=st.integers(0, 1000), row=st.integers(-8, 20), col=st.integers(-8, 20))
@settings(deadline=None, max_examples=25)
def test_moved_values_are_those_of_scipy_and_labels_those_of_the_nearest_pixel(seed, row, col):
    rng = np.random.default_rng(seed)
    image, labels = rng.normal(size=(2, 30, 30)).astype(np.float32), rng.integers(0, 3, (30, 30)).astype(np.uint8)
    source, block = ArrayPatches(image, labels), Block(row, col, 12, 12)
    at = np.stack(np.mgrid[:12, :12]) + rng.uniform(-3, 3, (2, 12, 12))
    there = at + np.array([row, col])[:, None, None]
    expected = [map_coordinates(one, there, order=1, mode="reflect") for one in image]
    np.testing.assert_allclose(warped(source.read_image, block, at), expected, atol=1e-4)
    nearest = map_coordinates(labels, np.floor(there + 0.5), order=0, mode="constant", cval=IGNORE)
    np.testing.assert_array_equal(warped_labels(source, block, at), nearest)


def test_outside_its_piece_a_patch_has_no_label():
    ground = ground_of((24, 24))
    ground.labels[:] = np.arange(3)[np.arange(24) % 3]
    moved = sampler_of(ground, "scale").batch(0, 40).labels
    outside = (moved == IGNORE).mean(axis=(1, 2))
    zooms = np.array([np.ptp(PatchDraws(("scale",), 0, i).warp(34)) / 33 for i in range(40)])
    np.testing.assert_allclose(outside, np.clip(1 - 1 / zooms**2, 0, 1), atol=0.09)
    assert set(np.unique(moved)) == {0, 1, 2, IGNORE}


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_shares_of_classes_and_of_unlabelled_pixels_stay_about_the_same(sampling):
    ground = ground_of((140, 150), ignored=0.2)
    plain, moved = (
        sampler_of(ground, text, sampling=sampling).batch(0, 400).labels for text in ("none", "scale+elastic")
    )
    shares = [np.bincount(labels.ravel(), minlength=256) / labels.size for labels in (plain, moved)]
    assert np.abs(shares[0] - shares[1])[:3].max() < 0.04
    assert 0 <= shares[1][IGNORE] - shares[0][IGNORE] < 0.05  # some come from beyond the border
    assert not shares[1][3:IGNORE].any()


def test_a_patch_that_would_lose_its_last_label_is_not_moved():
    ground = ground_of()
    labels = np.full_like(ground.labels, IGNORE)
    labels[[0, 0, 89], [0, 109, 0]] = 0, 1, 2
    lone = ArrayPatches(ground.image, labels, ground.scores)
    batch = sampler_of(lone, "scale+elastic", min_labelled=0).batch(0, 60)
    assert ((batch.labels != IGNORE).any(axis=(1, 2))).all()
    assert sampler_of(lone, EVERY, patch_px=1, margin_px=0, min_labelled=0).batch(0, 20).image.shape == (20, 2, 1, 1)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("colours", "Did you mean colour?"), ("elastics+noise", "Did you mean elastic?"), ("", ""), ("blur+blur", ""),
        ("flips-and-rotation", "Did you mean flips-and-rotations?"), ("None", "Did you mean none?"), ("xyz", ""),
    ],
)  # fmt: skip
def test_other_names_are_refused_with_the_nearest(text, remedy):
    with pytest.raises(TrainingError) as refused:
        PatchPlan(8, 0, augmentation=text)
    assert refused.value.remedy == remedy
    assert all(name in refused.value.expected for name in (*AUGMENTATIONS, "none"))


def test_orders_and_blanks_say_nothing():
    texts = ["blur + noise", "noise+blur", "blur+noise"]
    for one, other in pairwise(sampler_of(ground_of(), text).batch(3, 2) for text in texts):
        assert_same(one, other)
