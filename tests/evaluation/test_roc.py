"""Areas and curves equal scikit-learn's, within the stated error; counts may be added in any parts."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logit
from sklearn.metrics import roc_auc_score, roc_curve

from crispmap.evaluation.roc import ThresholdCounts, one_against_rest

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def counted(scores, positive, parts=1):
    counts = ThresholdCounts()
    for index in range(parts):
        counts.add(np.asarray(scores, np.float32)[index::parts], np.asarray(positive)[index::parts])
    return counts


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(2, 400),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    parts=st.integers(1, 4),
)
def test_the_area_is_scikit_learns_to_the_error_told(seed, count, scale, parts):
    random = np.random.default_rng(seed)
    positive = random.random(count) > 0.4
    positive[:2] = True, False
    scores = ((random.normal(size=count) + positive) * scale).astype(np.float32)
    area = counted(scores, positive, parts).area()
    assert abs(area.value - roc_auc_score(positive, scores)) <= area.error + 1e-12
    assert area.error < 0.01 + 1 / count  # of few pixels, one pair in a bin is much


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), levels=st.integers(2, 256))
def test_scores_of_few_levels_give_the_area_and_the_curve_exactly(seed, levels):
    """Probabilities of 8 bits as log odds lie in bins of their own, each."""
    random = np.random.default_rng(seed)
    positive = random.random(500) > 0.5
    places = random.integers(0, levels, 500)
    scores = logit((places + 0.5) / 256).astype(np.float32)
    counts = counted(scores, positive)
    assert counts.area().value == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    curve = counts.curve()
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, false, atol=1e-12)
    np.testing.assert_allclose(curve.true_positive_rate, true, atol=1e-12)


def test_a_thinned_curve_keeps_its_ends_and_its_area():
    random = np.random.default_rng(0)
    positive = random.random(20000) > 0.7
    counts = counted(random.normal(size=20000) + positive, positive)
    thin = counts.curve(200)
    assert len(thin.true_positive_rate) <= 220
    assert (thin.true_positive_rate[0], thin.true_positive_rate[-1]) == (0, 1)
    area = np.trapezoid(thin.true_positive_rate, thin.false_positive_rate)
    assert area == pytest.approx(counts.area().value, abs=1e-3)


@pytest.mark.parametrize(("positive", "value"), [([True, True], np.nan), ([False, True], 1.0), ([True, False], 0.0)])
def test_areas_without_pairs_are_no_number(positive, value):
    assert counted([0.0, 1.0], positive).area().value == pytest.approx(value, nan_ok=True)


def test_log_odds_order_as_the_probability():
    scores = np.random.default_rng(0).normal(0, 3, (4, 9, 9)).astype(np.float32)
    probability = np.exp(log_softmax(scores.astype(np.float64), axis=0))[2]
    np.testing.assert_allclose(one_against_rest(scores, 2), logit(probability), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="shape"):
        ThresholdCounts().add(np.zeros(3, np.float32), np.zeros(4, bool))
    with pytest.raises(ValueError, match="finite"):
        ThresholdCounts().add(np.float32([np.nan]), np.array([True]))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("network", "area"),
    [("fullyconv", 0.9533), ("patchbased", 0.9449)],
)
def test_the_authors_maps_have_the_area_scikit_learn_gives(real_data, network, area):
    counts = ThresholdCounts()
    for path in sorted((real_data / "massachusetts_coarse_maps").glob(f"{network}/*softClassif*")):
        with rasterio.open(path) as soft, rasterio.open(str(path).replace("softClassif", "reference")) as reference:
            counts.add(soft.read(1).astype(np.float32) - 127.5, reference.read(1) > 127)
    assert counts.area().value == pytest.approx(area, abs=5e-5)
