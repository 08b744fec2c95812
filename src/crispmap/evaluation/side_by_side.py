"""Class maps, and the coarse scores behind them, evaluated against one reference."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.evaluation.compare import default_widths_m
from crispmap.evaluation.evaluation import Evaluation, warn_of_chance
from crispmap.evaluation.files import (
    Recalibration,
    ScoringRules,
    evaluate_coarse_file,
    evaluate_file,
    schema_of_map,
)
from crispmap.events import SILENT, Events, progress
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Grid
from crispmap.raster.files import read_grid

COARSE, RETHRESHOLDED = "coarse", "re-thresholded"  # names of the two rows of coarse scores


@dataclass(frozen=True)
class SideBySide:
    """The figures of several maps against one reference."""

    reference: Path  # what they were scored against
    schema: ClassSchema  # their classes
    evaluations: Mapping[str, Evaluation]  # by name: those of coarse scores first, then one for each map
    biases: Sequence[float] | None = None  # the class biases of the re-thresholded coarse map, where scores were given

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values."""
        biases = None if self.biases is None else dict(zip(self.schema.names, self.biases, strict=True))
        return {
            "reference": self.reference,
            "maps": {name: one.to_dict() for name, one in self.evaluations.items()},
            "biases": biases,
        }


def evaluate_side_by_side(
    maps: Sequence[Path],
    reference: Path,
    rules: ScoringRules = ScoringRules(),
    *,
    scores: Path | None = None,
    recalibration: Recalibration = Recalibration(),
    events: Events = SILENT,
) -> SideBySide:
    """Return how well class maps, and the coarse map behind them, agree with a reference.

    Args:
        maps: Class maps, or any masks that ``open_labels`` reads; named by their files or, if two files have the same
            name, by their paths.
        scores: Coarse scores: evaluated as they are, and re-thresholded.
        recalibration: Where their class biases come from: by default fitted on the areas of the role ``refiner``.
        events: What progress is reported to.

    Raises:
        InputError: If areas are windows and the maps have different pixels, or scores come without an area to fit on.
        LabelError: If a file cannot be read as labels, or nothing is labelled.
        ProjectError: If an area cannot be read, or areas of two roles share pixels.
        SceneError: If a map or the scores cannot be read.
        SchemaError: If the maps name no classes and none are given, or different ones.
    """
    schema = rules.schema or common_schema(maps)
    grids = [read_grid(path) for path in (*maps, scores) if path is not None]
    _check_windows(rules.areas, grids)
    rules = replace(rules, schema=schema, widths_m=rules.widths_m or _common_widths_m(grids))
    evaluations: dict[str, Evaluation] = {}
    biases, often = None, Counter(path.name for path in maps)
    total = sum(math.prod(grid.shape) for grid in [*grids, *grids[len(maps) :]])  # scores are scored twice
    with progress(events, "evaluation", total) as running:
        if scores is not None:
            found = evaluate_coarse_file(scores, reference, schema, rules, recalibration, events=running)
            evaluations, biases = {COARSE: found.coarse, RETHRESHOLDED: found.rethresholded}, found.biases.tolist()
        for path in maps:
            name = path.name if often[path.name] == 1 else str(path)
            evaluations[name] = evaluate_file(path, reference, rules, events=running)
    warn_of_chance(evaluations)
    return SideBySide(reference, schema, evaluations, biases)


def common_schema(maps: Sequence[Path]) -> ClassSchema:
    """Return the classes in the tags of the maps.

    Raises:
        SceneError: If a map cannot be opened.
        SchemaError: If a map names no classes, or they differ.
    """
    found = {path: schema_of_map(path) for path in maps}
    first = found[maps[0]]
    for path, schema in found.items():
        if schema.names != first.names:
            raise SchemaError(
                f"{maps[0]} has classes {', '.join(first.names)}, {path} has {', '.join(schema.names)}.",
                expected="maps of the same classes in the same order",
                remedy="Evaluate them one by one.",
            )
    return first


def classes_without_reference(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """Return the names of the classes without a reference pixel in the scored area."""
    confusions = [one.confusion for one in evaluations.values()]
    return [
        name
        for index, name in enumerate(confusions[0].class_names)
        if not any(one.reference_px[index] for one in confusions)
    ]


def _check_windows(areas: Mapping[str, Sequence[AreaPiece]], grids: Sequence[Grid]) -> None:
    """Raise InputError if an area is a window of pixels and the grids differ."""
    windows = [piece.origin for pieces in areas.values() for piece in pieces if piece.window is not None]
    if windows and not all(one.has_pixels_of(other) for one, other in itertools.pairwise(grids)):
        raise InputError(
            f"{windows[0]} is in pixels, but the maps have different grids.",
            expected="polygons, or maps on one grid",
            remedy="Give the area as a file of polygons.",
        )


def _common_widths_m(grids: Sequence[Grid]) -> tuple[float, ...]:
    """Return boundary widths that suit the largest pixels."""
    steps = [grid.gsd_m() for grid in grids]
    return default_widths_m((max(y for _, y in steps), max(x for x, _ in steps)))
