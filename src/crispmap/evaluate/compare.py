"""Comparing a class map with a reference: every figure of its quality, from one pass over the ground.

The maps are read block by block with a halo, so memory does not grow with the scene, and the counts are the
same whatever the block size. Only ground with a reference label, and inside the area where one is given, is
scored; what lies outside is treated as unknown, so no outline arises at the rim of an area.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import GridError, InputError, LabelError, SchemaError
from crispmap.evaluate.boundary import DISTANCE_TOLERANCE, BoundaryCounts, BoundaryRule, RelaxedCounts
from crispmap.evaluate.readers import ArrayGround, ArrayLabels, Ground, LabelSource, OtherGround, UnitedGround
from crispmap.files.gdal_memory import few_blocks_kept
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.metrics import ConfusionMatrix, mean_defined
from crispmap.raster.files import read_grid
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE, BoolArray, DoubleArray, LabelArray

__all__ = [
    "ArrayLabels",
    "Evaluation",
    "default_widths_m",
    "evaluate_arrays",
    "evaluate_file",
    "evaluate_maps",
    "ground_to_score",
    "schema_of_map",
]

BLOCK_PX = 1024
SLACK_PX = 3.0
"""Slack of relaxed precision and recall, in pixels (Mnih 2013)."""

_WIDTHS_M = (1.0, 3.0)
_SAME_GSD = 0.01  # scenes whose pixels differ by less may be pooled

Progress = Callable[[int, int], None]
"""Told how many pixels are done, and how many there are."""


@dataclass(frozen=True)
class Evaluation:
    """How well a map agrees with a reference: counts, and the figures read from them.

    Evaluations of several pieces of ground add up to that of all of it.

    Attributes:
        confusion: Pixels by reference and predicted class.
        boundary: Boundary pixels and inner boundary regions, at every width.
        relaxed: Pixels of each class near a pixel of it in the other map.
        gsd_m: Ground sampling distance (between rows y, between columns x) the map was compared at, in
            metres.
    """

    confusion: ConfusionMatrix
    boundary: BoundaryCounts
    relaxed: RelaxedCounts
    gsd_m: tuple[float, float]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in order of id."""
        return self.confusion.class_names

    @property
    def overall_accuracy(self) -> float:
        """Share of the pixels with a class in both maps whose class is right, 0..1."""
        return self.confusion.overall_accuracy

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes present in the reference or in the map, 0..1."""
        return self.confusion.mean_iou

    @property
    def iou(self) -> DoubleArray:
        """(class,) intersection over union, 0..1; NaN for a class that neither map has."""
        return self.confusion.iou

    @property
    def kappa(self) -> float:
        """Cohen's kappa, at most 1."""
        return self.confusion.kappa

    @property
    def unmapped_share(self) -> float:
        """Share of the labelled pixels on which the map has no class, 0..1; the other figures leave them out."""
        unmapped = self.confusion.unmapped_px
        return unmapped / (unmapped + self.confusion.valid_px) if unmapped else 0.0

    @property
    def widths_m(self) -> tuple[float, ...]:
        """The widths at which boundaries are compared, in metres."""
        return self.boundary.widths_m

    @property
    def boundary_f1(self) -> DoubleArray:
        """(width,) mean boundary F1 over the classes with a boundary in either map."""
        return np.array([mean_defined(row) for row in self.boundary.f1])

    @property
    def boundary_iou(self) -> DoubleArray:
        """(width,) mean boundary IoU over the classes with a boundary in either map."""
        return np.array([mean_defined(row) for row in self.boundary.iou])

    def __add__(self, other: Evaluation) -> Evaluation:
        if not np.allclose(self.gsd_m, other.gsd_m, rtol=_SAME_GSD, atol=0):
            raise GridError(
                f"Evaluations at {self.gsd_m} and {other.gsd_m} metres a pixel cannot be pooled.",
                expected="one ground sampling distance",
            )
        return Evaluation(
            self.confusion + other.confusion, self.boundary + other.boundary, self.relaxed + other.relaxed, self.gsd_m
        )

    def to_dict(self) -> dict[str, Any]:
        """Return every figure, as shares 0..1 with None where undefined, and the counts behind them.

        The result is safe for JSON; ``from_dict`` reads its ``counts`` back.
        """
        figures = {
            "overall_accuracy": self.overall_accuracy,
            "mean_iou": self.mean_iou,
            "mean_f1": self.confusion.mean_f1,
            "kappa": self.kappa,
            "valid_px": self.confusion.valid_px,
            "unmapped_px": self.confusion.unmapped_px,
            "unmapped_share": self.unmapped_share,
            "boundary": [
                {"width_m": width, "mean_f1": f1, "mean_iou": iou}
                for width, f1, iou in zip(self.widths_m, self.boundary_f1, self.boundary_iou, strict=True)
            ],
            "classes": {name: self._class_figures(index) for index, name in enumerate(self.class_names)},
        }
        counts = {
            "confusion": self.confusion.to_dict(),
            "boundary": self.boundary.to_dict(),
            "relaxed": self.relaxed.to_dict(),
            "gsd_m": list(self.gsd_m),
        }
        return {**_plain(figures), "counts": counts}

    def _class_figures(self, class_id: int) -> dict[str, Any]:
        matrix, edges, relaxed = self.confusion, self.boundary, self.relaxed
        return {
            "iou": matrix.iou[class_id],
            "precision": matrix.precision[class_id],
            "recall": matrix.recall[class_id],
            "f1": matrix.f1[class_id],
            "reference_px": int(matrix.reference_px[class_id]),
            "predicted_px": int(matrix.predicted_px[class_id]),
            "unmapped_px": int(matrix.unmapped[class_id]),
            "boundary": [
                {
                    "width_m": width,
                    "precision": edges.precision[index, class_id],
                    "recall": edges.recall[index, class_id],
                    "f1": edges.f1[index, class_id],
                    "iou": edges.iou[index, class_id],
                }
                for index, width in enumerate(self.widths_m)
            ],
            "relaxed": {
                "slack_px": relaxed.slack_px,
                "precision": relaxed.precision[class_id],
                "recall": relaxed.recall[class_id],
                "f1": relaxed.f1[class_id],
            },
        }

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation that ``to_dict`` wrote.

        Raises:
            InputError: If the entries are something else.
        """
        try:
            counts = entries["counts"]
            gsd_y, gsd_x = (float(value) for value in counts["gsd_m"])
            parts = counts["confusion"], counts["boundary"], counts["relaxed"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"Not an evaluation: {error!r}.", expected="figures as written by crispmap") from error
        return cls(
            ConfusionMatrix.from_dict(parts[0]),
            BoundaryCounts.from_dict(parts[1]),
            RelaxedCounts.from_dict(parts[2]),
            (gsd_y, gsd_x),
        )


def evaluate_maps(
    predicted: LabelSource,
    reference: LabelSource,
    grid: Grid,
    schema: ClassSchema,
    *,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    area: Ground | Sequence[Ground] | None = None,
    block_px: int = BLOCK_PX,
) -> Evaluation:
    """Return how well a map agrees with a reference on one grid; the block size changes nothing but the memory.

    Args:
        predicted: The map; 255 where it has no class.
        reference: What it is scored against; 255 where unknown.
        grid: Where the pixels of both lie.
        schema: The classes of both.
        widths_m: Widths at which boundaries are compared, in metres on the ground; ``default_widths_m`` if
            not given.
        slack_px: Slack of relaxed precision and recall, in pixels.
        area: The ground to score, such as ``Area``s; all by default.
        block_px: Side of the blocks, in pixels.

    Raises:
        InputError: If a width is not above 0, the slack is below 0, or the block has no pixel.
        LabelError: If nothing is labelled there, the map covers none of it, or an id is no class.
    """
    comparison = _comparison(predicted, reference, grid, schema, widths_m, slack_px, area)
    return comparison.run(block_px)


def evaluate_arrays(
    predicted: LabelArray,
    reference: LabelArray,
    gsd_m: tuple[float, float],
    schema: ClassSchema,
    *,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    area: BoolArray | None = None,
) -> Evaluation:
    """Return how well a map in memory agrees with a reference.

    Args:
        predicted: (row, col) uint8 class ids, 255 where the map has none.
        reference: (row, col) uint8 class ids, 255 where unknown.
        gsd_m: Ground sampling distance (between rows y, between columns x), in metres.
        schema: The classes of both.
        widths_m: Widths at which boundaries are compared, in metres on the ground; ``default_widths_m`` if
            not given.
        slack_px: Slack of relaxed precision and recall, in pixels.
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
    rule = BoundaryRule(len(schema), gsd_m, _widths(widths_m, gsd_m), slack_px)
    ground = None if area is None else ArrayGround(area)
    whole = Block(0, 0, *predicted.shape)
    return _Comparison(ArrayLabels(predicted), ArrayLabels(reference), whole, schema, rule, ground).run(BLOCK_PX)


