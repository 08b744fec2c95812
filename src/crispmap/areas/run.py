"""The areas that maps hold by class, region and date, with what a sample says of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.areas.accuracy import ReferenceSample, map_accuracy
from crispmap.areas.dates import DATE_TAG, DateSource, MapDate, Period, periods_of
from crispmap.areas.maps import Overlap, schema_of_maps
from crispmap.areas.matrix_file import read_matrix
from crispmap.areas.regions import Overlaps, Regions, read_regions
from crispmap.areas.sample_file import read_sample
from crispmap.areas.table import AreaTable
from crispmap.areas.zonal import Sums, summed
from crispmap.classes import ClassSchema
from crispmap.errors import AreaError, CrispmapWarning, number_of
from crispmap.events import SILENT, Events
from crispmap.files.address import shown
from crispmap.types import DoubleArray

ALL = "All"
"""The region of areas that are not told by region."""

_ROUNDING = 1e-6  # a smaller share of a region counts as seen: so exact are areas of pixels and of outlines
_SHOWN = 5


@dataclass(frozen=True)
class AreaOptions:
    """How areas are told.

    Raises:
        AreaError: If both a matrix and a sample are given.
    """

    regions: str | Path | None = None  # a vector file of polygons; None: all that the maps show is one region
    by: str = "name"  # the column of the regions' names
    layer: str | None = None  # of the regions, where the file has several
    overlapping_regions: Overlaps = "error"
    date_from: DateSource | None = None  # where the dates of maps come from; None: they have none
    dates: str | Path | None = None  # the table of dates, for "column", which it implies
    date_tag: str = DATE_TAG
    period: Period = "month"  # of the rows
    overlap: Overlap = "error"  # of maps of one period
    confusion: str | Path | None = None  # a confusion matrix of a sample
    sample: str | Path | None = None  # a labelled sample

    def __post_init__(self) -> None:
        if self.confusion is not None and self.sample is not None:
            raise AreaError("Both a confusion matrix and a sample are given.", expected="one of them")
        if self.dates is not None and self.date_from is None:
            object.__setattr__(self, "date_from", "column")


def areas_of(
    paths: Sequence[str | Path], options: AreaOptions | None = None, *, schema: ClassSchema | None = None,
    events: Events = SILENT,
) -> AreaTable:  # fmt: skip
    """Return the areas of class maps on the ground, by class, region and period.

    Maps of one period are parts of one: their areas add up.

    Args:
        schema: The classes, in place of those the maps carry.

    Raises:
        AreaError: If maps, dates, regions or sample contradict each other or lack something.
        SchemaError: If maps have different classes, or none that are known.
        SceneError: If a map cannot be read.
        LabelError: If regions or sample cannot be read.

    Warns:
        CrispmapWarning: About regions left out, mended, united or not seen, and places without a label.
    """
    options, maps = options or AreaOptions(), [Path(one) for one in paths]
    _check_maps(maps)
    schema = schema_of_maps(maps, schema)
    dates = periods_of(maps, options.date_from, period=options.period, tag=options.date_tag, table=options.dates)
    found = sorted(set(dates), key=lambda one: () if one is None else one.parts)
    matrix = None if options.confusion is None else read_matrix(options.confusion, schema.names)
    sample = None if options.sample is None else read_sample(options.sample, schema)
    if len(found) > 1 and (matrix is not None or sample is not None):
        raise AreaError(
            f"The maps are of {len(found)} dates, and a sample speaks of one.",
            expected="the maps of one date beside a sample", remedy="Tell their areas with the sample by themselves.",
        )  # fmt: skip
    regions = None
    if options.regions is not None:
        regions = read_regions(options.regions, options.by, layer=options.layer, overlaps=options.overlapping_regions)
    sums = [
        summed(
            [path for path, date in zip(maps, dates, strict=True) if date == one], schema, regions,
            overlap=options.overlap, places=None if sample is None else sample.places, events=events,
        )
        for one in found
    ]  # fmt: skip
    table = _table(schema, found, regions, sums)
    if matrix is not None:
        return table.with_accuracy(map_accuracy(ReferenceSample.of_matrix(schema.names, matrix, table.mapped_m2[0])))
    if sample is not None:
        return table.with_accuracy(map_accuracy(sample.against(schema, table.mapped_m2[0])))
    return table


def _check_maps(maps: Sequence[Path]) -> None:
    if not maps:
        raise AreaError("No map is given.", expected="one class map or more")
    if twice := sorted({str(one) for one in maps if maps.count(one) > 1}):
        raise AreaError(f"{twice[0]} is given twice.", expected="each map once")


def _table(
    schema: ClassSchema, dates: Sequence[MapDate | None], regions: Regions | None, sums: Sequence[Sums]
) -> AreaTable:
    mapped = np.array([one.mapped for one in sums])
    periods = tuple("" if date is None else date.text for date in dates)
    if regions is None:
        return AreaTable(schema, periods, (ALL,), mapped[:, np.newaxis, :-1], mapped[:, -1:], mapped[:, :-1])
    inside = np.array([one.regions for one in sums])
    _check_seen(regions, inside.sum(axis=(0, 2)))
    whole = regions.areas_m2()
    unseen = whole - inside[:, :, :-1].sum(axis=2)
    unseen[unseen < _ROUNDING * whole] = 0.0
    return AreaTable(schema, periods, regions.names, inside[:, :, :-1], unseen, mapped[:, :-1])


def _check_seen(regions: Regions, covered_m2: DoubleArray) -> None:
    """Refuse regions of which none lies on a map, and say which do not."""
    outside = [name for name, area in zip(regions.names, covered_m2.tolist(), strict=True) if area == 0]
    if len(outside) == len(regions.names):
        raise AreaError(
            f"No region of {shown(regions.path)} lies on a map.", expected="regions and maps of one place",
            remedy="Check the CRS of both: crispmap info shows them.",
        )  # fmt: skip
    if outside:
        more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
        warnings.warn(
            f"{number_of(len(outside), 'region')} of {shown(regions.path)} on no map, listed as not seen: "
            f"{', '.join(outside[:_SHOWN])}{more}.", CrispmapWarning, stacklevel=3,
        )  # fmt: skip
