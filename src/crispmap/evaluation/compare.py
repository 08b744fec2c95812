"""A class map compared with a reference: every count behind its figures, from one pass over the pixels.

Maps are read block by block with a halo, and counted by threads while the next blocks are read: memory is bounded, and
the counts do not depend on the block size. Only pixels with a reference label, inside the area if one is given, are
scored. Pixels outside it count as unknown, so that the border of an area is not an outline.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import GridError, LabelError, number_of
from crispmap.evaluation.boundary import DISTANCE_TOLERANCE, BoundaryCounts, BoundaryRule, RelaxedCounts
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.readers import AreaMask, AreaUnion, ArrayLabels, ArrayMask, LabelSource
from crispmap.events import SILENT, Events, progress
from crispmap.geo.grid import Block, Grid
from crispmap.metrics import ConfusionMatrix, ImageDice
from crispmap.raster.pipeline import available_cores, following
from crispmap.types import IGNORE, BoolArray, LabelArray

BLOCK_PX = 1024
SLACK_PX = 3.0  # slack of relaxed precision and recall, in pixels (Mnih 2013)

_WIDTHS_M = (1.0, 3.0)


def evaluate_maps(
    predicted: LabelSource,
    reference: LabelSource,
    grid: Grid,
    schema: ClassSchema,
    *,
    area: Sequence[AreaMask],
    events: Events = SILENT,
) -> Evaluation:
    """Return how well a map agrees with a reference in an area of their grid; see ``MapComparison``."""
    rule = boundary_rule(schema, rows_and_columns_m(grid))
    return MapComparison(predicted, reference, grid.block, schema, rule, AreaUnion(area)).run(events=events)


def evaluate_arrays(  # noqa: PLR0913 - what an evaluation depends on
    predicted: LabelArray,
    reference: LabelArray,
    gsd_m: tuple[float, float],
    schema: ClassSchema,
    *,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    area: BoolArray | None = None,
) -> Evaluation:
    """Return how well a map in memory agrees with a reference; see ``evaluate_maps``.

    Args:
        predicted: (row, col) uint8 class ids, 255 where the map has none.
        reference: (row, col) uint8 class ids, 255 where unknown.
        gsd_m: Ground sampling distance (between rows y, between columns x), in metres.
        area: (row, col) bool, the pixels to score; all by default.

    Raises:
        GridError: If the shapes differ.
        InputError: If a width or ground sampling distance is not above 0, or the slack is below 0.
        LabelError: If nothing is labelled, the map covers none of it, or an id is no class.
    """
    if predicted.ndim != 2:
        raise GridError(f"The map has shape {predicted.shape}.", expected="rows and columns")
    for name, array in (("reference", reference), ("area", area)):
        if array is not None and array.shape != predicted.shape:
            raise GridError(f"The map has shape {predicted.shape}, the {name} {array.shape}.", expected="one shape")
    rule = boundary_rule(schema, gsd_m, widths_m, slack_px)
    chosen = None if area is None else ArrayMask(area)
    whole = Block(0, 0, *predicted.shape)
    return MapComparison(ArrayLabels(predicted), ArrayLabels(reference), whole, schema, rule, chosen).run()


def boundary_rule(
    schema: ClassSchema,
    gsd_m: tuple[float, float],
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
) -> BoundaryRule:
    """Return the rule for boundaries at the given widths, sorted and each once, or at the default ones."""
    widths = default_widths_m(gsd_m) if widths_m is None else tuple(sorted({float(width) for width in widths_m}))
    return BoundaryRule(len(schema), gsd_m, widths, slack_px)


def rows_and_columns_m(grid: Grid) -> tuple[float, float]:
    """Return a grid's ground sampling distance (between rows y, between columns x), in metres."""
    gsd_x, gsd_y = grid.gsd_m()
    return gsd_y, gsd_x


def default_widths_m(gsd_m: tuple[float, float]) -> tuple[float, ...]:
    """Return 1 and 3 metres or, for pixels larger than a metre, about 1 and 3 pixels, in metres."""
    largest = max(gsd_m)
    if not _WIDTHS_M[0] * (1 + DISTANCE_TOLERANCE) < largest < math.inf:
        return _WIDTHS_M
    unit = 10.0 ** (math.floor(math.log10(largest)) - 1)
    rounded = round(largest / unit) * unit
    if rounded * (1 + DISTANCE_TOLERANCE) < largest:  # a width that reaches the next pixel
        rounded = math.ceil(largest / unit) * unit
    return tuple(round(pixels * rounded, 6) for pixels in _WIDTHS_M)


