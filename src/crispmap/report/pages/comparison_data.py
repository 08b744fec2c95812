"""What the report of a comparison shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.report.charts.roc import RocLine
from crispmap.report.charts.steps import Curve
from crispmap.report.filters import FilterNature
from crispmap.report.pictures.views import Strip
from crispmap.report.tables.comparison import Missing, Row, check_rows
from crispmap.types import FloatArray


@dataclass(frozen=True)
class LearnedFilter:
    """A learned filter.

    Attributes:
        name: What it is called, such as "M 3".
        nature: What it does.
        response: (row, col) its response on a piece of the scene.
    """

    name: str
    nature: FilterNature
    response: FloatArray


@dataclass(frozen=True)
class FilterBank:
    """The filters of one kind.

    Attributes:
        title: What they read.
        filters: All of them.
    """

    title: str
    filters: Sequence[LearnedFilter]


@dataclass(frozen=True)
class ComparisonReport:
    """Everything the report of a comparison shows.

    Attributes:
        title: Any text.
        schema: The classes.
        rows: The maps, at least one.
        missing: The methods without figures.
        own: The name of the method the others are compared with.
        blocks: Number and side, in metres, of the bootstrap blocks.
        rocs: By class name, the lines of its chart.
        steps: By name of a refiner, mean IoU over its steps.
        strips: Pieces of the scene to look at closely.
        banks: The filters of the own method, or none.
        settings: Names and values, anything printable.
        notes: Paragraphs of text.

    Raises:
        InputError: If there is no row.
    """

    title: str
    schema: ClassSchema
    rows: Sequence[Row]
    missing: Sequence[Missing]
    own: str
    blocks: tuple[int, float]
    rocs: Mapping[str, Sequence[RocLine]] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Curve]] = field(default_factory=dict)
    strips: Sequence[Strip] = ()
    banks: Sequence[FilterBank] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_rows(self.rows)
