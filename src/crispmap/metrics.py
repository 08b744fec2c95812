"""The confusion matrix of a class map against a reference, and the figures read from it.

Every figure is a ratio of pixel counts, so matrices of pieces add up to the matrix of the whole and no figure
depends on how a scene was cut. A figure that is 0/0 is NaN, without a warning.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import GridError, InputError, LabelError, SchemaError, number_of
from crispmap.types import IGNORE, BoolArray, CountArray, DoubleArray, LabelArray

_IDS = IGNORE + 1


class ConfusionMatrix:
    """Counts of pixels by reference class and predicted class.

    A pixel counts in ``counts`` where both maps have a class. Where the reference has a class and the
    prediction has none (nodata), it counts in ``unmapped`` instead, so that a map with holes cannot hide
    them. Where the reference has no class (ignore) nothing counts.

    Attributes:
        class_names: Names in order of id.
        counts: (reference class, predicted class) int64, pixels.
        unmapped: (reference class,) int64, labelled pixels that the prediction leaves without a class.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        if not 1 <= len(class_names) <= IGNORE:
            raise SchemaError(
                f"A confusion matrix of {number_of(len(class_names), 'class')}.", expected=f"1 to {IGNORE} classes"
            )
        self.class_names = tuple(class_names)
        self.counts: CountArray = np.zeros((len(class_names), len(class_names)), np.int64)
        self.unmapped: CountArray = np.zeros(len(class_names), np.int64)

    def update(self, predicted: LabelArray, reference: LabelArray) -> None:
        """Add the pixels of one area: uint8 class ids of one shape, 255 where unknown.

        Raises:
            GridError: If the shapes differ.
            LabelError: If an array is not uint8, or holds an id that is no class.
        """
        check_labels(predicted, reference)
        pairs = reference.astype(np.uint16) << 8 | predicted  # one number per pair of ids
        joint = occurrences(pairs, _IDS * _IDS).reshape(_IDS, _IDS)
        size = len(self.class_names)
        self._refuse_unknown(joint[:, size:IGNORE].sum(axis=0), "map")
        self._refuse_unknown(joint[size:IGNORE].sum(axis=1), "reference")
        self.counts += joint[:size, :size]
        self.unmapped += joint[:size, IGNORE]

    def _refuse_unknown(self, pixels: CountArray, where: str) -> None:
        if pixels.any():
            size = len(self.class_names)
            ids = ", ".join(str(size + index) for index in np.flatnonzero(pixels)[:5])
            raise LabelError(
                f"The {where} holds class ids that are not in the schema: {ids} "
                f"(on {number_of(int(pixels.sum()), 'pixel')}).",
                expected=f"0 to {size - 1} ({', '.join(self.class_names)}), or {IGNORE} where unknown",
                remedy="compare maps of one class schema, or give the schema that belongs to them",
            )

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if self.class_names != other.class_names:
            raise SchemaError(
                f"Confusion matrices of other classes: {', '.join(self.class_names)} "
                f"and {', '.join(other.class_names)}.",
                expected="the same classes in the same order",
            )
        total = ConfusionMatrix(self.class_names)
        total.counts += self.counts + other.counts
        total.unmapped += self.unmapped + other.unmapped
        return total

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ConfusionMatrix)
            and self.class_names == other.class_names
            and np.array_equal(self.counts, other.counts)
            and np.array_equal(self.unmapped, other.unmapped)
        )

    __hash__ = None  # type: ignore[assignment]  # it grows by update

    def __repr__(self) -> str:
        return f"ConfusionMatrix({self.class_names}, valid_px={self.valid_px}, unmapped_px={self.unmapped_px})"

    @property
    def valid_px(self) -> int:
        """Pixels with a class in both maps: the sum of the matrix."""
        return int(self.counts.sum())

    @property
    def unmapped_px(self) -> int:
        """Labelled pixels that the prediction leaves without a class."""
        return int(self.unmapped.sum())

    @property
    def reference_px(self) -> CountArray:
        """(class,) pixels of each reference class among the valid ones."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    @property
    def predicted_px(self) -> CountArray:
        """(class,) pixels of each predicted class among the valid ones."""
        return np.asarray(self.counts.sum(axis=0), np.int64)

    @property
    def overall_accuracy(self) -> float:
        """Share of valid pixels whose class is right, 0..1; NaN without valid pixels."""
        return float(ratio(np.trace(self.counts), self.counts.sum()))

    @property
    def iou(self) -> DoubleArray:
        """(class,) intersection over union (Jaccard), 0..1; NaN for a class that neither map has."""
        hits = np.diagonal(self.counts)
        return ratio(hits, self.reference_px + self.predicted_px - hits)

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes present in the reference or in the prediction; NaN if none is."""
        return mean_defined(self.iou)

    @property
    def precision(self) -> DoubleArray:
        """(class,) share of the pixels predicted as a class that are of it (user's accuracy)."""
        return ratio(np.diagonal(self.counts), self.predicted_px)

    @property
    def recall(self) -> DoubleArray:
        """(class,) share of a reference class's pixels that are predicted so (producer's accuracy)."""
        return ratio(np.diagonal(self.counts), self.reference_px)

    @property
    def dice(self) -> DoubleArray:
        """(class,) Dice coefficient, 0..1: the F1 score, mean of precision and recall; NaN where IoU is NaN."""
        return ratio(2 * np.diagonal(self.counts), self.reference_px + self.predicted_px)

    f1 = dice

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the classes present in the reference or in the prediction; NaN if none is."""
        return mean_defined(self.dice)

    mean_f1 = mean_dice

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond chance, at most 1; NaN where chance alone agrees fully."""
        total = float(self.counts.sum())
        observed = float(np.trace(self.counts)) * total
        by_chance = float(self.reference_px.astype(np.float64) @ self.predicted_px.astype(np.float64))
        return float(ratio(observed - by_chance, total * total - by_chance))

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain lists, read back by ``from_dict``."""
        return {
            "class_names": list(self.class_names),
            "counts": self.counts.tolist(),
            "unmapped": self.unmapped.tolist(),
        }

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> ConfusionMatrix:
        """Return the matrix that ``to_dict`` wrote.

        Raises:
            InputError: If the entries are not such a matrix.
        """
        try:
            matrix = cls(tuple(str(name) for name in entries["class_names"]))
            matrix.counts += counts_from(entries["counts"], matrix.counts.shape)
            matrix.unmapped += counts_from(entries["unmapped"], matrix.unmapped.shape)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"Not a confusion matrix: {error!r}.",
                expected="class_names, counts and unmapped as written by crispmap",
            ) from error
        return matrix


@dataclass(frozen=True)
class ImageDice:
    """Dice coefficients of images, each by itself, summed: their means weigh a small image like a large one.

    In an image a class counts where its map or its reference has it; an image without a valid pixel does not count.
    """

    images: int  # that count
    mean_sum: float  # of each image's mean over its classes
    class_images: tuple[int, ...]  # (class,) images in which the class counts
    class_sums: tuple[float, ...]  # (class,) of its Dice coefficients in them

    @classmethod
    def of(cls, matrices: Iterable[ConfusionMatrix], classes: int) -> ImageDice:
        """Return the sums over images of which each has a matrix."""
        found = np.array([one.dice for one in matrices], np.float64).reshape(-1, classes)
        found = found[~np.isnan(found).all(axis=1)]
        counts, sums = (~np.isnan(found)).sum(axis=0), np.nan_to_num(found).sum(axis=0)
        return cls(len(found), float(np.nanmean(found, axis=1).sum()), tuple(counts.tolist()), tuple(sums.tolist()))

    def __add__(self, other: ImageDice) -> ImageDice:
        return ImageDice(
            self.images + other.images,
            self.mean_sum + other.mean_sum,
            tuple(map(operator.add, self.class_images, other.class_images)),
            tuple(map(operator.add, self.class_sums, other.class_sums)),
        )

    @property
    def mean(self) -> float:
        """Mean over the images of each image's mean over its classes, 0..1; NaN without an image."""
        return float(ratio(self.mean_sum, self.images))

    @property
    def by_class(self) -> DoubleArray:
        """(class,) mean over the images in which the class counts, 0..1; NaN where it is in none."""
        return ratio(np.array(self.class_sums), np.array(self.class_images))

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain values, read back by ``from_dict``."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any], classes: int) -> ImageDice:
        """Return the sums that ``to_dict`` wrote.

        Raises:
            InputError: If the entries are not such sums.
        """
        try:
            counts = counts_from([entries["images"], *entries["class_images"]], (1 + classes,)).tolist()
            sums = np.array([entries["mean_sum"], *entries["class_sums"]])
            if sums.shape != (1 + classes,) or sums.dtype.kind not in "iuf" or not _within(sums, counts):
                raise ValueError(f"expected sums of shares of {classes} classes, not {sums.tolist()!r:.80}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"Not Dice coefficients of images: {error!r}.", expected="sums and counts as written by crispmap"
            ) from error
        mean_sum, *class_sums = map(float, sums)
        return cls(counts[0], mean_sum, tuple(counts[1:]), tuple(class_sums))


