"""The evaluation of files against a reference: a class map, or coarse scores as they are and re-thresholded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.evaluation.compare import SLACK_PX, MapComparison, boundary_rule, rows_and_columns_m
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.readers import AreaComplement, AreaMask, AreaUnion, LabelSource
from crispmap.evaluation.recalibration import BiasedLabels, fit_biases_on
from crispmap.events import SILENT, Events, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.labels.squares import opened_reference, squares_of_map
from crispmap.raster.files import read_grid, read_turn
from crispmap.raster.scores import ScoreKind, open_scores
from crispmap.raster.writer import read_class_schema
from crispmap.types import DoubleArray

FIT_ROLE = "refiner"  # the role of the areas on which biases are fitted: those the refiner is trained on


@dataclass(frozen=True)
class ScoringRules:
    """What is scored, and how."""

    schema: ClassSchema | None = None  # by default the classes in a map's tags
    # areas by role, see ``pixels_to_score``; windows are in pixels of the map or scores
    areas: Mapping[str, Sequence[AreaPiece]] = field(default_factory=dict)
    widths_m: Sequence[float] | None = None  # boundary widths, in metres on the ground; by default those of the pixels
    slack_px: float = SLACK_PX  # slack of relaxed precision and recall
    options: LabelOptions = field(default_factory=LabelOptions)  # how references are read
    kind: ScoreKind = "auto"  # what coarse scores are
    full_scale: float | None = None  # their value that stands for probability 1

    def comparison(
        self, predicted: LabelSource, reference: LabelSource, grid: Grid, schema: ClassSchema
    ) -> MapComparison:
        """Return the comparison of a map with a reference on a grid, not yet run, in these classes."""
        rule = boundary_rule(schema, rows_and_columns_m(grid), self.widths_m, self.slack_px)
        return MapComparison(predicted, reference, grid.block, schema, rule, pixels_to_score(self.areas, grid))


@dataclass(frozen=True)
class Recalibration:
    """Where the class biases of the re-thresholded coarse map come from: fitted, or known."""

    reference: str | Path | None = None  # labels to fit to, by default what the maps are scored against
    biases: Mapping[str, float] | None = (
        None  # by the name of the class, fitted elsewhere, as those in a refiner's card
    )


@dataclass(frozen=True, eq=False)
class CoarseEvaluation:
    """The figures of a coarse map."""

    coarse: Evaluation  # figures of the arg max of the scores
    biases: DoubleArray  # (class,) those given, or fitted on the area of the role ``FIT_ROLE``; the first is 0
    rethresholded: Evaluation  # figures of the arg max of scores + biases


def evaluate_file(
    map_path: str | Path,
    reference_path: str | Path,
    rules: ScoringRules = ScoringRules(),
    *,
    events: Events = SILENT,
) -> Evaluation:
    """Return how well a class map, or any mask, agrees with vectors or a mask as reference, on the map's grid.

    Of a map of squares, each square counts once, with the label that training would give it: of its centre, or of most
    of its labelled pixels.

    Raises:
        InputError: If a width is not above 0, or the slack is below 0.
        LabelError: If a file cannot be read as labels, the two do not overlap, or no pixel is labelled.
        ProjectError: If an area lies outside the map or cannot be read, or areas of two roles share pixels.
        SceneError: If the map is not a raster.
        SchemaError: If the map names no classes and none are given.
    """
    schema = rules.schema or schema_of_map(map_path)
    grid = read_grid(map_path)
    with few_blocks_kept(), ExitStack() as stack:
        predicted = stack.enter_context(closing(open_labels(map_path, schema, grid)))
        squares = squares_of_map(map_path)
        options = replace(rules.options, turn=read_turn(map_path))
        reference = stack.enter_context(opened_reference(reference_path, schema, grid, squares, options))
        return rules.comparison(predicted, reference, grid, schema).run(events=events)


def evaluate_coarse_file(
    scores_path: str | Path,
    reference_path: str | Path,
    schema: ClassSchema,
    rules: ScoringRules,
    recalibration: Recalibration = Recalibration(),
    *,
    events: Events = SILENT,
) -> CoarseEvaluation:
    """Return the figures of a coarse map, as it is and re-thresholded, outside the area its biases are fitted on.

    Args:
        scores_path: Scores or probabilities, one band for each class, see ``open_scores``.
        rules: With areas of the role ``FIT_ROLE``, where biases are to be fitted.
        recalibration: Where the biases come from.
        events: What progress is reported to.

    Raises:
        InputError: If there are neither biases of all classes nor an area to fit them on, or a width or the slack is
            out of range.
        LabelError: If a file cannot be read as labels or does not overlap the scores, no pixel is labelled, or no
            pixel of some class in the fit area.
        ProjectError: If an area lies outside the scores or cannot be read, or areas of two roles share pixels.
        SceneError: If the scores cannot be read, or are not of these classes.
        SchemaError: If the biases are of other classes.
    """
    _check_recalibration(recalibration, schema, rules)
    with few_blocks_kept(), ExitStack() as stack:
        scores = stack.enter_context(
            open_scores(scores_path, kind=rules.kind, full_scale=rules.full_scale, class_names=schema.names)
        )
        events.note(f"{scores_path} is read as {scores.reading()}")
        grid, squares = scores.grid, squares_of_map(scores_path)

        def labels(path: str | Path) -> LabelReader:
            return stack.enter_context(opened_reference(path, schema, grid, squares, rules.options))

        reference = labels(reference_path)
        if recalibration.biases is None:
            fit_reference = reference if recalibration.reference is None else labels(recalibration.reference)
            area = AreaUnion(resolve_areas(rules.areas, grid, grid)[FIT_ROLE])
            biases = fit_biases_on([(scores, fit_reference, area)])
        else:
            biases = np.array([recalibration.biases[name] for name in schema.names])
        with progress(events, "evaluation", 2 * grid.height * grid.width) as running:
            coarse, rethresholded = (
                rules.comparison(BiasedLabels(scores, one), reference, grid, schema).run(events=running)
                for one in (np.zeros_like(biases), biases)
            )
    return CoarseEvaluation(coarse, biases, rethresholded)


def _check_recalibration(recalibration: Recalibration, schema: ClassSchema, rules: ScoringRules) -> None:
    biases = recalibration.biases
    if biases is not None and set(biases) != set(schema.names):
        raise SchemaError(
            f"The class biases are of {', '.join(biases)}.", expected=f"one for each of {', '.join(schema.names)}",
            remedy="give the refiner that was trained on scores of these classes",
        )  # fmt: skip
    if biases is None and not rules.areas.get(FIT_ROLE):
        raise InputError(
            "There is no area to fit the coarse map's biases on.",
            expected="the area the refiner is trained on, or the refiner, whose card has its biases",
            remedy="Give fit_area= or refiner=.",
        )


def schema_of_map(path: str | Path) -> ClassSchema:
    """Return the class schema in the tags of a class map.

    Raises:
        SceneError: If the file or its schema cannot be read.
        SchemaError: If it has none.
    """
    schema = read_class_schema(path)
    if schema is None:
        raise SchemaError(
            f"{path} does not name its classes.",
            expected="a class map written by crispmap",
            remedy="Give classes=project.yaml.",
        )
    return schema


def pixels_to_score(areas: Mapping[str, Sequence[AreaPiece]], grid: Grid) -> AreaMask | None:
    """Return the pixels of the role ``test``, else all except those of other roles, used for training; None for all.

    Raises:
        ProjectError: If an area lies outside the grid or cannot be read, or areas of two roles share pixels.
    """
    resolved = resolve_areas(areas, grid, grid)
    if resolved.get("test"):
        return AreaUnion(resolved["test"])
    others = [area for role in resolved.values() for area in role]
    return AreaComplement(AreaUnion(others)) if others else None
