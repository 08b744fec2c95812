"""The re-thresholded coarse map: a bias for each class, fitted so that the arg max of scores + biases is best.

A refiner that only shifts the balance between classes does not refine; its gain over this map comes from the image.
Biases are fitted on the area the refiner is trained on, never on the area that is scored.

Fitting is coordinate ascent: with the other biases fixed, a pixel changes to a class at one threshold, so sorting the
thresholds gives mean IoU at every possible bias of that class exactly, in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import GridError, LabelError, number_of
from crispmap.evaluation.readers import AreaMask, LabelSource
from crispmap.geo.grid import Block
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, BoolArray, DoubleArray, FloatArray, LabelArray

MAX_FIT_PIXELS = 4_000_000  # above this many labelled pixels a random part of them is fitted

_START_PIXELS = 50_000  # enough to choose between starts; the best one is then fitted to all pixels
_SORTED_PIXELS = 200_000  # above, thresholds of three and more classes are binned evenly instead
_STEPS = 1 << 15
_RANDOM_STARTS = 6
_MAX_SWEEPS = 50
_BLOCK_PX = 1024
_LEAST_GAIN = 1e-12  # smaller gains are rounding, and the ascent would not end
_LEAST_GAIN_OF_MANY = 1e-7  # with binned thresholds
_BEYOND = 1.0  # distance beyond the last threshold of the bias that gives all pixels to one class


def fit_biases(
    scores: FloatArray, labels: LabelArray, *, class_names: Sequence[str] | None = None, seed: int = 0
) -> DoubleArray:
    """Return biases that maximise the mean IoU of the arg max on the labels, never below that without biases.

    For two classes the best of all thresholds; for more, a local optimum from the best of several starts, where no
    change of a single bias gains anything. The same input and seed give the same biases.

    Args:
        scores: (class, n) or (class, row, col), float; pixels with a score that is not finite are left out.
        labels: (n) or (row, col) uint8 class ids; pixels of 255 are left out.
        seed: Draws the pixels, if there are more than ``MAX_FIT_PIXELS``, and the random starts.

    Returns:
        (class,) float64; the first is 0.

    Raises:
        GridError: If the shapes do not fit together.
        LabelError: If a class has no labelled pixel, or a label is not a class.
    """
    sample = _usable(scores, labels)
    _refuse_missing(sample, class_names)
    rng = np.random.default_rng(seed)
    part = sample.part(MAX_FIT_PIXELS, rng)
    zero = np.zeros(len(scores))
    # A start may end worse than no bias at all, and a random part may not represent the whole.
    start = zero if len(scores) == 2 else _best_start(part, rng)  # a single threshold does not depend on the start
    return max(zero, _ascend(part, start), key=sample.mean_iou)


def apply_biases(scores: FloatArray, biases: Sequence[float] | DoubleArray) -> LabelArray:
    """Return the uint8 class ids with the largest score + bias, the first of equals; 255 where a score is NaN.

    Raises:
        GridError: If there are not as many biases as classes.
    """
    if len(biases) != len(scores):
        raise GridError(
            f"{number_of(len(biases), 'bias')} for scores of {number_of(len(scores), 'class')}.",
            expected="one per class",
        )
    best = scores[0].astype(np.float64) + float(biases[0])
    labels = np.zeros(best.shape, np.uint8)
    unknown: BoolArray = np.isnan(scores[0])
    for class_id in range(1, len(scores)):
        candidate = scores[class_id].astype(np.float64) + float(biases[class_id])
        better = candidate > best
        labels[better] = class_id
        best = np.where(better, candidate, best)
        unknown |= np.isnan(scores[class_id])
    labels[unknown] = IGNORE
    return labels


def fit_biases_on(parts: Sequence[tuple[SceneReader, LabelSource, AreaMask]], *, seed: int = 0) -> DoubleArray:
    """Return biases fitted to rasters of scores in areas; see ``fit_biases``.

    If more than ``MAX_FIT_PIXELS`` pixels are labelled, a random part of them is used.

    Args:
        parts: One or more: scores with one band for each class, labels on their grid, and the area to fit on.

    Raises:
        LabelError: If a class has no labelled pixel there, or a label is not a class.
    """
    total = sum(int((labels != IGNORE).sum()) for part in parts for _, labels in _labelled(*part))
    share = min(1.0, MAX_FIT_PIXELS / max(total, 1))
    rng = np.random.default_rng(seed)
    first = parts[0][0]
    found: list[tuple[FloatArray, LabelArray]] = [(np.empty((first.band_count, 0), np.float32), np.empty(0, np.uint8))]
    for part in parts:
        for block, labels in _labelled(*part):
            values, valid = part[0].read(block)
            used = (labels != IGNORE) & valid & (rng.random(labels.shape) < share)
            found.append((values[:, used], labels[used]))
    return fit_biases(
        np.concatenate([values for values, _ in found], axis=1),
        np.concatenate([labels for _, labels in found]),
        class_names=first.band_names,
        seed=seed,
    )


def _labelled(scores: SceneReader, reference: LabelSource, area: AreaMask) -> Iterator[tuple[Block, LabelArray]]:
    """Yield the blocks with labels in the area, and those labels, 255 elsewhere."""
    for block in scores.grid.blocks(_BLOCK_PX):
        chosen = area.mask(block)
        if chosen.any():
            labels = np.where(chosen, reference.read(block), np.uint8(IGNORE))
            if (labels != IGNORE).any():
                yield block, labels


@dataclass(frozen=True, eq=False)
class BiasedLabels:
    """The arg max of scores plus biases as a ``LabelSource``, 255 where there are no scores."""

    scores: SceneReader  # one band per class
    biases: DoubleArray  # (class,)

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block."""
        values, valid = self.scores.read(block)
        labels = apply_biases(values, self.biases)
        labels[~valid] = IGNORE
        return labels


