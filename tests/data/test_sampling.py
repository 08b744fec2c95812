"""Patches: reproducible, inside their ground, and drawn as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.data import sampling
from crispmap.data.batches import PatchBatches, PieceTiles, in_order
from crispmap.data.patches import ArrayPatches
from crispmap.data.sampling import Patches, PatchPlan, PatchSampler, class_weights
from crispmap.errors import LabelError, TrainingError
from crispmap.types import IGNORE


def ground_of(shape=(40, 50), classes=3, seed=0, bands=2, scores=False, ignored=0.0) -> ArrayPatches:
    """Ground whose image, labels and scores all tell their position, so that they can be matched."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    labels[rng.random(shape) < ignored] = IGNORE
    place = np.arange(labels.size, dtype=np.float32).reshape(shape)
    image = np.stack([place + 10_000 * band for band in range(bands)])
    coarse = np.stack([place + 0.5 + 10_000 * k for k in range(classes)]) if scores else None
    return ArrayPatches(image, labels, coarse)


def sampler_of(*grounds: ArrayPatches, classes=3, **plan) -> PatchSampler:
    return PatchSampler(
        grounds or (ground_of(),),
        [f"c{k}" for k in range(classes)],
        PatchPlan(**{"patch_px": 8, "margin_px": 3, **plan}),
    )


@given(
    index=st.integers(0, 2**62),
    seed=st.integers(0, 2**62),
    sampling=st.sampled_from(["uniform", "balanced"]),
    margin=st.integers(0, 60),
)
@settings(deadline=None, max_examples=40)
def test_image_labels_and_scores_of_a_patch_are_one_place(index, seed, sampling, margin):
    ground = ground_of(scores=True)
    batch = sampler_of(ground, seed=seed, sampling=sampling, margin_px=margin).batch(index, 1)
    patch = Patches(batch.image[0], batch.labels[0], batch.scores[0])
    side = 8
    assert patch.image.shape == (2, side + 2 * margin, side + 2 * margin)
    assert patch.scores.shape == (3, side + 2 * margin, side + 2 * margin)
    np.testing.assert_array_equal(patch.scores[0], patch.image[0] + 0.5)
    np.testing.assert_array_equal(patch.image[1], patch.image[0] + 10_000)
    middle = patch.image[0, margin : margin + side, margin : margin + side].astype(int)
    assert len(np.unique(middle)) == side * side  # wholly inside: nothing reflected
    np.testing.assert_array_equal(patch.labels, ground.labels.ravel()[middle])


