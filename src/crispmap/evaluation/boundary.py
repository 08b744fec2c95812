"""Boundary figures: how well the outlines of a map follow those of a reference, at widths in metres on the ground.

The two maps are first reduced to the pixels that have a class in both. A boundary pixel of a class is a pixel of it
with a 4-neighbour of another class; unknown pixels and the edge of the grid make no boundary. Distances are Euclidean
between pixel centres, with the ground sampling distance of each axis, so pixels need not be square.

Three figures, each per class:

- boundary F1: precision is the share of predicted boundary pixels within the width of a reference boundary
  pixel of the same class, recall the share of reference boundary pixels within it of a predicted one
  (Martin et al. 2004; Csurka et al. 2013).
- boundary IoU: intersection over union of the inner boundary regions, the pixels of a class that have a
  pixel of another class within the width (the class less its erosion; Cheng et al. 2021). A region is never
  thinner than the boundary pixels themselves.
- relaxed precision and recall: the share of predicted pixels of a class within a slack, in pixels, of a
  reference pixel of it, and the reverse (Mnih 2013).

What a random map would reach is read from one more count, see ``crispmap.evaluation.chance``.

All are sums of pixel counts. Counted on the core of blocks read with a halo of ``BoundaryRule.margin_px``,
the sums over any cut equal those of the whole image.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.grid import Block
from crispmap.metrics import check_labels, counts_from, occurrences, ratio
from crispmap.types import IGNORE, CountArray, DoubleArray, LabelArray

DISTANCE_TOLERANCE = 0.002
"""Distances longer than a width by this share still count as within it.

The pixels of a projected grid measure up to 0.1 % more or less on the ground than their name says; without the
tolerance a width of 1 m would reach the next 1 m pixel in one part of a UTM zone and miss it in another.
"""

CROSS = (1, 0)  # half-widths of the 4-neighbourhood, see half_widths_px

Marks: TypeAlias = NDArray[Any]
"""Unsigned integers (row, col) of which each bit is a mask of its own."""

_IDS = IGNORE + 1
_PIECE_PX = 256  # side of what is worked on at once: its masks fit in the cache of a core
_MARKS = [np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")]
_AT_ONCE = 16  # classes: four masks of them have room in 64 bits


@dataclass(frozen=True, eq=False)
class _Counts:
    """Additive pixel counts; fields that are not arrays are the settings of the count."""

    def __add__(self, other: Self) -> Self:
        summed = {}
        for name, mine, theirs in self._pairs(other):
            if isinstance(mine, np.ndarray):
                summed[name] = mine + theirs
            elif mine != theirs:
                raise InputError(f"Counts of {name} {mine} and {theirs} cannot be added.", expected=f"the same {name}")
        return dataclasses.replace(self, **summed)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(np.array_equal(a, b) for _, a, b in self._pairs(other))

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def _pairs(self, other: object) -> list[tuple[str, Any, Any]]:
        names = [one.name for one in dataclasses.fields(self)]
        return [(name, getattr(self, name), getattr(other, name)) for name in names]

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain numbers and lists."""
        entries = {name: mine for name, mine, _ in self._pairs(self)}
        return {name: np.asarray(value).tolist() for name, value in entries.items()}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """Return the counts that ``to_dict`` wrote.

        Raises:
            InputError: If the entries are something else.
        """
        try:
            empty = cls._like(entries)
            shapes = {name: was.shape for name, was, _ in empty._pairs(empty) if isinstance(was, np.ndarray)}
            return dataclasses.replace(empty, **{name: counts_from(entries[name], shapes[name]) for name in shapes})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"Not {cls.__name__}: {error!r}.", expected="counts as written by crispmap") from error

    @classmethod
    def _like(cls, entries: Mapping[str, Any]) -> Self:
        """Return counts of 0 for the settings and the number of classes of the entries."""
        raise NotImplementedError


