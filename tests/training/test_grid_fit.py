"""The fit of refiners written by hand: on ground whose refinement is known to help."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from crispmap.data.patches import ArrayPatches
from crispmap.errors import CrispmapError, InputError, LabelError
from crispmap.evaluation.recalibration import fit_biases
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix
from crispmap.models.registry import architectures
from crispmap.raster.scene import cut_reflected
from crispmap.refiners.bayes.refiner import BayesRefiner
from crispmap.refiners.crf.refiner import CrfRefiner
from crispmap.refiners.hand_written import HandWrittenRefiner
from crispmap.refiners.pde.refiner import AnisotropicRefiner, EdgeStoppedRefiner, GeodesicRefiner, HeatRefiner
from crispmap.training import grid_fit as fit
from crispmap.training.grid_fit import FitRecord, fit_refiner
from crispmap.types import IGNORE, FloatArray, LabelArray

SIDE = 40
Fit = Callable[..., tuple[HandWrittenRefiner, FitRecord]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for equation in (HeatRefiner, EdgeStoppedRefiner, AnisotropicRefiner, GeodesicRefiner):
        plan = replace(equation.fit_plan, run={"iterations": 4, "substeps": 2})
        monkeypatch.setattr(equation, "fit_plan", plan)


def ground(seed: int = 0) -> tuple[FloatArray, FloatArray, LabelArray]:
    """Blurred, noisy and badly balanced scores of rectangles that the image shows sharply."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[6:20, 5:18] = labels[24:36, 20:38] = 1
    labels[:, 30:33] = 2
    image = np.stack([np.choose(labels, colours) for colours in ((-1.0, 1.0, 0.0), (0.5, -0.5, 1.5))])
    image += rng.normal(0, 0.05, image.shape)
    scores = np.stack([gaussian_filter((labels == k).astype(float), 2.0) for k in range(3)]) * 6
    scores += rng.normal(0, 1.0, scores.shape) + np.array([2.0, 0.0, 0.0])[:, None, None]
    return scores.astype(np.float32), image.astype(np.float32), labels


def fit_of(name: str) -> Fit:
    def fitted(scores: FloatArray, image: FloatArray, labels: LabelArray, **options: Any) -> Any:
        piece = ArrayPatches(image, labels, scores)
        return fit_refiner(architectures("refiner")[name].build, [piece], **{"most_tries": 4, **options})

    return fitted


FITS = {name: fit_of(name) for name, one in architectures("refiner").items() if one.learner == "grid-fit"}


@pytest.fixture(params=list(FITS))
def fitted(request: pytest.FixtureRequest) -> Fit:
    return FITS[request.param]


def mean_iou(labels: LabelArray, reference: LabelArray) -> float:
    count = ConfusionMatrix(["a", "b", "c"])
    count.update(labels, reference)
    return count.mean_iou


def refined(refiner: HandWrittenRefiner, scores: FloatArray, image: FloatArray) -> FloatArray:
    window = Block(0, 0, SIDE, SIDE).padded(refiner.margin_px)
    inputs = (torch.from_numpy(cut_reflected(one, window))[None] for one in (scores, image))
    return refiner(*inputs)[0].numpy()


def test_a_fitted_refiner_beats_biases_alone_and_its_record_is_true(fitted: Fit) -> None:
    scores, image, labels = ground()
    refiner, record = fitted(scores, image, labels)
    map_ = refined(refiner, scores, image).argmax(0).astype(np.uint8)
    assert record.mean_iou == pytest.approx(mean_iou(map_, labels))
    balanced = (scores + fit_biases(scores, labels)[:, None, None]).argmax(0).astype(np.uint8)
    assert record.mean_iou > mean_iou(balanced, labels) + 0.02
    before = (scores + np.array(record.biases, np.float32)[:, None, None]).argmax(0).astype(np.uint8)
    assert record.unrefined_mean_iou == pytest.approx(mean_iou(before, labels))
    assert record.mean_iou >= max(value for _, value in record.tries) - 1e-9
    assert record.labelled_px == SIDE * SIDE
    assert record.biases == refiner.biases
    assert all(refiner.arguments[name] == value for name, value in record.parameters.items())
    assert json.loads(json.dumps(asdict(record)))["seed"] == 0


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("crf", {"appearance", "theta_alpha_px", "theta_beta", "smoothness", "theta_gamma_px"}),
        ("bayes", {"smoothness", "window_px", "neigh_fraction"}),
        ("heat", {"iterations"}),
        ("geodesic", {"iterations", "kappa", "sigma_px"}),
    ],
)
def test_the_record_names_the_numbers_that_were_chosen_and_no_others(name: str, chosen: set[str]) -> None:
    _, record = FITS[name](*ground(), most_tries=1)
    assert set(record.parameters) == chosen