def _within(sums: NDArray[Any], counts: Sequence[int]) -> bool:
    """Return whether sums can be of so many shares within 0..1, each but for rounding."""
    return bool(((sums >= 0) & (sums <= np.array(counts) * (1 + 1e-9))).all() and max(counts) <= counts[0])


def occurrences(values: NDArray[Any], size: int) -> CountArray:
    """Return how often each of the numbers 0 to size - 1 is among some values (row, col), none of which is another.

    Rows of maps are long runs of one value, of which only the ends are looked at.
    """
    flat = values.ravel()
    ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)) if flat.size else np.zeros(0, np.intp)
    counts = np.bincount(flat[ends], weights=np.diff(ends, prepend=-1), minlength=size)
    return counts.astype(np.int64)  # exact: far below 2**53


def check_labels(predicted: LabelArray, reference: LabelArray) -> None:
    """Raise unless two label arrays are uint8 and of one shape.

    Raises:
        GridError: If the shapes differ.
        LabelError: If an array is not uint8.
    """
    for name, labels in (("map", predicted), ("reference", reference)):
        if labels.dtype != np.uint8:
            raise LabelError(
                f"The {name} has values of type {labels.dtype}.", expected=f"uint8 class ids, {IGNORE} where unknown"
            )
    if predicted.shape != reference.shape:
        raise GridError(
            f"The map has shape {predicted.shape}, the reference {reference.shape}.", expected="one shape for both"
        )


def counts_from(values: Any, shape: tuple[int, ...]) -> CountArray:
    """Return nested lists of whole, non-negative numbers as int64 of a shape.

    Raises:
        ValueError: If they are something else.
    """
    counts = np.array(values)
    if counts.size == 0 and 0 in shape:  # an empty list has no type and not all of the shape
        return np.zeros(shape, np.int64)
    if counts.shape != shape or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"expected whole numbers of shape {shape}, not {values!r:.80}")
    return counts.astype(np.int64)


def ratio(part: NDArray[Any] | float, whole: NDArray[Any] | float) -> DoubleArray:
    """Return part / whole as float64, NaN wherever the whole is 0, never with a warning."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    result: DoubleArray = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def mean_defined(values: DoubleArray) -> float:
    """Return the mean of the values that are not NaN, or NaN where there is none."""
    defined: BoolArray = ~np.isnan(values)
    return float(values[defined].mean()) if defined.any() else float("nan")