def evaluate_file(
    map_path: str | Path,
    reference_path: str | Path,
    *,
    schema: ClassSchema | None = None,
    areas: Mapping[str, Sequence[AreaPiece]] | None = None,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    options: LabelOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Return how well a class map in a file agrees with a reference in a file, on the map's grid.

    Args:
        map_path: A class map, or any mask that ``open_labels`` reads.
        reference_path: Vectors or a mask, in any CRS.
        schema: The classes; those in the map's tags by default.
        areas: Pieces of ground by role, see ``ground_to_score``; windows count the map's pixels.
        widths_m: Widths at which boundaries are compared, in metres on the ground; ``default_widths_m`` if
            not given.
        slack_px: Slack of relaxed precision and recall, in pixels.
        options: How the reference is read.
        progress: Told how far it is.

    Raises:
        InputError: If a width is not above 0, or the slack is below 0.
        LabelError: If a file cannot be read as labels, the two do not overlap, or no pixel is labelled.
        ProjectError: If an area lies outside the map or cannot be read, or areas of two roles share pixels.
        SceneError: If the map is no raster.
        SchemaError: If the map names no classes and none are given.
    """
    schema = schema or schema_of_map(map_path)
    grid = read_grid(map_path)
    ground = ground_to_score(areas or {}, grid)
    with few_blocks_kept(), ExitStack() as stack:
        predicted = stack.enter_context(closing(open_labels(map_path, schema, grid)))
        reference = stack.enter_context(closing(open_labels(reference_path, schema, grid, options=options)))
        comparison = _comparison(predicted, reference, grid, schema, widths_m, slack_px, ground)
        return comparison.run(BLOCK_PX, progress)


def schema_of_map(path: str | Path) -> ClassSchema:
    """Return the class schema that a class map carries in its tags.

    Raises:
        SceneError: If the file cannot be opened, or its schema not be read.
        SchemaError: If it carries none.
    """
    schema = read_class_schema(path)
    if schema is None:
        raise SchemaError(
            f"{path} does not name its classes.",
            expected="a class map written by crispmap",
            remedy="Give the classes (--classes project.yaml).",
        )
    return schema


def ground_to_score(areas: Mapping[str, Sequence[AreaPiece]], grid: Grid) -> Ground | None:
    """Return the ground of the role ``test``; else all but the ground of other roles, which is learned from.

    None means all ground. Windows count the pixels of the grid.

    Raises:
        ProjectError: If an area lies outside the grid or cannot be read, or areas of two roles share pixels.
    """
    resolved = resolve_areas(areas, grid, grid)
    if resolved.get("test"):
        return UnitedGround(resolved["test"])
    others = [area for role in resolved.values() for area in role]
    return OtherGround(UnitedGround(others)) if others else None


def default_widths_m(gsd_m: tuple[float, float]) -> tuple[float, ...]:
    """Return 1 and 3 metres or, where pixels are larger than a metre, about 1 and 3 pixels, in metres.

    Args:
        gsd_m: Ground sampling distance of each axis, in metres.
    """
    largest = max(gsd_m)
    if not _WIDTHS_M[0] * (1 + DISTANCE_TOLERANCE) < largest < math.inf:
        return _WIDTHS_M
    unit = 10.0 ** (math.floor(math.log10(largest)) - 1)
    rounded = round(largest / unit) * unit
    if rounded * (1 + DISTANCE_TOLERANCE) < largest:  # a width that reaches the next pixel
        rounded = math.ceil(largest / unit) * unit
    return tuple(round(pixels * rounded, 6) for pixels in _WIDTHS_M)


@dataclass(frozen=True)
class _Comparison:
    """A map and a reference on one grid, and what is counted."""

    predicted: LabelSource
    reference: LabelSource
    whole: Block
    schema: ClassSchema
    rule: BoundaryRule
    ground: Ground | None

    def run(self, block_px: int, progress: Progress | None = None) -> Evaluation:
        """Return the counts over the whole grid, taken block by block."""
        if block_px < 1:
            raise InputError(f"Blocks of {block_px} pixels.", expected="a side of 1 pixel or more")
        confusion = ConfusionMatrix(self.schema.names)
        boundary, relaxed = self.rule.zeros()
        done, total = 0, self.whole.height * self.whole.width
        for block in _blocks(self.whole, block_px):
            outer = block.padded(self.rule.margin_px).intersection(self.whole)
            core = block.relative_to(outer)
            reference = self._reference_in(outer, core)
            if reference is not None:
                predicted = self.predicted.read(outer)
                confusion.update(predicted[core.slices], reference[core.slices])
                at_edges, near = self.rule.count(predicted, reference, core)
                boundary, relaxed = boundary + at_edges, relaxed + near
            done += block.height * block.width
            if progress is not None:
                progress(done, total)
        self._refuse_empty(confusion)
        return Evaluation(confusion, boundary, relaxed, self.rule.gsd_m)

    def _reference_in(self, outer: Block, core: Block) -> LabelArray | None:
        """Return the reference of a block, 255 off the ground scored; None where its core has nothing to score."""
        chosen = None if self.ground is None else self.ground.mask(outer)
        if chosen is not None and not chosen[core.slices].any():
            return None
        reference = self.reference.read(outer)
        if chosen is not None:
            reference = np.where(chosen, reference, np.uint8(IGNORE))
        return reference if (reference[core.slices] != IGNORE).any() else None

    def _refuse_empty(self, confusion: ConfusionMatrix) -> None:
        if confusion.valid_px:
            return
        where = "" if self.ground is None else " inside the area"
        if confusion.unmapped_px:
            raise LabelError(
                f"The map has no class on any of the {confusion.unmapped_px} labelled pixels{where}.",
                expected="a map that covers the reference",
                remedy="Check that the map was made of this ground, and that it is not all nodata.",
            )
        raise LabelError(
            f"The reference labels no pixel of the map's ground{where}.",
            expected="a reference that overlaps what is to be scored",
            remedy="Check the CRS of the reference, and the area.",
        )


def _comparison(
    predicted: LabelSource,
    reference: LabelSource,
    grid: Grid,
    schema: ClassSchema,
    widths_m: Sequence[float] | None,
    slack_px: float,
    area: Ground | Sequence[Ground] | None,
) -> _Comparison:
    gsd_x, gsd_y = grid.gsd_m()
    gsd_m = (gsd_y, gsd_x)
    rule = BoundaryRule(len(schema), gsd_m, _widths(widths_m, gsd_m), slack_px)
    ground = UnitedGround(area) if isinstance(area, Sequence) else area
    return _Comparison(predicted, reference, grid.block, schema, rule, ground)


def _widths(widths_m: Sequence[float] | None, gsd_m: tuple[float, float]) -> tuple[float, ...]:
    """Return the widths in rising order, each once."""
    return default_widths_m(gsd_m) if widths_m is None else tuple(sorted({float(width) for width in widths_m}))


def _blocks(whole: Block, side: int) -> Iterable[Block]:
    for row in range(0, whole.height, side):
        for col in range(0, whole.width, side):
            yield Block(row, col, min(side, whole.height - row), min(side, whole.width - col))


def _plain(value: Any) -> Any:
    """Return figures as JSON knows them, None where they are not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