@dataclass(frozen=True)
class _Sample:
    """Labelled pixels: scores (class, n), labels (n) below the number of classes."""

    scores: FloatArray
    labels: LabelArray

    def part(self, most: int, rng: np.random.Generator) -> _Sample:
        """Return a random part of at most ``most`` pixels that holds every class."""
        count = len(self.labels)
        if count <= most:
            return self
        chosen = np.zeros(count, np.bool_)
        chosen[rng.choice(count, most, replace=False)] = True
        for class_id in range(len(self.scores)):
            chosen[np.flatnonzero(self.labels == class_id)[:1]] = True
        return _Sample(self.scores[:, chosen], self.labels[chosen])

    def mean_iou(self, biases: DoubleArray) -> float:
        """Return the mean IoU of the map that these biases give."""
        size = len(self.scores)
        predicted = apply_biases(self.scores, biases)
        pairs = self.labels.astype(np.intp) * size + predicted
        joint = np.bincount(pairs, minlength=size * size).reshape(size, size)
        hits, reference, mapped = np.diagonal(joint), joint.sum(axis=1), joint.sum(axis=0)
        return float((hits / (reference + mapped - hits)).mean())


def _usable(scores: FloatArray, labels: LabelArray) -> _Sample:
    """Return the pixels to fit, after checking that the arrays fit together."""
    if scores.ndim < 2 or scores.shape[1:] != labels.shape or len(scores) < 2:
        raise GridError(
            f"Scores have shape {scores.shape}, labels {labels.shape}.",
            expected="scores (class, ...) of two or more classes over the shape of the labels",
        )
    unknown = labels[(labels != IGNORE) & (labels >= len(scores))]
    if unknown.size:
        raise LabelError(
            f"The labels hold class id {int(unknown[0])}, the scores {number_of(len(scores), 'class')}.",
            expected=f"0 to {len(scores) - 1}, or {IGNORE} where unknown",
        )
    used = (labels != IGNORE) & np.isfinite(scores).all(axis=0)
    return _Sample(scores[:, used], labels[used])


def _refuse_missing(sample: _Sample, class_names: Sequence[str] | None) -> None:
    pixels = np.bincount(sample.labels, minlength=len(sample.scores))
    missing = np.flatnonzero(pixels == 0)
    if missing.size:
        names = class_names or [str(index) for index in range(len(sample.scores))]
        raise LabelError(
            f"No labelled pixel of class {', '.join(names[int(i)] for i in missing)} to fit biases to.",
            expected="labelled pixels of every class where there are scores",
            remedy="choose a larger fit area, or one that holds every class",
        )


def _best_start(sample: _Sample, rng: np.random.Generator) -> DoubleArray:
    """Return the best result of ascents from several starts on a small part of the pixels."""
    small = sample.part(_START_PIXELS, rng)
    size = len(small.scores)
    spread = float(np.std(small.scores - small.scores.mean(axis=0), dtype=np.float64)) or 1.0
    starts = [np.zeros(size), -small.scores.mean(axis=1, dtype=np.float64)]
    starts += [rng.normal(0.0, 2 * spread, size) for _ in range(_RANDOM_STARTS)]
    return max((_ascend(small, start) for start in starts), key=small.mean_iou)


