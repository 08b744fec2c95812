"""Burned area from two dates: the difference of NBR, and the classes of burn severity that its thresholds make.

Thresholds: Key & Benson 2006, Landscape Assessment, FIREMON, RMRS-GTR-164-CD, table LA-2, as the USGS uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError
from crispmap.events import SILENT, Events
from crispmap.geo.grid import Block
from crispmap.raster.compose.inputs import ComposeChoices, composed_ref
from crispmap.raster.compose.scene import ComposedScene
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.spec import RasterSpec, class_map_spec
from crispmap.raster.targets import check_paths, check_raster_target
from crispmap.raster.write_computed import ComputeOptions, Written, write_computed
from crispmap.types import IGNORE, CountArray, DoubleArray, FloatArray, LabelArray

DNBR = "dNBR"

_SEVERITY = (  # from here on, class id, class
    (-math.inf, ClassDef("enhanced regrowth, high", "#7a8737")),
    (-0.25, ClassDef("enhanced regrowth, low", "#acbe4d")),
    (-0.10, ClassDef("unburned", "#0ae042")),
    (0.10, ClassDef("low severity", "#fff70b")),
    (0.27, ClassDef("moderate-low severity", "#ffaf38")),
    (0.44, ClassDef("moderate-high severity", "#ff641b")),
    (0.66, ClassDef("high severity", "#a41fd6")),
)
_MOST = 2  # of dNBR, as the difference of two NBR from -1 to 1
_UNBURNED = 2  # its place among them; class 0 of the map, as its background


@dataclass(frozen=True)
class BurnRule:
    """How dNBR becomes classes: by ``threshold`` burned or not; without one, the classes of severity."""

    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not -_MOST <= self.threshold <= _MOST:
            raise InputError(
                f"threshold is {self.threshold}.", expected=f"a dNBR from -{_MOST} to {_MOST}, such as 0.27",
                remedy="dNBR is not multiplied by 1000 here: 270 is 0.27." if abs(self.threshold) > _MOST else "",
            )  # fmt: skip

    @property
    def schema(self) -> ClassSchema:
        """The classes; 0 is unburned."""
        if self.threshold is not None:
            return ClassSchema((ClassDef("unburned", "#bdbdbd"), ClassDef("burned", "#a41fd6")))
        return ClassSchema((_SEVERITY[_UNBURNED][1], *(one for _, one in _without_unburned())))

    def classes(self, dnbr: FloatArray) -> LabelArray:
        """Return the class ids of values of dNBR; IGNORE where they are NaN."""
        if self.threshold is not None:
            ids = (dnbr.astype(np.float64) >= self.threshold).astype(np.uint8)
        else:
            order = [_UNBURNED, *(place for place in range(len(_SEVERITY)) if place != _UNBURNED)]
            id_of = np.argsort(order).astype(np.uint8)
            bounds = [start for start, _ in _SEVERITY[1:]]
            ids = id_of[np.searchsorted(bounds, np.nan_to_num(dnbr.astype(np.float64)), side="right")]
        return np.where(np.isnan(dnbr), np.uint8(IGNORE), ids)


def _without_unburned() -> list[tuple[float, ClassDef]]:
    return [one for place, one in enumerate(_SEVERITY) if place != _UNBURNED]


@dataclass(frozen=True, eq=False)
class BurnedArea:
    """A map of burned area that has been written."""

    schema: ClassSchema
    pixels: CountArray  # by id, shape (256,)
    area_m2: DoubleArray  # on the ground, in the same order
    run: Written


@dataclass(frozen=True)
class BurnInputs:
    """The dates a fire lies between; of several after it, each pixel is of that with the lowest NBR.

    A date is a folder or pattern of a satellite's product, or a raster whose bands are named ``nir`` and ``swir2``.
    """

    before: str | Path
    after: Sequence[str | Path]
    choices: ComposeChoices = ComposeChoices()  # sensor and grid; the rest is as burned area needs it


def map_burned(
    dates: BurnInputs,
    out: str | Path,
    *,
    rule: BurnRule = BurnRule(),
    dnbr: str | Path | None = None,
    options: ComputeOptions = ComputeOptions(),
    events: Events = SILENT,
) -> BurnedArea:
    """Write a class map of burned area and, where ``dnbr`` names a file, the dNBR it was made from.

    NBR is computed from reflectance where the product states it. The classes are those of dNBR as float32, as it is
    written. A run that is killed goes on from its finished blocks.

    Raises:
        InputError: If no date after the fire is given, or the threshold is no number.
        SceneError: If a date cannot be read, or has no near infrared or second short-wave infrared band.
        GridError: If the dates share no ground.
        OutputError: If a file exists and ``force`` is not given, or cannot be written.
    """
    if not dates.after:
        raise InputError("No date after the fire is given.", expected="a scene before and one or more after it")
    choices = replace(
        dates.choices, bands=(DNBR,), indices=(), reflectance=False, out_nodata=None,
        lowest="after_NBR" if len(dates.after) > 1 else None,
    )  # fmt: skip
    ref = composed_ref([f"before={dates.before}", *(f"after={one}" for one in dates.after)], choices)
    paths = [Path(out), *([] if dnbr is None else [Path(dnbr)])]
    check_paths(paths, ref.paths)
    for path in paths:
        check_raster_target(path, force=options.force)
    with ComposedScene(ref) as scene:
        specs = [class_map_spec(paths[0], scene.grid, rule.schema, {"CRISPMAP_BURNED": _told(rule)})]
        if dnbr is not None:
            specs.append(
                RasterSpec(
                    paths[1], scene.grid, count=1, dtype=scene.dtype, nodata=scene.nodata, descriptions=(DNBR,)
                )
            )  # fmt: skip

        def compute(block: Block) -> list[NDArray[Any]] | None:
            values = scene.filled(block)
            if np.isnan(values).all():
                return None
            return [rule.classes(values[0]), values][: len(specs)]

        identity = {"scene": fingerprint(ref), "rule": _told(rule)}
        run = write_computed(specs, compute, identity, options=options, events=events, title="burned area")
    return _counted(paths[0], rule.schema, run)


def _told(rule: BurnRule) -> str:
    """Return the rule as text."""
    if rule.threshold is not None:
        return f"dNBR >= {rule.threshold!r}"
    return "dNBR: " + ", ".join(f"{one.name} from {start:g}" for start, one in _SEVERITY)


def _counted(path: Path, schema: ClassSchema, run: Written) -> BurnedArea:
    """Return how much of each class a map holds."""
    from crispmap.raster.files import FileScene

    pixels, area_m2 = np.zeros(IGNORE + 1, np.int64), np.zeros(IGNORE + 1)
    with FileScene(path) as scene:
        for block in scene.grid.blocks(1024):
            values, valid = scene.read_stored(block)
            ids = np.where(valid, values[0], np.uint8(IGNORE)).ravel()
            pixels += np.bincount(ids, minlength=IGNORE + 1)
            areas = scene.grid.pixel_areas_m2(block).ravel()
            area_m2 += np.bincount(ids, weights=areas, minlength=IGNORE + 1)
    return BurnedArea(schema, pixels, area_m2, run)