class _NearShares:
    """Shares of a map near the reference, and the reverse, from counts (…, class)."""

    predicted_px: CountArray
    reference_px: CountArray
    predicted_near_px: CountArray
    reference_near_px: CountArray

    @property
    def precision(self) -> DoubleArray:
        """(…, class) share of the map's pixels near one of the reference; NaN without any."""
        return ratio(self.predicted_near_px, self.predicted_px)

    @property
    def recall(self) -> DoubleArray:
        """(…, class) share of the reference's pixels near one of the map; NaN without any."""
        return ratio(self.reference_near_px, self.reference_px)

    @property
    def f1(self) -> DoubleArray:
        """(…, class) harmonic mean of precision and recall; 0 if only one map has such pixels, NaN if neither has."""
        return _f1(self.predicted_near_px, self.predicted_px, self.reference_near_px, self.reference_px)


@dataclass(frozen=True, eq=False)
class BoundaryCounts(_NearShares, _Counts):
    """Counts of boundary pixels and of inner boundary regions, by width and class."""

    widths_m: tuple[float, ...]  # the widths, in metres
    predicted_px: CountArray  # (class,) boundary pixels of the map
    reference_px: CountArray  # (class,) boundary pixels of the reference
    predicted_near_px: CountArray  # (width, class) those of the map within the width of one of the reference
    reference_near_px: CountArray  # (width, class) those of the reference within the width of one of the map
    inner_shared_px: CountArray  # (width, class) pixels in the inner boundary region of both
    inner_any_px: CountArray  # (width, class) pixels in the inner boundary region of either
    around_reference_px: CountArray  # (width, class) pixels of any class within the width of one of the reference

    @classmethod
    def zeros(cls, widths_m: tuple[float, ...], class_count: int) -> Self:
        """Return new boundary and relaxed counts, all 0, to add to."""
        by_class = [np.zeros(class_count, np.int64) for _ in range(2)]
        by_width = [np.zeros((len(widths_m), class_count), np.int64) for _ in range(5)]
        return cls(widths_m, *by_class, *by_width)

    @property
    def iou(self) -> DoubleArray:
        """(width, class) boundary IoU; NaN where neither map has a boundary."""
        return ratio(self.inner_shared_px, self.inner_any_px)

    @classmethod
    def _like(cls, entries: Mapping[str, Any]) -> Self:
        return cls.zeros(tuple(float(width) for width in entries["widths_m"]), len(entries["predicted_px"]))


@dataclass(frozen=True, eq=False)
class RelaxedCounts(_NearShares, _Counts):
    """Counts of the pixels of each class that have a pixel of it within a slack in the other map."""

    slack_px: float  # the slack, in pixels
    predicted_px: CountArray  # (class,) pixels of the map
    reference_px: CountArray  # (class,) pixels of the reference
    predicted_near_px: CountArray  # (class,) those of the map within the slack of one of the reference
    reference_near_px: CountArray  # (class,) those of the reference within the slack of one of the map

    @classmethod
    def zeros(cls, slack_px: float, class_count: int) -> Self:
        """Return new boundary and relaxed counts, all 0, to add to."""
        return cls(slack_px, *(np.zeros(class_count, np.int64) for _ in range(4)))

    @classmethod
    def _like(cls, entries: Mapping[str, Any]) -> Self:
        return cls.zeros(float(entries["slack_px"]), len(entries["predicted_px"]))


