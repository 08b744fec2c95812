"""Laws of the confusion matrix, and the same figures from scikit-learn and torchmetrics."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from crispmap.errors import GridError, InputError, LabelError, SchemaError
from crispmap.metrics import ConfusionMatrix, ImageDice, mean_defined, occurrences, ratio
from crispmap.types import IGNORE

NAMES = ("background", "building", "road")
IDS = st.sampled_from([0, 1, 2, IGNORE])
SHAPE = st.tuples(st.integers(1, 7), st.integers(1, 7))


@st.composite
def map_pairs(draw):
    shape = draw(SHAPE)
    return tuple(draw(arrays(np.uint8, shape, elements=IDS)) for _ in range(2))


def confusion(predicted, reference, names=NAMES):
    matrix = ConfusionMatrix(names)
    matrix.update(predicted, reference)
    return matrix


def random_maps(seed, size=5000, classes=3, ignore=0.1):
    rng = np.random.default_rng(seed)
    predicted, reference = rng.integers(0, classes, (2, size)).astype(np.uint8)
    same = rng.random(size) < 0.6
    predicted[same] = reference[same]
    predicted[rng.random(size) < ignore] = IGNORE
    reference[rng.random(size) < ignore] = IGNORE
    return predicted, reference


@given(arrays(np.uint16, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.sampled_from([0, 1, 2, 700])))
@settings(deadline=None, max_examples=60)
def test_occurrences_are_those_of_single_values(values):
    counts = occurrences(values, 1000)
    assert np.array_equal(counts, np.bincount(values.ravel(), minlength=1000))
    assert counts.dtype == np.int64


@given(map_pairs())
@settings(deadline=None, max_examples=60)
def test_sums_to_the_valid_pixels_and_counts_holes_apart(pair):
    predicted, reference = pair
    matrix = confusion(predicted, reference)
    assert matrix.valid_px == int(((predicted != IGNORE) & (reference != IGNORE)).sum())
    assert matrix.unmapped_px == int(((predicted == IGNORE) & (reference != IGNORE)).sum())
    assert matrix.valid_px + matrix.unmapped_px == int((reference != IGNORE).sum())


@given(map_pairs())
@settings(deadline=None, max_examples=60)
def test_every_figure_is_in_its_range_and_iou_is_at_most_f1(pair):
    matrix = confusion(*pair)
    for figures in (matrix.iou, matrix.precision, matrix.recall, matrix.f1):
        defined = figures[~np.isnan(figures)]
        assert ((defined >= 0) & (defined <= 1)).all()
    absent = np.isnan(matrix.iou)
    assert np.array_equal(absent, np.isnan(matrix.f1))
    assert (matrix.iou[~absent] <= matrix.f1[~absent]).all()
    assert np.isnan(matrix.kappa) or matrix.kappa <= 1


@given(map_pairs(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_the_order_and_the_cut_of_pieces_do_not_matter(pair, random):
    predicted, reference = pair
    whole = confusion(predicted, reference)
    pieces = [(predicted[row : row + 1], reference[row : row + 1]) for row in range(len(predicted))]
    random.shuffle(pieces)
    updated = ConfusionMatrix(NAMES)
    added = ConfusionMatrix(NAMES)
    for piece in pieces:
        updated.update(*piece)
        added = added + confusion(*piece)
    assert updated == whole
    assert added == whole


@given(map_pairs())
@settings(deadline=None, max_examples=30)
def test_swapping_the_maps_transposes_the_matrix(pair):
    predicted, reference = pair
    one, other = confusion(predicted, reference), confusion(reference, predicted)
    assert np.array_equal(one.counts, other.counts.T)
    assert np.array_equal(one.precision, other.recall, equal_nan=True)
    assert np.array_equal(one.iou, other.iou, equal_nan=True)


@pytest.mark.parametrize(("seed", "classes"), [(0, 2), (1, 3), (2, 7)])
def test_equals_scikit_learn(seed, classes):
    predicted, reference = random_maps(seed, classes=classes)
    matrix = confusion(predicted, reference, tuple(map(str, range(classes))))
    valid = (predicted != IGNORE) & (reference != IGNORE)
    truth, guess = reference[valid], predicted[valid]
    assert np.array_equal(matrix.counts, sk.confusion_matrix(truth, guess))
    assert matrix.overall_accuracy == pytest.approx(sk.accuracy_score(truth, guess))
    assert matrix.iou == pytest.approx(sk.jaccard_score(truth, guess, average=None))
    assert matrix.mean_iou == pytest.approx(sk.jaccard_score(truth, guess, average="macro"))
    assert matrix.precision == pytest.approx(sk.precision_score(truth, guess, average=None))
    assert matrix.recall == pytest.approx(sk.recall_score(truth, guess, average=None))
    assert matrix.f1 == pytest.approx(sk.f1_score(truth, guess, average=None))
    assert matrix.mean_f1 == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert matrix.dice == pytest.approx(sk.f1_score(truth, guess, average=None))
    assert matrix.mean_dice == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert matrix.kappa == pytest.approx(sk.cohen_kappa_score(truth, guess))


def test_equals_torchmetrics():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classification = pytest.importorskip("torchmetrics.functional.classification")
    predicted, reference = random_maps(5)
    predicted[predicted == IGNORE] = 0  # torchmetrics ignores by reference only
    matrix = confusion(predicted, reference)
    guess, truth = (torch.from_numpy(one.astype(np.int64)) for one in (predicted, reference))
    options = {"num_classes": 3, "ignore_index": IGNORE}
    iou = classification.multiclass_jaccard_index(guess, truth, average="none", **options)
    f1 = classification.multiclass_f1_score(guess, truth, average="none", **options)
    kappa = classification.multiclass_cohen_kappa(guess, truth, **options)
    assert matrix.iou == pytest.approx(iou.numpy(), abs=1e-6)
    assert matrix.f1 == pytest.approx(f1.numpy(), abs=1e-6)
    assert matrix.kappa == pytest.approx(float(kappa), abs=1e-6)


def test_an_absent_class_leaves_the_mean_and_a_wrongly_predicted_one_enters_it():
    reference = np.zeros((4, 4), np.uint8)
    predicted = np.zeros((4, 4), np.uint8)
    perfect = confusion(predicted, reference)
    assert np.isnan(perfect.iou[1:]).all()
    assert perfect.mean_iou == 1.0
    assert np.isnan(perfect.kappa)
    predicted[0, 0] = 2
    assert confusion(predicted, reference).mean_iou == pytest.approx((15 / 16 + 0) / 2)


def test_without_valid_pixels_everything_is_nan_and_nothing_warns():
    matrix = confusion(np.full((2, 2), IGNORE, np.uint8), np.ones((2, 2), np.uint8))
    assert matrix.valid_px == 0
    assert matrix.unmapped.tolist() == [0, 4, 0]
    assert np.isnan([matrix.overall_accuracy, matrix.mean_iou, matrix.kappa, matrix.mean_f1]).all()
    assert np.isnan([*matrix.iou, *matrix.precision, *matrix.recall, *matrix.f1]).all()


def test_kappa_survives_counts_whose_products_leave_64_bits():
    matrix = ConfusionMatrix(("a", "b"))
    matrix.counts += np.array([[4, 1], [1, 4]]) * 10**12
    assert matrix.kappa == pytest.approx(0.6)


@pytest.mark.parametrize("where", ["map", "reference"])
def test_refuses_an_id_that_is_no_class(where):
    good, bad = np.zeros((2, 2), np.uint8), np.full((2, 2), 7, np.uint8)
    matrix = ConfusionMatrix(NAMES)
    with pytest.raises(LabelError, match=rf"{where} .* 7 \(on 4 pixels\)"):
        matrix.update(*((bad, good) if where == "map" else (good, bad)))
    assert matrix == ConfusionMatrix(NAMES), "a refused piece leaves nothing behind"


def test_refuses_other_shapes_and_types():
    matrix = ConfusionMatrix(NAMES)
    with pytest.raises(GridError, match="shape"):
        matrix.update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(LabelError, match="reference has values of type float32"):
        matrix.update(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32))  # type: ignore[arg-type]


def test_refuses_to_add_other_classes_or_to_have_none():
    with pytest.raises(SchemaError, match="background, building, road and a, b"):
        ConfusionMatrix(NAMES) + ConfusionMatrix(("a", "b"))
    with pytest.raises(SchemaError, match="0 classes"):
        ConfusionMatrix(())


def test_repr_and_comparison_with_strangers():
    matrix = confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert "valid_px=4" in repr(matrix)
    assert matrix != "matrix"
    assert matrix != ConfusionMatrix(("a",))


def test_ratio_and_mean_of_nothing():
    assert np.array_equal(ratio(np.array([1, 0]), np.array([2, 0])), [0.5, np.nan], equal_nan=True)
    assert np.isnan(mean_defined(np.full(3, np.nan)))
    assert mean_defined(np.array([np.nan, 0.25, 0.75])) == 0.5


def dice_of(pairs) -> ImageDice:
    return ImageDice.of((confusion(*pair) for pair in pairs), len(NAMES))


@given(st.lists(map_pairs(), max_size=6), st.integers(0, 6))
@settings(deadline=None, max_examples=60)
def test_dice_of_images_is_that_of_each_image_by_itself(pairs, cut):
    by_class, means = [[] for _ in NAMES], []
    for predicted, reference in pairs:
        valid = (predicted != IGNORE) & (reference != IGNORE)
        own = []
        for k, found in enumerate(by_class):
            ours, theirs = (predicted == k) & valid, (reference == k) & valid
            if ours.any() or theirs.any():
                own.append(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))
                found.append(own[-1])
        if own:
            means.append(np.mean(own))
    dice = dice_of(pairs)
    assert dice.images == len(means)
    assert dice.class_images == tuple(map(len, by_class))
    assert dice.mean == pytest.approx(np.mean(means) if means else np.nan, nan_ok=True)
    assert dice.by_class == pytest.approx([np.mean(one) if one else np.nan for one in by_class], nan_ok=True)
    total = dice_of(pairs[:cut]) + dice_of(pairs[cut:])
    assert (total.images, total.class_images) == (dice.images, dice.class_images)
    assert total.class_sums == pytest.approx(dice.class_sums)
    assert total.mean_sum == pytest.approx(dice.mean_sum)
    assert ImageDice.from_dict(json.loads(json.dumps(dice.to_dict())), len(NAMES)) == dice


def test_dice_of_images_equals_torchmetrics():
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segmentation = pytest.importorskip("torchmetrics.functional.segmentation")
    pairs = [random_maps(seed) for seed in range(4)]
    for one in itertools.chain(*pairs):
        one[one == IGNORE] = 0
    guess, truth = (torch.from_numpy(np.stack(maps).astype(np.int64)) for maps in zip(*pairs, strict=True))
    options = {"num_classes": 3, "input_format": "index"}
    theirs = segmentation.dice_score(guess, truth, average="macro", **options)
    assert dice_of(pairs).mean == pytest.approx(float(theirs.mean()), abs=1e-6)
    each = segmentation.dice_score(guess, truth, average=None, **options)
    assert dice_of(pairs).by_class == pytest.approx(each.mean(0).numpy(), abs=1e-6)


def test_a_small_image_weighs_like_a_large_one_and_a_class_nobody_has_not_at_all():
    large, small = np.zeros((30, 30), np.uint8), np.ones((2, 2), np.uint8)
    dice = dice_of([(large, large), (1 - small, small)])
    assert dice.mean == pytest.approx((1 + 0) / 2)
    assert dice.by_class[:2] == pytest.approx([0.5, 0])
    assert np.isnan(dice.by_class[2])


GOOD_DICE = {"images": 2, "mean_sum": 1.0, "class_images": [2, 1, 0], "class_sums": [1.0, 0.5, 0.0]}


@pytest.mark.parametrize(
    "change",
    [
        {"images": -1}, {"images": 1.5}, {"images": "2"}, {"mean_sum": 3.0}, {"mean_sum": -1.0}, {"mean_sum": "x"},
        {"mean_sum": float("nan")}, {"class_images": [2, 1]}, {"class_images": [3, 1, 0]}, {"class_images": None},
        {"class_sums": [1.0, 0.5, 0.1]}, {"class_sums": [1.0, 0.5]}, {"class_sums": [[1.0], [0.5], [0.0]]},
        {"mean_sum": None},
    ],
    ids=str,
)  # fmt: skip
def test_sums_that_cannot_be_are_refused(change):
    assert ImageDice.from_dict(GOOD_DICE, 3).mean == 0.5
    with pytest.raises(InputError):
        ImageDice.from_dict({**GOOD_DICE, **change}, 3)