@given(seed=st.integers(0, 2**63 - 1), first=st.integers(0, 1000), count=st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_a_patch_is_a_function_of_seed_and_index(seed, first, count):
    batch = sampler_of(seed=seed).batch(first, count)
    again = sampler_of(seed=seed)
    for i in reversed(range(count)):
        np.testing.assert_array_equal(again.batch(first + i, 1).image[0], batch.image[i])
        np.testing.assert_array_equal(again.batch(first + i, 1).labels[0], batch.labels[i])


def test_other_seeds_and_other_indices_give_other_patches():
    drawn = [sampler_of(seed=s).batch(i, 1).image.tobytes() for s in range(10) for i in range(10)]
    assert len(set(drawn)) > 95


def test_all_eight_symmetries_occur_equally_and_none_when_switched_off():
    corners = [sampler_of().batch(i, 1).image[0, 0] for i in range(800)]
    # Position grows by 1 along a row and by 50 down a column: the two steps tell the symmetry.
    kinds = [(int(c[4, 5] - c[4, 4]), int(c[5, 4] - c[4, 4])) for c in corners]
    found, counts = np.unique(kinds, axis=0, return_counts=True)
    assert {tuple(k) for k in found.tolist()} == {
        (a, b) for p, q in ((1, 50), (50, 1)) for a in (p, -p) for b in (q, -q)
    }
    assert counts.min() > 60
    plain = sampler_of(augmentation="none", margin_px=0).batch(0, 50).image[:, 0]
    assert np.all(np.diff(plain, axis=2) == 1)


def test_uniform_places_are_spread_by_area():
    small, large = ground_of((20, 20)), ground_of((40, 60))
    large.image[:] += 5_000
    drawn = sampler_of(small, large, margin_px=0).batch(0, 2000).image[:, 0]
    share = np.mean(drawn[:, 0, 0] >= 5_000)
    assert abs(share - 2400 / 2800) < 0.03


def test_balanced_draws_show_a_rare_class_as_often_as_promised():
    labels = np.zeros((60, 60), np.uint8)
    labels[30, 30] = 1
    ground = ArrayPatches(np.zeros((1, 60, 60), np.float32), labels)
    balanced = sampler_of(ground, classes=2, sampling="balanced").batch(0, 600).labels
    share = np.mean((balanced == 1).any(axis=(1, 2)))
    assert 0.45 < share < 0.58  # half, and by chance now and then
    uniform = sampler_of(ground, classes=2).batch(0, 600).labels
    assert np.mean((uniform == 1).any(axis=(1, 2))) < 0.1
    where = np.argwhere(balanced == 1)[:, 1:]
    assert {tuple(w) for w in where.tolist()} == {(r, c) for r in range(8) for c in range(8)}


def test_balanced_patches_hold_pixels_at_the_very_border():
    labels = np.zeros((20, 20), np.uint8)
    labels[0, 0] = labels[19, 19] = 1
    ground = ArrayPatches(np.zeros((1, 20, 20), np.float32), labels)
    drawn = sampler_of(ground, classes=2, sampling="balanced", patch_px=20).batch(0, 20)
    assert np.all(drawn.labels.sum(axis=(1, 2), where=drawn.labels == 1) == 2)


def test_thinly_labelled_ground_still_gives_labelled_patches():
    labels = np.full((200, 200), IGNORE, np.uint8)
    labels[100, 100], labels[150, 20] = 0, 1
    ground = ArrayPatches(np.zeros((1, 200, 200), np.float32), labels)
    drawn = sampler_of(ground, classes=2).batch(0, 40)
    assert np.all((drawn.labels != IGNORE).any(axis=(1, 2)))


def test_patches_with_few_labels_are_drawn_again():
    labels = np.full((64, 64), IGNORE, np.uint8)
    labels[:, :32] = np.arange(32) % 2
    ground = ArrayPatches(np.zeros((1, 64, 64), np.float32), labels)
    drawn = sampler_of(ground, classes=2, min_labelled=0.5).batch(0, 200)
    assert np.all((drawn.labels != IGNORE).mean(axis=(1, 2)) >= 0.5)


def test_the_index_of_a_common_class_is_drawn_evenly(monkeypatch):
    monkeypatch.setattr(sampling, "POSITIONS_PER_CLASS", 500)
    ground = ground_of((100, 100), classes=2)
    drawn = sampler_of(ground, ground_of((50, 100), classes=2, seed=1), classes=2)._positions[0]
    assert drawn.shape == (500, 3)
    assert np.all(ground.labels[*drawn[drawn[:, 0] == 0][:, 1:].T] == 0)
    assert abs(np.mean(drawn[:, 0] == 0) - 2 / 3) < 0.1
    assert abs(drawn[drawn[:, 0] == 0][:, 1].mean() - 50) < 8


def test_bad_plans_and_grounds_are_refused():
    for plan in (
        {"patch_px": 0},
        {"patch_px": 10, "stride_px": 4},
        {"margin_px": -1},
        {"min_labelled": 2.0},
        {"seed": -1},
        {"sampling": "fair"},
    ):
        with pytest.raises(TrainingError, match="Expected"):
            sampler_of(**plan)
    with pytest.raises(TrainingError, match="no training area"):
        PatchSampler([], ["a", "b"], PatchPlan(8, 0))
    with pytest.raises(TrainingError, match=r"6 x 90 pixels is smaller than a patch of 8"):
        sampler_of(ground_of(), ground_of((6, 90)))
    with pytest.raises(TrainingError, match="differ"):
        sampler_of(ground_of(), ground_of(scores=True))
    with pytest.raises(LabelError, match="'c3'"):
        sampler_of(classes=4)


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=6))
@settings(deadline=None, max_examples=30)
def test_class_weights_keep_the_mean_and_even_out(counts):
    counts = np.array(counts)
    for kind, power in (("inverse", 1.0), ("inverse-sqrt", 0.5)):
        weights = class_weights(counts, kind)
        assert np.isclose((weights * counts).sum() / counts.sum(), 1, rtol=1e-5)
        even = weights * counts.astype(float) ** power
        np.testing.assert_allclose(even, even[0], rtol=1e-5)
    assert class_weights(counts, "none") is None