@dataclass(frozen=True)
class BoundaryRule:
    """The settings of boundary counts.

    Raises:
        InputError: If a width or ground sampling distance is not above 0, or the slack below 0.
    """

    class_count: int  # number of classes; ids are 0..class_count-1
    gsd_m: tuple[float, float]  # ground sampling distance (between rows y, between columns x), in metres
    widths_m: tuple[float, ...]  # widths at which boundaries are compared, in metres
    slack_px: float = 3  # slack of relaxed precision and recall, in pixels

    def __post_init__(self) -> None:
        for what, values in (("ground sampling distance", self.gsd_m), ("boundary width", self.widths_m)):
            if not all(math.isfinite(value) and value > 0 for value in values):
                raise InputError(f"A {what} of {values} metres.", expected="numbers above 0")
        if not (math.isfinite(self.slack_px) and self.slack_px >= 0):
            raise InputError(f"A slack of {self.slack_px} pixels.", expected="0 or more")

    @property
    def margin_px(self) -> int:
        """Halo, in pixels, that a block needs for the counts of its core to equal those in the whole image."""
        widest = max(self.widths_m, default=0.0) * (1 + DISTANCE_TOLERANCE) / min(self.gsd_m)
        return math.ceil(max(widest, self.slack_px)) + 2

    def empty_counts(self) -> tuple[BoundaryCounts, RelaxedCounts]:
        """Return new boundary and relaxed counts, all 0, to add to."""
        relaxed = RelaxedCounts.zeros(self.slack_px, self.class_count)
        return BoundaryCounts.zeros(self.widths_m, self.class_count), relaxed

    def count(
        self, predicted: LabelArray, reference: LabelArray, core: Block | None = None
    ) -> tuple[BoundaryCounts, RelaxedCounts]:
        """Return the counts of the pixels of a core, a block of the arrays; of all by default.

        They are those of the whole image if the arrays reach ``margin_px`` beyond the core, or to the image's edge.

        Raises:
            GridError: If the shapes differ.
            LabelError: If an array is not uint8.
        """
        check_labels(predicted, reference)
        boundary, relaxed = self.empty_counts()
        whole = Block(0, 0, *predicted.shape)
        for piece in (core or whole).pieces(max(_PIECE_PX, 2 * self.margin_px)):
            outer = piece.padded(self.margin_px).intersection(whole)
            maps = predicted[outer.slices], reference[outer.slices]
            for some in _Regions.each(*maps, self.class_count, piece.relative_to(outer)):
                self._add_boundary(boundary, some)
                self._add_relaxed(relaxed, some)
        return boundary, relaxed

    def _add_boundary(self, counts: BoundaryCounts, both: _Regions) -> None:
        ids, (ours, theirs) = both.ids, both.inside
        outside = both.known & ~ours, both.known & ~theirs
        beside = both.within(outside, CROSS)
        our_edge, their_edge = ours & beside[0], theirs & beside[1]
        counts.predicted_px[ids] += both.count(our_edge)
        counts.reference_px[ids] += both.count(their_edge)
        for index, width in enumerate(self.widths_m):
            reach = half_widths_px(width, self.gsd_m)
            around, near, *far = both.within((their_edge, our_edge, *outside), reach)
            counts.around_reference_px[index, ids] += both.count(around & both.known)
            counts.predicted_near_px[index, ids] += both.count(around & our_edge)
            counts.reference_near_px[index, ids] += both.count(near & their_edge)
            inner, other = our_edge | (ours & far[0]), their_edge | (theirs & far[1])
            counts.inner_shared_px[index, ids] += both.count(inner & other)
            counts.inner_any_px[index, ids] += both.count(inner | other)

    def _add_relaxed(self, counts: RelaxedCounts, both: _Regions) -> None:
        ids, (ours, theirs) = both.ids, both.inside
        around, near = both.within((theirs, ours), half_widths_px(self.slack_px, (1.0, 1.0)))
        counts.predicted_px[ids] += both.count(ours)
        counts.reference_px[ids] += both.count(theirs)
        counts.predicted_near_px[ids] += both.count(ours & around)
        counts.reference_near_px[ids] += both.count(theirs & near)


