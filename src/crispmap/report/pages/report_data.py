"""The data of the report of a coarse map, and of a re-thresholded and a refined map where there is a refiner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.evaluation.evaluation import Evaluation
from crispmap.metrics import ConfusionMatrix
from crispmap.report.pictures.views import Crop, Overview
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
        InputError: If maps were compared at different widths or slack, or one of refined and re-thresholded is missing.
        SchemaError: If figures are of different classes.
    """

    title: str
    schema: ClassSchema  # the classes of every map in the report
    coarse: MethodResult  # figures of the coarse map
    # figures of the coarse map with class biases fitted on the refiner's training piece: the honest rival of the
    # refined map, so a report on a refiner is not made without it; None without a refiner
    rethresholded: MethodResult | None = None
    refined: MethodResult | None = None  # figures of the refined map; None without a refiner
    others: Sequence[MethodResult] = ()  # further rows of the table, shown before the refined map
    # confusion matrix after each step, the coarse map's first; empty for no chart
    curve: Sequence[ConfusionMatrix] = ()
    crops: Sequence[Crop] = ()  # pieces of the scene to look at closely
    overview: Overview | None = None  # the whole scored area, or None
    settings: Mapping[str, Any] = field(default_factory=dict)  # nested mappings of anything printable
    # nested mappings of anything printable: versions, seed, machine
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds by stage, in order
    notes: Sequence[str] = ()  # paragraphs of text

    def __post_init__(self) -> None:
        if (self.rethresholded is None) != (self.refined is None):
            raise InputError("A report shows a refined or a re-thresholded map alone.", expected="both, or neither")
        for matrix in (*(method.evaluation.confusion for method in self.methods), *self.curve):
            if tuple(matrix.class_names) != self.schema.names:
                raise SchemaError(
                    f"Figures of the classes {', '.join(matrix.class_names)}.",
                    expected=f"those of the report's schema: {', '.join(self.schema.names)}",
                )
        check_comparable(self.evaluations)

    @property
    def methods(self) -> tuple[MethodResult, ...]:
        """The rows of the table: coarse, re-thresholded, others, refined, as far as there are."""
        rows = (self.coarse, self.rethresholded, *self.others, self.refined)
        return tuple(one for one in rows if one is not None)

    @property
    def last(self) -> MethodResult:
        """The map the project ends with: the refined one, else the coarse one."""
        return self.refined or self.coarse

    @property
    def evaluations(self) -> list[tuple[str, Evaluation]]:
        """The figures of every row under its name."""
        return [(method.name, method.evaluation) for method in self.methods]
