"""What became of each class between two maps: a matrix of areas, and a map of the changes."""

from __future__ import annotations

import math
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from crispmap.areas.accuracy import Estimate, MapAccuracy
from crispmap.areas.maps import MapOn, schema_of_maps, strips_of
from crispmap.areas.run import AreaOptions, areas_of
from crispmap.areas.table import KM2, TOTAL, UNSEEN, AreaSheet, tables_html
from crispmap.classes import ClassDef, ClassSchema, class_colour
from crispmap.errors import AreaError, CrispmapWarning
from crispmap.events import SILENT, Events, Progress, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.polygons.class_raster import ClassRaster
from crispmap.raster.targets import check_paths, check_raster_target
from crispmap.raster.writer import class_map_writer
from crispmap.types import IGNORE, CountArray, DoubleArray

LOST, GAINED, NET = "Lost", "Gained", "Net"


@dataclass(frozen=True, eq=False)
class ChangeTable:
    """Areas in square metres by the class before and after; a class more in each stands for no class."""

    schema: ClassSchema
    area_m2: DoubleArray  # (class + 1 before, class + 1 after)
    accuracy: MapAccuracy | None = None  # of the classes of the map of changes

    @property
    def known_m2(self) -> DoubleArray:
        """(class before, class after) where both maps have a class."""
        return self.area_m2[:-1, :-1]

    @property
    def lost_m2(self) -> DoubleArray:
        """(class,) what left it: gross loss."""
        return np.asarray(_off_diagonal(self.known_m2).sum(axis=1))

    @property
    def gained_m2(self) -> DoubleArray:
        """(class,) what came to it: gross gain."""
        return np.asarray(_off_diagonal(self.known_m2).sum(axis=0))

    @property
    def changes(self) -> list[tuple[int, int]]:
        """The classes before and after of every change that may be, of many classes of every one there is.

        One that the map of changes never shows may be what a sample finds there.
        """
        size = len(self.schema)
        there = ~np.eye(size, dtype=np.bool_) if size**2 <= IGNORE else _off_diagonal(self.known_m2) > 0
        return [(int(one), int(other)) for one, other in np.argwhere(there)]

    @property
    def mapped_m2(self) -> DoubleArray:
        """(1, class of the map of changes)."""
        changed = [self.known_m2[pair] for pair in self.changes]
        return np.concatenate([np.diag(self.known_m2), changed])[np.newaxis]

    def _repr_html_(self) -> str:
        return tables_html(self)

    def legend(self) -> ClassSchema:
        """Return the classes of the map of changes: what stayed under the name of its class, then ``changes``.

        Raises:
            AreaError: If there are more changes than a map has classes.
        """
        names = [f"{self.schema[one].name} to {self.schema[other].name}" for one, other in self.changes]
        if len(self.schema) + len(names) > IGNORE:
            raise AreaError(
                f"There are {len(names)} changes from one class to another.",
                expected=f"at most {IGNORE - len(self.schema)}, to be drawn on one map",
                remedy="Leave the map of changes out, or give maps of fewer classes.",
            )
        kept = [ClassDef(one.name, one.colour) for one in self.schema]
        taken = {one.colour for one in kept}
        free = (colour for colour in map(class_colour, range(1, 3 * IGNORE)) if colour not in taken)
        return ClassSchema((*kept, *map(ClassDef, names, free)))

    def corrections(self) -> dict[str, tuple[Estimate, ...]]:
        """Return what each class lost and gained, and the net, corrected for the errors of the map of changes."""
        if self.accuracy is None:
            return {}
        size = len(self.schema)
        pairs = np.array([*((one, one) for one in range(size)), *self.changes])
        changed = pairs[:, 0] != pairs[:, 1]
        lost, gained = ([((pairs[:, side] == one) & changed).astype(float) for one in range(size)] for side in (0, 1))
        net = [one - other for one, other in zip(gained, lost, strict=True)]
        combined = self.accuracy.combined
        return {name: tuple(map(combined, rows)) for name, rows in ((LOST, lost), (GAINED, gained), (NET, net))}

    def summary(self) -> str:
        """Return how much changed, in a sentence."""
        changed, whole = float(self.lost_m2.sum()), float(self.known_m2.sum())
        return f"{changed / KM2:.6g} of {whole / KM2:.6g} km2 changed, {100 * changed / whole:.2f} %."

    def sheets(self) -> list[AreaSheet]:
        """Return the one table: classes before in rows, after in columns, with what was lost and gained."""
        known, lost, gained = self.known_m2, self.lost_m2, self.gained_m2
        right = np.column_stack([known.sum(axis=1), lost, self.area_m2[:-1, -1]])
        below = np.stack([known.sum(axis=0), gained, gained - lost, self.area_m2[-1, :-1]])
        corner = np.full((len(below), right.shape[1]), np.nan)
        corner[0, :2], corner[1, 0] = (known.sum(), lost.sum()), gained.sum()
        values = np.block([[known, right], [below, corner]]) / KM2
        labels = tuple((name,) for name in (*self.schema.names, TOTAL, GAINED, NET, UNSEEN))
        heads = (*self.schema.names, TOTAL, LOST, UNSEEN)
        return [AreaSheet("Before and after", ("Before",), heads, labels, values, is_summed=False)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in square metres."""
        names = self.schema.names
        by_class = {"lost_m2": self.lost_m2, "gained_m2": self.gained_m2, "net_m2": self.gained_m2 - self.lost_m2}
        return {
            "before_to_after_m2": {
                name: dict(zip(names, row, strict=True))
                for name, row in zip(names, self.known_m2.tolist(), strict=True)
            },
            **{name: dict(zip(names, values.tolist(), strict=True)) for name, values in by_class.items()},
            "seen_before_only_m2": float(self.area_m2[:-1, -1].sum()),
            "seen_after_only_m2": float(self.area_m2[-1, :-1].sum()),
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "corrected_m2": {
                name.lower(): {one: found.to_dict() for one, found in zip(names, estimates, strict=True)}
                for name, estimates in self.corrections().items()
            },
        }


@dataclass(frozen=True)
class ChangeOptions:
    """What is made of a change.

    Raises:
        AreaError: If both a matrix and a sample are given.
    """

    out: str | Path | None = None  # the map of changes to write
    confusion: str | Path | None = None  # a confusion matrix of a sample of the map of changes
    sample: str | Path | None = None  # a labelled sample of it
    force: bool = False  # replace a map that exists

    def __post_init__(self) -> None:
        self.accuracy()

    def accuracy(self) -> AreaOptions:
        """Return how the map of changes is corrected."""
        return AreaOptions(confusion=self.confusion, sample=self.sample)


def change_of(
    before: str | Path, after: str | Path, options: ChangeOptions | None = None, *, schema: ClassSchema | None = None,
    events: Events = SILENT,
) -> ChangeTable:  # fmt: skip
    """Return what became of each class between two maps, and write the map of changes where one is asked for.

    The second map is read at the centres of the pixels of the first.

    Args:
        schema: The classes, in place of those the maps carry.

    Raises:
        AreaError: If the maps show no common ground, one has an id of no class, or there are too many changes to draw;
            and as ``areas_of``, about a matrix or a sample.
        SchemaError: If their classes differ or are not known.
        SceneError: If one cannot be read.
        OutputError: If the map of changes cannot be written.

    Warns:
        CrispmapWarning: If their pixels differ.
    """
    options, paths = options or ChangeOptions(), [Path(before), Path(after)]
    if options.out is not None:
        check_paths([check_raster_target(options.out, force=options.force)], paths)
    schema = schema_of_maps(paths, schema)
    corrected = options.confusion is not None or options.sample is not None
    with ExitStack() as stack:
        stack.enter_context(few_blocks_kept())
        one, other = (stack.enter_context(ClassRaster(path)) for path in paths)
        view = stack.enter_context(MapOn(other, one.grid))
        if view.is_resampled:
            text = f"The pixels of {after} are not those of {before}: it is read at the centres of these."
            warnings.warn(text, CrispmapWarning, stacklevel=2)
        with progress(events, "change", math.prod(one.grid.shape)) as running:
            table = ChangeTable(schema, _matrix(one, view, schema, running))
        if not table.known_m2.any():
            raise AreaError(
                f"{before} and {after} show no common ground.", expected="maps of one place",
                remedy="Check both with crispmap info.",
            )  # fmt: skip
        if options.out is None and not corrected:
            return table
        folder = stack.enter_context(TemporaryDirectory(prefix="crispmap."))
        target = Path(options.out or Path(folder) / "change.tif")
        with progress(events, "map of changes", math.prod(one.grid.shape)) as running:
            _draw(target, (one, view), table, running, force=options.force)
        return replace(table, accuracy=areas_of([target], options.accuracy()).accuracy) if corrected else table


def _off_diagonal(matrix: DoubleArray) -> DoubleArray:
    return np.where(np.eye(len(matrix), dtype=np.bool_), 0.0, matrix)


def _matrix(one: ClassRaster, other: MapOn, schema: ClassSchema, running: Progress) -> DoubleArray:
    """Return areas by class before and after."""
    size = len(schema) + 1
    found = np.zeros(size * size)
    for strip in strips_of(one, schema):
        pairs = strip.ids * size + other.ids(strip.block, schema)
        found += np.bincount(pairs.ravel(), strip.area_m2.ravel(), minlength=size * size)
        running.advance(pairs.size)
    return found.reshape(size, size)


def _draw(target: Path, maps: tuple[ClassRaster, MapOn], table: ChangeTable, running: Progress, *, force: bool) -> None:
    """Write the map of changes."""
    (one, other), size = maps, len(table.schema) + 1
    code: CountArray = np.full(size * size, IGNORE, np.int64)
    code[np.arange(size - 1) * (size + 1)] = np.arange(size - 1)
    for index, (before, after) in enumerate(table.changes):
        code[before * size + after] = size - 1 + index
    with class_map_writer(target, one.grid, table.legend(), force=force) as writer:
        for strip in strips_of(one, table.schema):
            pairs = strip.ids * size + other.ids(strip.block, table.schema)
            writer.write(strip.block, code[pairs].astype(np.uint8))
            running.advance(pairs.size)