@dataclass(frozen=True)
class _Regions:
    """Some classes in both maps, each a bit of the numbers that stand for pixels."""

    ids: CountArray  # the classes, of bits 0, 1, ...
    known: Marks  # all bits where both maps have a class
    inside: tuple[Marks, Marks]  # the class of each pixel in the map, and in the reference
    counted: tuple[slice, slice]  # the pixels that count

    @classmethod
    def each(cls, predicted: LabelArray, reference: LabelArray, class_count: int, core: Block) -> Iterator[_Regions]:
        """Yield the classes in either map, where both are known, as many at a time as have room."""
        known = (predicted != IGNORE) & (reference != IGNORE)
        seen = sum(occurrences(labels, _IDS)[:class_count] for labels in (predicted, reference))
        ids = np.flatnonzero(seen)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            bit_of = np.zeros(_IDS, _with_room_for(len(some)))
            bit_of[some] = [1 << bit for bit in range(len(some))]
            marked = known * bit_of.dtype.type((1 << len(some)) - 1)
            ours, theirs = (np.take(bit_of, labels) & marked for labels in (predicted, reference))
            yield cls(some, marked, (ours, theirs), core.slices)

    def within(self, masks: Sequence[Marks], reach: tuple[int, ...]) -> list[Marks]:
        """Return some masks dilated, side by side in wider numbers; bits beyond those of classes mean nothing."""
        joined = masks[0].astype(_with_room_for(len(masks) * len(self.ids)))
        shifts = [joined.dtype.type(place * len(self.ids)) for place in range(len(masks))]
        for mask, shift in zip(masks[1:], shifts[1:], strict=True):
            joined |= mask.astype(joined.dtype) << shift
        near = within(joined, reach)
        return [(near >> shift).astype(mask.dtype) for mask, shift in zip(masks, shifts, strict=True)]

    def count(self, mask: Marks) -> list[int]:
        """Return the counted pixels of a mask by class."""
        inner = mask[self.counted]
        return [int(np.count_nonzero(inner & (1 << bit))) for bit in range(len(self.ids))]


def _with_room_for(bits: int) -> np.dtype[Any]:
    """Return the smallest unsigned integers of so many bits."""
    return next(one for one in _MARKS if 8 * one.itemsize >= bits)


def half_widths_px(distance: float, steps: tuple[float, float]) -> tuple[int, ...]:
    """Return the pixels within a distance of a pixel, as half-widths by row offset.

    Item ``i`` is the largest column offset whose centre, ``i`` rows away, is within the distance (and its tolerance).
    The steps are the distances between neighbouring rows and columns, in the same unit.
    """
    limit = distance * (1 + DISTANCE_TOLERANCE)
    step_y, step_x = steps
    rows = range(math.floor(limit / step_y) + 1)
    return tuple(math.floor(math.sqrt(max(0.0, limit**2 - (row * step_y) ** 2)) / step_x) for row in rows)


def within(mask: Marks, reach: tuple[int, ...]) -> Marks:
    """Return which pixels have a set pixel within reach: the dilation of a mask (row, col) by ``half_widths_px``.

    Of integers each bit is a mask of its own. Exact, and faster than a distance transform up to reaches of some hundred
    pixels: the rows of a disk are nested, so each half-width extends the one before by one column.
    """
    height, width = mask.shape
    near = np.zeros_like(mask)
    if not mask.any():
        return near
    widened = mask.copy()
    half_width = 0
    for row in reversed(range(min(len(reach), height))):
        while half_width < min(reach[row], width):
            half_width += 1
            widened[:, half_width:] |= mask[:, :-half_width]
            widened[:, :-half_width] |= mask[:, half_width:]
        near[row:] |= widened[: height - row]
        near[: height - row] |= widened[row:]
    return near


def _f1(
    predicted_near: CountArray, predicted: CountArray, reference_near: CountArray, reference: CountArray
) -> DoubleArray:
    """Return 2PR / (P + R); 0 if only one map has pixels, NaN if neither has."""
    hits = predicted_near.astype(np.float64) * reference + reference_near.astype(np.float64) * predicted
    twice = 2.0 * predicted_near * reference_near
    f1 = ratio(twice, hits)
    alone = np.isnan(f1) & (predicted + reference > 0)
    return np.where(alone, 0.0, f1)