def _ascend(sample: _Sample, start: DoubleArray) -> DoubleArray:
    """Return the biases at which no change of a single one gains anything, or after ``_MAX_SWEEPS`` sweeps."""
    biases: DoubleArray = start - start[0]
    reached = sample.mean_iou(biases)
    least = _LEAST_GAIN if len(sample.labels) <= _SORTED_PIXELS else _LEAST_GAIN_OF_MANY
    for _ in range(_MAX_SWEEPS):
        before = reached
        for class_id in range(1 if len(biases) == 2 else 0, len(biases)):
            moved = _best_along(sample, biases, class_id)
            moved -= moved[0]  # only differences matter
            gained = sample.mean_iou(moved)
            if gained > reached + _LEAST_GAIN:
                biases, reached = moved, gained
        if reached <= before + least or len(biases) == 2:
            break
    return biases


def _best_along(sample: _Sample, biases: DoubleArray, class_id: int) -> DoubleArray:
    """Return the biases with the best value for one class, the others fixed."""
    rival, threshold = _thresholds(sample.scores, biases, class_id)
    if len(biases) == 2 or len(threshold) <= _SORTED_PIXELS:
        step, cuts = _sorted_cuts(threshold)
    else:
        step, cuts = _even_cuts(threshold)
    reached = _summed_iou_by_cut(sample, rival, step, class_id)
    moved = biases.copy()
    moved[class_id] = cuts[int(np.argmax(reached))]
    return moved


def _thresholds(scores: FloatArray, biases: DoubleArray, class_id: int) -> tuple[NDArray[np.uint8], DoubleArray]:
    """Return each pixel's best other class, and the bias above which this class wins the pixel."""
    best = np.full(scores.shape[1], -np.inf)
    rival = np.zeros(scores.shape[1], np.uint8)
    for other in range(len(scores)):
        if other != class_id:
            candidate = scores[other].astype(np.float64) + biases[other]
            better = candidate > best
            rival[better] = other
            best = np.where(better, candidate, best)
    return rival, best - scores[class_id]


def _sorted_cuts(threshold: DoubleArray) -> tuple[NDArray[np.intp], DoubleArray]:
    """Return each pixel's rank among the distinct thresholds, and biases below, between and above them."""
    distinct, rank = np.unique(threshold, return_inverse=True)
    between = (distinct[1:] + distinct[:-1]) / 2
    return rank, np.concatenate(([distinct[0] - _BEYOND], between, [distinct[-1] + _BEYOND]))


def _even_cuts(threshold: DoubleArray) -> tuple[NDArray[np.intp], DoubleArray]:
    """Return each pixel's step among evenly spaced biases, and those biases.

    The steps span all but the outermost thousandth on either side, so that outliers do not coarsen them.
    """
    low, high = np.quantile(threshold[:: max(1, len(threshold) // 10_000)], [0.001, 0.999])
    if not high > low:
        return _sorted_cuts(threshold)
    edges = np.linspace(low, high, _STEPS - 1)
    step = np.clip(np.ceil((threshold - low) / (edges[1] - edges[0])), 0, _STEPS - 1).astype(np.intp)
    return step, np.concatenate(([threshold.min() - _BEYOND], edges, [threshold.max() + _BEYOND]))


def _summed_iou_by_cut(sample: _Sample, rival: NDArray[np.uint8], step: NDArray[np.intp], class_id: int) -> DoubleArray:
    """Return the sum of IoU if one class gets the pixels of the first 0, 1, .. steps and rivals get the others."""
    size, steps = len(sample.scores), int(step.max()) + 1

    def taken(which: BoolArray) -> DoubleArray:
        """Return (class, cut): the number of pixels of the first steps, by rival."""
        key = rival[which].astype(np.intp) * steps + step[which]
        by_step = np.bincount(key, minlength=size * steps).reshape(size, steps)
        return np.concatenate((np.zeros((size, 1)), np.cumsum(by_step, axis=1)), axis=1)

    lost = taken(np.ones_like(rival, np.bool_))
    lost_hits = taken(sample.labels == rival)
    mapped, hits = lost[:, -1:] - lost, lost_hits[:, -1:] - lost_hits
    mapped[class_id] = lost.sum(axis=0)
    hits[class_id] = taken(sample.labels == class_id).sum(axis=0)
    reference = np.bincount(sample.labels, minlength=size)[:, None]
    return np.asarray((hits / (reference + mapped - hits)).sum(axis=0))
