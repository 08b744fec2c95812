"""The evaluation of a coarse map from scores, as it is and re-thresholded: the baselines of a refined map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.evaluate.compare import SLACK_PX, evaluate_maps
from crispmap.evaluate.evaluation import Evaluation
from crispmap.evaluate.files import pixels_to_score
from crispmap.evaluate.readers import AreaUnion
from crispmap.evaluate.recalibration import BiasedLabels, fit_biases_on
from crispmap.files.gdal_memory import few_blocks_kept
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions
from crispmap.raster.scores import open_scores
from crispmap.types import DoubleArray

FIT_ROLE = "refiner"  # the role of the areas on which biases are fitted: those the refiner is trained on


@dataclass(frozen=True, eq=False)
class CoarseEvaluation:
    """The figures of a coarse map."""

    coarse: Evaluation  # figures of the arg max of the scores
    biases: DoubleArray  # (class,) fitted on the area of the role ``FIT_ROLE``; the first is 0
    rethresholded: Evaluation  # figures of the arg max of scores + biases


def evaluate_coarse_file(
    scores_path: str | Path,
    reference_path: str | Path,
    *,
    schema: ClassSchema,
    areas: Mapping[str, Sequence[AreaPiece]],
    fit_reference_path: str | Path | None = None,
    widths_m: Sequence[float] | None = None,
    slack_px: float = SLACK_PX,
    options: LabelOptions | None = None,
) -> CoarseEvaluation:
    """Return the figures of a coarse map, as it is and re-thresholded, outside the area its biases are fitted on.

    Args:
        scores_path: Scores or probabilities, one band a class, see ``open_scores``.
        areas: Areas by role, see ``pixels_to_score``; ``FIT_ROLE`` is where biases are fitted.
        fit_reference_path: Vectors or a mask to fit to, by default the reference.

    Raises:
        InputError: If there is no area to fit on, or a width or the slack is out of range.
        LabelError: If a file cannot be read as labels or does not overlap the scores, no pixel is labelled, or no
            pixel of some class in the fit area.
        ProjectError: If an area lies outside the scores or cannot be read, or areas of two roles share pixels.
        SceneError: If the scores cannot be read, or are not of these classes.
    """
    if not areas.get(FIT_ROLE):
        raise InputError(
            "There is no area to fit the coarse map's biases on.",
            expected="the area the refiner is trained on",
            remedy="Give it (--fit-area).",
        )
    with few_blocks_kept(), ExitStack() as stack:
        scores = stack.enter_context(open_scores(scores_path, class_names=schema.names))
        grid = scores.grid
        reference = stack.enter_context(closing(open_labels(reference_path, schema, grid, options=options)))
        fit_reference = reference
        if fit_reference_path is not None:
            fit_reference = stack.enter_context(closing(open_labels(fit_reference_path, schema, grid, options=options)))
        biases = fit_biases_on(scores, fit_reference, AreaUnion(resolve_areas(areas, grid, grid)[FIT_ROLE]))
        coarse, rethresholded = (
            evaluate_maps(
                BiasedLabels(scores, one),
                reference,
                grid,
                schema,
                widths_m=widths_m,
                slack_px=slack_px,
                area=pixels_to_score(areas, grid),
            )
            for one in (np.zeros_like(biases), biases)
        )
    return CoarseEvaluation(coarse, biases, rethresholded)
