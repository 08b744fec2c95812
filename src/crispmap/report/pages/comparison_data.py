"""The data of the report of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crispmap.classes import ClassSchema
from crispmap.report.charts.roc import RocLine
from crispmap.report.charts.steps import Curve
from crispmap.report.filters import FilterNature
from crispmap.report.pictures.views import Strip, Whole
from crispmap.report.tables.comparison import Missing, Row, check_rows
from crispmap.report.tables.seeds import SeedRow
from crispmap.types import FloatArray


@dataclass(frozen=True)
class LearnedFilter:
    """A learned filter."""

    name: str  # what it is called, such as "M 3"
    nature: FilterNature  # what it does
    response: FloatArray  # (row, col) its response on a piece of the scene


@dataclass(frozen=True)
class FilterBank:
    """The filters of one kind."""

    title: str  # what they read
    filters: Sequence[LearnedFilter]  # all of them


@dataclass(frozen=True)
class ComparisonReport:
    """The data of the report of a comparison.

    Raises:
        InputError: If there is no row.
    """

    title: str
    schema: ClassSchema
    rows: Sequence[Row]  # the maps, at least one
    missing: Sequence[Missing]  # the methods without figures
    own: str  # the name of the method the others are compared with
    blocks: tuple[int, float]  # number and side, in metres, of the bootstrap blocks
    rocs: Mapping[str, Sequence[RocLine]] = field(default_factory=dict)  # by class name, the lines of its chart
    steps: Mapping[str, Sequence[Curve]] = field(default_factory=dict)  # by name of a refiner, mean IoU over its steps
    strips: Sequence[Strip] = ()  # pieces of the scene to look at closely
    whole: Whole | None = None  # the largest test area, on which the pieces are located
    banks: Sequence[FilterBank] = ()  # the filters of the own method, or none
    settings: Mapping[str, Any] = field(default_factory=dict)  # names and values, anything printable
    notes: Sequence[str] = ()  # paragraphs of text
    seeds: Sequence[SeedRow] = ()  # the rows over several seeds, where there were any

    def __post_init__(self) -> None:
        check_rows(self.rows)