@dataclass(frozen=True)
class MapComparison:
    """A map and a reference on one grid, and what is counted."""

    predicted: LabelSource  # the map
    reference: LabelSource  # what it is scored against
    whole: Block  # all pixels of the grid
    schema: ClassSchema  # the classes of both
    rule: BoundaryRule  # what is counted at boundaries
    chosen: AreaMask | None = None  # the pixels to score; None for all

    def run(self, block_px: int = BLOCK_PX, events: Events = SILENT) -> Evaluation:
        """Return the counts over the whole grid, taken block by block; the size of a block changes only the memory.

        Raises:
            GridError: If the block has no pixel.
            LabelError: If nothing is labelled there, the map covers none of it, or an id is no class.
        """
        total = ConfusionMatrix(self.schema.names)
        images = [ConfusionMatrix(self.schema.names) for _ in self._images]
        boundary, relaxed = self.rule.empty_counts()
        found = following(self._read(block_px), self._counted, threads=available_cores())
        with progress(events, "evaluation", self.whole.height * self.whole.width) as running, closing(found):
            for block, counts in found:
                if counts is not None:
                    total += counts.confusion
                    boundary, relaxed = boundary + counts.boundary, relaxed + counts.relaxed
                    for number, matrix in counts.images.items():
                        images[number] += matrix
                running.advance(block.height * block.width)
        self._refuse_empty(total)
        return Evaluation(total, boundary, relaxed, ImageDice.of(images or [total], len(self.schema)), self.rule.gsd_m)

    def _read(self, block_px: int) -> Iterator[_ReadBlock]:
        """Yield all blocks with a halo; those whose core has nothing to score without their pixels."""
        for block in self.whole.pieces(block_px):
            outer = block.padded(self.rule.margin_px).intersection(self.whole)
            reference = self._reference_in(outer, block.relative_to(outer))
            predicted = None if reference is None else self.predicted.read(outer)
            yield _ReadBlock(block, block.relative_to(outer), predicted, reference)

    def _counted(self, read: _ReadBlock) -> tuple[Block, _BlockCounts | None]:
        """Return a block and its counts; None of one with nothing to score."""
        if read.predicted is None or read.reference is None:
            return read.block, None
        predicted, reference = read.predicted[read.core.slices], read.reference[read.core.slices]
        whole, images = ConfusionMatrix(self.schema.names), dict[int, ConfusionMatrix]()
        whole.update(predicted, reference)
        for number, area in enumerate(self._images):
            mask = area.mask(read.block)
            if mask.any():
                images[number] = ConfusionMatrix(self.schema.names)
                images[number].update(predicted[mask], reference[mask])
        return read.block, _BlockCounts(whole, images, *self.rule.count(read.predicted, read.reference, read.core))

    @property
    def _images(self) -> Sequence[AreaMask]:
        """The areas that are images of their own; none where all pixels are those of one."""
        areas = self.chosen.pieces if isinstance(self.chosen, AreaUnion) else ()
        return areas if len(areas) > 1 else ()

    def _reference_in(self, outer: Block, core: Block) -> LabelArray | None:
        """Return the reference of a block, 255 where it is not scored; None if its core has nothing to score."""
        chosen = None if self.chosen is None else self.chosen.mask(outer)
        if chosen is not None and not chosen[core.slices].any():
            return None
        reference = self.reference.read(outer)
        if chosen is not None:
            reference = np.where(chosen, reference, np.uint8(IGNORE))
        return reference if (reference[core.slices] != IGNORE).any() else None

    def _refuse_empty(self, confusion: ConfusionMatrix) -> None:
        if confusion.valid_px:
            return
        where = "" if self.chosen is None else " inside the area"
        if confusion.unmapped_px:
            raise LabelError(
                f"The map has no class on any of the {number_of(confusion.unmapped_px, 'labelled pixel')}{where}.",
                expected="a map that covers the reference",
                remedy="Check that the map shows the same place, and that it is not all nodata.",
            )
        raise LabelError(
            f"The reference labels no pixel of the map{where}.",
            expected="a reference that overlaps the scored area",
            remedy="Check the CRS of the reference, and the area.",
        )


class _ReadBlock(NamedTuple):
    """A block of a map and its reference, read with a halo."""

    block: Block
    core: Block  # the same, in what was read
    predicted: LabelArray | None
    reference: LabelArray | None


class _BlockCounts(NamedTuple):
    """The counts of one block."""

    confusion: ConfusionMatrix
    images: Mapping[int, ConfusionMatrix]  # of those that have some of its pixels
    boundary: BoundaryCounts
    relaxed: RelaxedCounts
