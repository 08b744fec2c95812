"""Areas by class, region and period, as one table that every rendering shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any, Protocol

import numpy as np

from crispmap.areas.accuracy import Estimate, MapAccuracy
from crispmap.classes import ClassSchema
from crispmap.errors import AreaError
from crispmap.files.notebook import html_table
from crispmap.types import DoubleArray


class Tables(Protocol):
    """What every rendering shows: one table of areas or several and, where known, what a sample says."""

    @property
    def schema(self) -> ClassSchema:
        """The classes of the maps."""

    @property
    def accuracy(self) -> MapAccuracy | None:
        """What a sample says, or None."""

    @property
    def mapped_m2(self) -> DoubleArray:
        """(1, class) areas of the classes that the sample is of."""

    def sheets(self) -> list[AreaSheet]:
        """Return the tables."""

    def corrections(self) -> dict[str, tuple[Estimate, ...]]:
        """Return what else a sample says of each class of the maps, in square metres, by what it is."""

    def summary(self) -> str:
        """Return what they are of, in a sentence."""


TOTAL, UNSEEN = "Total", "Not seen"
DATE_PARTS = ("Year", "Month", "Day")
KM2 = 1e6  # square metres


@dataclass(frozen=True, eq=False)
class AreaTable:
    """Areas on the ground, in square metres.

    Raises:
        AreaError: If the shapes do not fit the names.
    """

    schema: ClassSchema
    periods: tuple[str, ...]  # "2022-08", in order of time; one that is empty for maps without dates
    regions: tuple[str, ...]
    area_m2: DoubleArray  # (period, region, class)
    unseen_m2: DoubleArray  # (period, region) where no map has a class: nodata, or no map at all
    mapped_m2: DoubleArray  # (period, class) all that the maps hold, within regions or not
    accuracy: MapAccuracy | None = None  # of the maps of the one period

    def __post_init__(self) -> None:
        shape = len(self.periods), len(self.regions), len(self.schema)
        if (self.area_m2.shape, self.unseen_m2.shape, self.mapped_m2.shape) != (shape, shape[:2], shape[::2]):
            raise AreaError(
                f"Areas of shape {self.area_m2.shape}, {self.unseen_m2.shape} and {self.mapped_m2.shape}.",
                expected=f"(period, region, class) {shape}, (period, region) and (period, class)",
            )

    @property
    def is_dated(self) -> bool:
        """Whether the maps have dates."""
        return self.periods != ("",)

    def with_accuracy(self, accuracy: MapAccuracy) -> AreaTable:
        """Return the same with what a sample says of the maps."""
        return replace(self, accuracy=accuracy)

    def sheets(self) -> list[AreaSheet]:
        """Return the tables to show: for maps with dates one a class, else one of all classes."""
        km2, unseen = self.area_m2 / KM2, self.unseen_m2 / KM2
        if not self.is_dated:
            values = np.column_stack([km2[0], km2[0].sum(axis=1), unseen[0]])
            heads = (*self.schema.names, TOTAL, UNSEEN)
            return [AreaSheet("Areas", ("Region",), heads, tuple((name,) for name in self.regions), values)]
        labels = tuple(tuple(period.split("-")) for period in self.periods)
        parts = DATE_PARTS[: len(labels[0])]
        by_class = [(name, km2[:, :, index]) for index, name in enumerate(self.schema.names)]
        heads = (*self.regions, TOTAL) if len(self.regions) > 1 else self.regions
        return [
            AreaSheet(name, parts, heads, labels, _with_total(values), summed)
            for name, values, summed in [*((*one, True) for one in by_class), (UNSEEN, unseen, False)]
        ]

    def corrections(self) -> dict[str, tuple[Estimate, ...]]:
        """Return nothing: the accuracy says all."""
        return {}

    def _repr_html_(self) -> str:
        return tables_html(self)

    def summary(self) -> str:
        """Return regions, periods and classes in a sentence and, of one period, the area."""
        where = f"{len(self.regions)} regions" if len(self.regions) > 1 else self.regions[0]
        classes = f"{len(self.schema)} classes"
        if len(self.periods) > 1:
            return f"{where}, {self.periods[0]} to {self.periods[-1]}, {classes}."
        when = f", {self.periods[0]}" if self.is_dated else ""
        return f"{where}{when}: {classes} on {float(self.area_m2.sum()) / KM2:.6g} km2."

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in square metres."""
        return {
            "classes": list(self.schema.names),
            "regions": list(self.regions),
            "periods": [
                {
                    "period": period or None,
                    "mapped_m2": dict(zip(self.schema.names, self.mapped_m2[index].tolist(), strict=True)),
                    "regions": [
                        {
                            "name": name,
                            "area_m2": dict(zip(self.schema.names, self.area_m2[index, place].tolist(), strict=True)),
                            "not_seen_m2": float(self.unseen_m2[index, place]),
                        }
                        for place, name in enumerate(self.regions)
                    ],
                }
                for index, period in enumerate(self.periods)
            ],
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
        }


def tables_html(tables: Tables) -> str:
    """Return what every rendering shows, for notebooks."""
    shown = []
    for sheet in tables.sheets():
        rows = [(" ".join(label), *(f"{value:.4g}" for value in values)) for label, values in sheet.rows]
        shown.append(html_table(f"{sheet.name}, km2", rows, (" ".join(sheet.parts), *sheet.heads)))
    return f"<p>{escape(tables.summary())}</p>{''.join(shown)}"


def _with_total(values: DoubleArray) -> DoubleArray:
    """Return values with their sum in a last column, where there are several."""
    return np.column_stack([values, values.sum(axis=1)]) if values.shape[1] > 1 else values


@dataclass(frozen=True, eq=False)
class AreaSheet:
    """One table to show, in square kilometres, with a last row of totals."""

    name: str  # the class, or what it holds
    parts: tuple[str, ...]  # what the labels of a row are, such as Year and Month
    heads: tuple[str, ...]  # of the figures
    labels: tuple[tuple[str, ...], ...]  # of the rows
    values: DoubleArray  # (row, figure)
    is_summed: bool = True  # whether rows can be added up

    @property
    def rows(self) -> list[tuple[tuple[str, ...], list[float]]]:
        """Labels and figures of all rows, that of the totals last."""
        rows = list(zip(self.labels, self.values.tolist(), strict=True))
        if self.is_summed and len(rows) > 1:
            total = TOTAL, *[""] * (len(self.parts) - 1)
            rows.append((total, self.values.sum(axis=0).tolist()))
        return rows
