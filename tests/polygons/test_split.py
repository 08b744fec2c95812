"""Regions come apart where their scores sink, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from crispmap.polygons.split import margin, parts_of_region


def two_humps(valley: float, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((size + 4, 2 * size + 4), bool)
    mask[2:-2, 2:-2] = True
    relief = np.where(mask, 6.0, -6.0).astype(np.float32)
    relief[:, size + 1 : size + 3] = valley
    return mask, relief


def test_two_roofs_come_apart_at_the_valley_between() -> None:
    mask, relief = two_humps(0.5)
    parts, count = parts_of_region(mask, relief, 40)
    assert count == 2
    assert ((parts > 0) == mask).all()
    assert len(np.unique(parts[:, :13][mask[:, :13]])) == 1
    assert parts[8, 4] != parts[8, -5]


@pytest.mark.parametrize(("valley", "least_px"), [(5.0, 40), (0.5, 200)])
def test_shallow_valleys_and_small_parts_do_not_count(valley: float, least_px: int) -> None:
    mask, relief = two_humps(valley)
    parts, count = parts_of_region(mask, relief, least_px)
    assert count == 1
    assert (parts == mask).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), least_px=st.integers(2, 30))
def test_parts_share_out_the_region_each_in_one_piece(seed: int, least_px: int) -> None:
    rng = np.random.default_rng(seed)
    relief = (9 * ndimage.gaussian_filter(rng.standard_normal((40, 50)), 2)).astype(np.float32) * 3
    label, _ = ndimage.label(relief > -2)
    mask = label == np.bincount(label[label > 0]).argmax() if label.any() else relief > 99
    parts, count = parts_of_region(mask, relief, least_px)
    assert ((parts > 0) == mask).all()
    assert set(np.unique(parts[mask])) == set(range(1, count + 1)) or not mask.any()
    for number in range(1, count + 1):
        assert ndimage.label(parts == number)[1] == 1
        assert count == 1 or (parts == number).sum() >= least_px


def test_the_margin_is_the_log_odds_of_the_class() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert margin(logits, 1) == pytest.approx(np.log(shares[1] / (1 - shares[1])), abs=1e-5)
