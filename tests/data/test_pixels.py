"""Pixels drawn alike from every class: of that class, none twice, each with its own ground around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.data.patches import ArrayPatches
from crispmap.data.pixels import draw_pixels
from crispmap.errors import LabelError, TrainingError
from crispmap.types import IGNORE

NAMES = ("field", "road", "house")


def ground_of(seed: int, shape: tuple[int, int], first: int = 0, bands: int = 2) -> ArrayPatches:
    """Ground whose image tells every pixel's number, counted from ``first``; a fifth of it is not labelled."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.2] = IGNORE
    number = np.arange(first, first + labels.size, dtype=np.float32).reshape(shape)
    return ArrayPatches(np.stack([number, -number][:bands]), labels)


@given(
    seed=st.integers(0, 2**32 - 1),
    margin=st.integers(0, 9),
    per_class=st.integers(10, 200),
    shape=st.tuples(st.integers(8, 20), st.integers(8, 20)),
)
@settings(deadline=None, max_examples=30)
def test_every_class_gives_its_own_pixels_once_each(seed, margin, per_class, shape):
    grounds = [ground_of(seed, (15, 16)), ground_of(seed + 1, shape, first=15 * 16)]
    sample = draw_pixels(grounds, NAMES, per_class, margin_px=margin, seed=seed)
    labels = np.concatenate([ground.labels.ravel() for ground in grounds])
    numbers = sample.images[:, 0, margin, margin].astype(int)
    assert sample.images.shape == (len(numbers), 2, 2 * margin + 1, 2 * margin + 1)
    assert len(set(numbers)) == len(numbers)
    np.testing.assert_array_equal(labels[numbers], sample.labels)
    np.testing.assert_array_equal(sample.available, [np.count_nonzero(labels == k) for k in range(3)])
    np.testing.assert_array_equal(sample.drawn, np.minimum(sample.available, per_class))
    np.testing.assert_array_equal(np.bincount(sample.labels, minlength=3), sample.drawn)
    for image, number in zip(sample.images, numbers, strict=True):
        ground, place = (grounds[0], number) if number < 15 * 16 else (grounds[1], number - 15 * 16)
        row, col = divmod(place, ground.shape[1])
        around = np.pad(ground.image, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
        np.testing.assert_array_equal(image, around[:, row : row + 2 * margin + 1, col : col + 2 * margin + 1])


def test_the_seed_decides_the_draw_and_every_pixel_is_as_likely():
    ground = ground_of(0, (30, 30))
    draws = [draw_pixels([ground], NAMES, 40, seed=seed).images.ravel() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    counts = np.zeros(900)
    for seed in range(200):
        sample = draw_pixels([ground], NAMES, 40, seed=seed)
        np.add.at(counts, sample.images[:, 0, 0, 0].astype(int), 1)
    for class_id, total in enumerate(sample.available):
        found = counts[ground.labels.ravel() == class_id]
        expected = 200 * 40 / total
        assert abs(found - expected).max() < 6 * np.sqrt(expected)


def test_a_class_that_is_rare_or_absent_is_told_by_name():
    ground = ground_of(0, (30, 30))
    labels = ground.labels.copy()
    houses = np.flatnonzero(labels == 2)
    labels.ravel()[houses[9:]] = 0
    with pytest.raises(LabelError, match="too few labelled pixels: 9 of class 'house'"):
        draw_pixels([ArrayPatches(ground.image, labels)], NAMES, 100)
    labels[labels != IGNORE] = 1
    with pytest.raises(LabelError, match="no pixel of class 'field' or 'house'"):
        draw_pixels([ArrayPatches(ground.image, labels)], NAMES, 100)
    with pytest.raises(LabelError, match="ids 2"):
        draw_pixels([ground], NAMES[:2], 100)


def test_no_ground_and_ground_of_different_bands_are_refused():
    with pytest.raises(TrainingError, match="have no bands"):
        draw_pixels([], NAMES, 100)
    with pytest.raises(TrainingError, match="have 1 and 2 bands"):
        draw_pixels([ground_of(0, (30, 30)), ground_of(1, (30, 30), bands=1)], NAMES, 100)
