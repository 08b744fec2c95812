"""The data of the report of a project's maps: the coarse one, and those that came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.intervals import Interval
from crispmap.metrics import ConfusionMatrix
from crispmap.report.charts.training import TrainingCurve
from crispmap.report.pictures.views import Crop, Overview, Strip
from crispmap.report.tables.evaluations import check_comparable


@dataclass(frozen=True)
class MethodResult:
    """The figures of one map under the name it has in the report."""

    name: str
    evaluation: Evaluation


@dataclass(frozen=True)
class ReportData:
    """The data of a report.

    Raises:
        InputError: If maps were compared at different widths or slack, or a final map has no re-thresholded rival.
        SchemaError: If figures are of different classes.
    """

    title: str
    schema: ClassSchema  # the classes of every map in the report
    coarse: MethodResult  # figures of the coarse map
    # figures of the coarse map with class biases fitted on the precise piece: the honest rival of the final map, so a
    # report of such a map is not made without it
    rethresholded: MethodResult | None = None
    final: MethodResult | None = None  # figures of the final map, refined or fine-tuned; None: the coarse map is final
    others: Sequence[MethodResult] = ()  # further rows of the table, shown before the final map
    # by how much mean IoU of the final map is above that of the re-thresholded one, with its interval, where known
    ahead: Interval | None = None
    sharpening: str = "Refinement"  # what led from the coarse to the final map, as the subject of a sentence
    # confusion matrix after each step, the coarse map's first; empty for no chart
    curve: Sequence[ConfusionMatrix] = ()
    images: Sequence[tuple[str, Evaluation]] = ()  # of a data set, the final map of each image, the best first
    panels: Sequence[Strip] = ()  # whole images
    trainings: Mapping[str, TrainingCurve] = field(default_factory=dict)  # by what was trained; empty for no chart
    crops: Sequence[Crop] = ()  # pieces of the scene to look at closely
    overview: Overview | None = None  # the whole scored area, or None
    settings: Mapping[str, Any] = field(default_factory=dict)  # nested mappings of anything printable
    # nested mappings of anything printable: versions, seed, machine
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds by stage, in order
    notes: Sequence[str] = ()  # paragraphs of text

    def __post_init__(self) -> None:
        if self.final is not None and self.rethresholded is None:
            raise InputError(
                f"The report of a {self.final.name} has no re-thresholded map.",
                expected="the coarse map with class biases fitted on the precise piece",
            )
        for matrix in (*(method.evaluation.confusion for method in self.methods), *self.curve):
            if tuple(matrix.class_names) != self.schema.names:
                raise SchemaError(
                    f"Figures of the classes {', '.join(matrix.class_names)}.",
                    expected=f"those of the report's schema: {', '.join(self.schema.names)}",
                )
        check_comparable(self.evaluations)

    @property
    def methods(self) -> tuple[MethodResult, ...]:
        """The rows of the table: coarse, re-thresholded, others, final."""
        rows = (self.coarse, self.rethresholded, *self.others, self.final)
        return tuple(one for one in rows if one is not None)

    @property
    def best(self) -> MethodResult:
        """The final map, or the coarse one where there is no other."""
        return self.final or self.coarse

    @property
    def evaluations(self) -> list[tuple[str, Evaluation]]:
        """The figures of every row under its name."""
        return [(method.name, method.evaluation) for method in self.methods]