def test_the_same_seed_fits_the_same_refiner(fitted: Fit) -> None:
    arrays = ground()
    (one, first), (other, second) = (fitted(*arrays, most_tries=3) for _ in range(2))
    assert one.arguments == other.arguments
    assert first.tries == second.tries


def test_no_more_is_tried_than_allowed(fitted: Fit) -> None:
    _, record = fitted(*ground(), most_tries=1)
    assert len(record.tries) == 1


def test_an_unbalanced_refiner_has_no_biases(fitted: Fit) -> None:
    refiner, record = fitted(*ground(), balance=False, most_tries=1)
    assert refiner.biases == [0.0] * 3 == record.biases


def test_unlabelled_pixels_say_nothing(fitted: Fit) -> None:
    scores, image, labels = ground()
    labels[:, :20] = IGNORE
    labels[0, 0] = 0
    _, record = fitted(scores, image, labels, most_tries=1)
    assert record.labelled_px == SIDE * 20 + 1
    known = labels != IGNORE
    assert record.unrefined_mean_iou == pytest.approx(
        mean_iou((scores + np.array(record.biases)[:, None, None]).argmax(0).astype(np.uint8)[known], labels[known])
    )


def test_of_much_ground_some_tiles_are_tried_and_every_class_is_among_them(
    fitted: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "MOST_PX", 100)
    for one in (BayesRefiner, CrfRefiner, HeatRefiner, EdgeStoppedRefiner, AnisotropicRefiner, GeodesicRefiner):
        monkeypatch.setattr(one, "fit_plan", replace(one.fit_plan, tile_px=10))
    scores, image, labels = ground()
    labels[labels == 2] = 0
    labels[39, 39] = 2  # in one tile of sixteen
    for seed in range(3):
        _, record = fitted(scores, image, labels, most_tries=1, seed=seed)
        assert 100 <= record.labelled_px <= 400
        tiles = [
            tile
            for _, tile in fit._chosen_tiles([ArrayPatches(image, labels, scores)], 10, np.random.default_rng(seed))
        ]
        assert record.labelled_px == sum(tile.height * tile.width for tile in tiles)
        assert np.unique(np.concatenate([labels[tile.slices].ravel() for tile in tiles])).tolist() == [0, 1, 2]


@given(most=st.integers(1, 3 * SIDE * SIDE), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_biases_are_fitted_to_all_labelled_pixels_or_to_some_of_every_class(most: int, seed: int) -> None:
    scores, image, labels = ground()
    labels[:3] = IGNORE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "MAX_FIT_PIXELS", most)
        found, ids = fit._labelled_scores([ArrayPatches(image, labels, scores)] * 2, seed)
    known = labels != IGNORE
    whole = {(*values, label) for values, label in zip(scores[:, known].T, labels[known], strict=True)}
    assert {(*values, label) for values, label in zip(found.T, ids, strict=True)} <= whole
    assert set(ids.tolist()) == {0, 1, 2}
    total = 2 * int(known.sum())
    assert len(ids) == total if most >= total else len(ids) < min(total, most + 6 + 6 * np.sqrt(most))


def test_where_no_step_helps_one_remains() -> None:
    _, image, labels = ground()
    scores = np.eye(3, dtype=np.float32)[labels].transpose(2, 0, 1) * 5  # right already
    refiner, record = FITS["heat"](scores, image, labels, most_tries=15)
    assert refiner.iterations == 1
    assert record.unrefined_mean_iou == 1.0


def bad(change: str) -> tuple[Any, ...]:
    scores, image, labels = ground()
    if change == "shape of scores":
        return scores[:, 1:], image, labels
    if change == "shape of image":
        return scores, image[..., 1:], labels
    if change == "nan score":
        scores[1, 2, 3] = np.nan
    if change == "infinite image":
        image[0, 0, 0] = np.inf
    if change == "no labels":
        labels[:] = IGNORE
    if change == "strange label":
        labels[3, 3] = 7
    if change == "missing class":
        labels[labels == 2] = 1
    return scores, image, labels


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("shape of scores", InputError, "39"), ("shape of image", InputError, "39"),
        ("nan score", InputError, "not a number"), ("infinite image", InputError, "infinite"),
        ("no labels", LabelError, "no labelled pixel"), ("strange label", LabelError, "class id 7"),
        ("missing class", LabelError, "No labelled pixel of class 2"),
    ],
)  # fmt: skip
def test_bad_ground_is_refused(fitted: Fit, change: str, error: type[CrispmapError], message: str) -> None:
    with pytest.raises(error, match=message):
        fitted(*bad(change))


def test_bad_options_are_refused(fitted: Fit) -> None:
    with pytest.raises(InputError, match="most_tries is 0"):
        fitted(*ground(), most_tries=0)