def test_impossible_class_weights_are_refused():
    with pytest.raises(TrainingError):
        class_weights(np.array([1, 0]), "inverse")
    with pytest.raises(TrainingError, match="fancy"):
        class_weights(np.array([1, 1]), "fancy")


class TestBatches:
    def test_any_step_can_be_the_first(self):
        sampler = sampler_of(ground_of(scores=True))
        whole = list(in_order(PatchBatches(sampler, 4, range(6))))
        rest = list(in_order(PatchBatches(sampler, 4, range(3, 6))))
        assert len(whole) == 6
        for a, b in zip(whole[3:], rest, strict=True):
            assert a.keys() == b.keys() == {"image", "labels", "scores"}
            assert all(torch.equal(a[key], b[key]) for key in a)
        assert whole[0]["labels"].dtype == torch.int64

    def test_workers_change_nothing(self):
        sampler = sampler_of()
        plain = list(in_order(PatchBatches(sampler, 2, range(4))))
        worked = list(in_order(PatchBatches(sampler, 2, range(4)), workers=1))
        assert all(torch.equal(a["image"], b["image"]) for a, b in zip(plain, worked, strict=True))

    def test_processes_share_the_same_batch(self):
        sampler = sampler_of()
        whole = PatchBatches(sampler, 6, range(2, 4))[1]["image"]
        parts = [PatchBatches(sampler, 6, range(2, 4), rank=r, world_size=3)[1]["image"] for r in range(3)]
        assert torch.equal(torch.cat(parts), whole)
        with pytest.raises(TrainingError, match="shared by 4"):
            PatchBatches(sampler, 6, range(2), world_size=4)


class TestTiles:
    @given(st.tuples(st.integers(1, 21), st.integers(1, 21)), st.sampled_from([4, 8]), st.integers(0, 9))
    @settings(deadline=None, max_examples=30)
    def test_tiles_hold_every_pixel_once(self, shape, tile, margin):
        ground = ground_of(shape, scores=True)
        seen = np.zeros(shape, int)
        for batch in PieceTiles([ground], tile, margin, 4):
            assert batch["image"].shape == (1, 2, tile + 2 * margin, tile + 2 * margin)
            assert torch.equal(batch["scores"][0, 0], batch["image"][0, 0] + 0.5)
            known = batch["labels"][0].numpy() != IGNORE
            middle = batch["image"][0, 0, margin : margin + tile, margin : margin + tile].numpy()
            np.add.at(seen.reshape(-1), middle[known].astype(int), 1)
            np.testing.assert_array_equal(
                batch["labels"][0].numpy()[known], ground.labels.ravel()[middle[known].astype(int)]
            )
        assert np.all(seen == 1)

    def test_the_ground_is_never_written_through_a_tile(self):
        ground = ground_of((8, 8))
        before = ground.image.copy()
        for batch in PieceTiles([ground], 8, 0):
            batch["image"].zero_()
        np.testing.assert_array_equal(ground.image, before)

    def test_tiles_off_the_stride_are_refused(self):
        with pytest.raises(TrainingError, match="multiple of 4"):
            PieceTiles([ground_of()], 10, 0, 4)
