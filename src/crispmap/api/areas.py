"""Areas of maps and their change, and samples to correct them by."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

import numpy as np

from crispmap.api.given import Classes, carried_schema, map_of, path_of
from crispmap.evaluation.readers import ArrayLabels
from crispmap.labels.mask import open_labels
from crispmap.project.dataset import schema_of
from crispmap.raster.arrays import RasterLike, check_keywords
from crispmap.raster.data_arrays import Georeference
from crispmap.raster.files import read_grid
from crispmap.raster.writer import class_map_writer
from crispmap.types import IGNORE

if TYPE_CHECKING:
    from crispmap.areas.change import ChangeTable
    from crispmap.areas.table import AreaTable
    from crispmap.classes import ClassSchema

_READ_PX = 1024


class AreaChoices(Georeference, total=False):
    """How areas are told; see ``crispmap.area``."""

    regions: str | Path | None  # polygons
    by: str  # the column of their names, "name" by default
    layer: str | None  # of the regions
    overlapping_regions: Literal["error", "count"]  # ground in two regions
    date_from: Literal["filename", "tag", "column"] | None  # where dates of maps are
    dates: str | Path | None  # a table with the columns map and date
    date_tag: str  # the tag that holds it
    period: Literal["day", "month", "year"]  # "month" by default
    overlap: Literal["error", "first", "last"]  # ground that two maps of one period show
    confusion: str | Path | None  # a confusion matrix of a sample
    sample: str | Path | None  # a labelled sample


def area(
    predicted: RasterLike | Sequence[str | Path], *, classes: Classes | None = None, **options: Unpack[AreaChoices]
) -> dict[str, float] | AreaTable:
    """Return the area on the ground of every class, in square metres (a km2 is 1e6), right in any CRS.

    Args:
        predicted: Class ids: a file, an array (row, col), or a DataArray; or several files.
        classes: The classes; by default those a map of crispmap carries.
        **options: ``regions``, a file of polygons, ``by``, the column of their names, ``layer``, and
            ``overlapping_regions``, "error" or "count"; ``date_from``, "filename", "tag" (``date_tag``) or "column" (of
            the table ``dates``), and ``period``, "day", "month" or "year"; ``overlap``, "error", "first" or "last", of
            maps of one period; ``confusion`` or ``sample``, by which areas are corrected. Of a numpy array: ``gsd_m``,
            or ``transform`` and ``crs``.

    Returns:
        Of one map without options, the area by class. Else a table by class, region and period: ``area_m2``,
        ``unseen_m2``, ``accuracy``, ``to_dict()``.

    Raises:
        SchemaError: If the classes are not known.
        InputError: If an array has no georeference.
        AreaError: If maps, dates, regions or sample contradict each other or lack something.
        LabelError: If regions or sample cannot be read.
    """
    rest = dict(options)
    where = cast(Georeference, {name: rest.pop(name) for name in Georeference.__annotations__ if name in rest})
    check_keywords(options, set(AreaChoices.__annotations__) - set(Georeference.__annotations__))
    schema = None if classes is None else schema_of(classes)
    several = isinstance(predicted, list | tuple)
    if not rest and not several:
        return _by_class(cast(RasterLike, predicted), schema, where)
    from crispmap.areas.run import AreaOptions, areas_of

    chosen = AreaOptions(**cast(Any, rest))
    if several or isinstance(predicted, str | Path):
        check_keywords(where, beside_file=True)
        files = cast(Any, predicted if several else [predicted])
        return areas_of([path_of(one, "class map") for one in files], chosen, schema=schema)
    labels, grid, schema = map_of(predicted, schema, where)
    with TemporaryDirectory(prefix="crispmap.") as folder:
        raster = Path(folder) / "map.tif"
        with class_map_writer(raster, grid, schema) as writer:
            writer.write(grid.block, labels)
        return areas_of([raster], chosen)


def _by_class(predicted: RasterLike, schema: ClassSchema | None, where: Georeference) -> dict[str, float]:
    with ExitStack() as stack:
        source: Any
        if isinstance(predicted, str | Path):
            check_keywords(where, beside_file=True)
            schema = schema or carried_schema(predicted)
            grid = read_grid(predicted)
            source = stack.enter_context(closing(open_labels(predicted, schema, grid)))
        else:
            labels, grid, schema = map_of(predicted, schema, where)
            source = ArrayLabels(labels)
        total = np.zeros(IGNORE + 1)
        for block in grid.blocks(_READ_PX):
            ids = source.read(block)
            total += np.bincount(ids.ravel(), grid.pixel_areas_m2(block).ravel(), minlength=IGNORE + 1)
    return dict(zip(schema.names, total.tolist(), strict=False))


class ChangeChoices(TypedDict, total=False):
    """What is made of a change; see ``crispmap.change``."""

    confusion: str | Path | None  # a confusion matrix of a sample of the map of changes
    sample: str | Path | None  # a labelled sample of it
    force: bool  # replace a map that exists


def change(
    before: str | Path,
    after: str | Path,
    out: str | Path | None = None,
    *,
    classes: Classes | None = None,
    **options: Unpack[ChangeChoices],
) -> ChangeTable:
    """Return what became of each class between two maps, in square metres, and write the map of changes to ``out``.

    Args:
        before: The earlier class map.
        after: The later one, of the same classes; read at the centres of the pixels of the earlier one.
        out: The map of changes to write.
        classes: The classes; by default those the maps carry.
        **options: ``confusion`` or ``sample`` of the map of changes, by which areas are corrected; ``force``, to
            replace a map that exists.

    Returns:
        ``known_m2`` (before, after), ``lost_m2``, ``gained_m2``, ``accuracy``, ``to_dict()``.

    Raises:
        AreaError: If the maps show no common ground, or sample and maps contradict each other.
        SchemaError: If their classes differ or are not known.
        SceneError: If one cannot be read.
        OutputError: If the map of changes exists and ``force`` is not given, or cannot be written.
    """
    from crispmap.areas.change import ChangeOptions, change_of

    check_keywords(cast(Any, options), set(ChangeChoices.__annotations__))
    maps = path_of(before, "earlier map"), path_of(after, "later map")
    chosen = ChangeOptions(out=out, **options)
    return change_of(*maps, chosen, schema=None if classes is None else schema_of(classes))


class SampleChoices(TypedDict, total=False):
    """How a sample is drawn; see ``crispmap.sample``."""

    size: int  # places in all
    standard_error: float  # or the standard error that overall accuracy is to have
    allocation: Literal["proportional", "equal", "optimal"]  # among classes
    least: int  # places in each class at least
    expected: float  # user's accuracy expected of every class
    expected_of: dict[str, float]  # and of classes by name
    seed: int
    overlap: Literal["error", "first", "last"]  # ground that two parts show
    squares: bool  # whether to write outlines of pixels rather than their centres
    force: bool  # replace a file that exists


def sample(
    predicted: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    classes: Classes | None = None,
    **options: Unpack[SampleChoices],
) -> Path:
    """Write places to label, by which areas can be corrected for the errors of a map, and return the path.

    Fill in the column ``reference`` of the layer ``sample``, and give the file to ``crispmap.area(..., sample=)``.

    Args:
        predicted: The class map, or the parts of one; its classes are the strata.
        out: A GeoPackage.
        classes: The classes; by default those a map of crispmap carries.
        **options: One of ``size``, places in all, and ``standard_error``, that of overall accuracy to reach;
            ``allocation``, "proportional" to area, "equal" or "optimal"; ``least``, places in each class at least;
            ``expected``, the user's accuracy expected, and ``expected_of`` classes by name; ``seed``; ``squares``, for
            the outlines of pixels rather than their centres; ``overlap``, "error", "first" or "last", of parts;
            ``force``, to replace a file.

    Raises:
        AreaError: If the map has no class, or a number is out of range.
        SchemaError: If the classes are not known.
        SceneError: If the map cannot be read.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    from crispmap.areas.draw import SampleRules, draw_sample
    from crispmap.areas.sample_file import check_sample_target, write_sample

    check_keywords(cast(Any, options), set(SampleChoices.__annotations__))
    rest = dict(options)
    force, squares = bool(rest.pop("force", False)), bool(rest.pop("squares", False))
    overlap, schema = cast(Any, rest.pop("overlap", "error")), None if classes is None else schema_of(classes)
    by_class = tuple(cast("dict[str, float]", rest.pop("expected_of", {})).items())
    rules = SampleRules(**cast(Any, rest), expected_of=by_class)
    target = check_sample_target(path_of(out, "sample"), force=force)
    given = predicted if isinstance(predicted, list | tuple) else [predicted]
    drawn = draw_sample([path_of(one, "class map") for one in given], rules, schema=schema, overlap=overlap)
    return write_sample(target, drawn, squares=squares, force=force)
