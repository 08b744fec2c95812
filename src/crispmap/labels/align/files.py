"""Vector files set right object by object against a scene."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS

from crispmap.errors import InputError
from crispmap.events import SILENT, Events
from crispmap.geo.crs import in_crs
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Grid
from crispmap.geo.local_plane import Points
from crispmap.labels.align.objects import AlignRules, Reason, Shift, shifts_of
from crispmap.labels.align.sizes import UNCHANGED
from crispmap.labels.geometry import Geometries
from crispmap.labels.offset import reach_px
from crispmap.labels.offset_sample import as_compared
from crispmap.labels.reader import LabelOptions
from crispmap.labels.registration import check_correction_target, check_order, kind_of_target
from crispmap.labels.translate import near_layers, write_layers
from crispmap.raster.files import open_scene
from crispmap.raster.scene import Scene

COLUMNS = (
    "align_dx_m", "align_dy_m", "align_longer_m", "align_wider_m", "align_turn_deg", "align_confidence", "align_reason"
)  # fmt: skip


@dataclass(frozen=True)
class Alignment:
    """What became of the objects of a file."""

    counts: dict[str, int]  # objects by reason; see ``Reason``
    median_m: float  # of the shifts made; NaN where none is
    resized: int  # of those moved, outlines that were changed beside
    gsd_m: float  # the ground sampling distance at which they were compared

    @classmethod
    def of(cls, shifts: Sequence[Shift], gsd_m: float) -> Alignment:
        """Return what became of objects with these shifts."""
        made = [math.hypot(one.dx_m, one.dy_m) for one in shifts if one.reason is Reason.ALIGNED]
        counts = Counter(one.reason for one in shifts)
        resized = sum(one.stretch != UNCHANGED for one in shifts)
        median_m = float(np.median(made)) if made else math.nan
        return cls({one.value: counts[one] for one in Reason}, median_m, resized, gsd_m)

    @property
    def text(self) -> str:
        """What became of them in a sentence."""
        aligned = self.counts[Reason.ALIGNED.value]
        others = [f"{count} {reason}" for reason, count in self.counts.items() if count and reason != Reason.ALIGNED]
        by = f", by {self.median_m:.2f} m at the median, {self.resized} of them resized" if aligned else ""
        return "; ".join([f"{aligned} of {self.objects} objects aligned{by}", *filter(None, [", ".join(others)])])

    @property
    def objects(self) -> int:
        """All that were looked at."""
        return sum(self.counts.values())


def align_file(  # noqa: PLR0913 - what a person may choose
    vectors: Path,
    against: Path,
    out: Path,
    rules: AlignRules = AlignRules(),
    *,
    assume_gsd_m: float | None = None,
    options: LabelOptions | None = None,
    force: bool = False,
    events: Events = SILENT,
) -> Alignment:
    """Write the vectors near a scene, each polygon moved to where the image shows it; say what became of them.

    Layers, columns and coordinate systems are kept, and the geometries of all that is not moved. Each object gets
    ``align_dx_m`` and ``align_dy_m`` (metres east and north that it was moved), ``align_longer_m``, ``align_wider_m``
    and ``align_turn_deg`` (what its outline was changed by; 0 where only moved), ``align_confidence`` (0..1) and
    ``align_reason``. Objects farther than NEIGHBOURHOOD_M from the scene are left out. Heights are dropped. The file is
    complete or absent.

    Args:
        out: A GeoPackage.
        options: ``layer``, ``encoding`` and ``assume_crs`` apply.

    Raises:
        InputError: If the vectors are a raster, ``against`` is no image, or a rule is out of range.
        LabelError: If the vectors cannot be read, or none is near the scene.
        SceneError: If the scene cannot be read.
        OutputError: If the file exists without ``force``, or it cannot be written.
    """
    check_alignment(vectors, against, out, force=force)
    with open_scene(against, assume_gsd_m=assume_gsd_m) as scene:
        layers = near_layers(vectors, scene.grid, options, events)
        frames, alignment = aligned_frames([layer for _, layer in layers], scene, rules, events)
    write_layers(out, [(name, frame) for (name, _), frame in zip(layers, frames, strict=True)])
    return alignment


def check_alignment(vectors: Path, against: Path, out: Path, *, force: bool = False) -> None:
    """Check what is aligned, and against what, before any work.

    Raises:
        InputError: If the vectors are a raster, or ``against`` is no image.
        OutputError: If ``out`` is no GeoPackage, exists without ``force``, or cannot be written.
    """
    check_correction_target(out, vectors, against, force=force)
    check_order(vectors, against)
    if kind_of_target(against, otherwise="Give the image that the map was made of.") != "image":
        raise InputError(
            f"{against} holds scores.", expected="the image of a scene",
            remedy="Give the image that the scores are of; the scores themselves go into scores=.",
        )  # fmt: skip


@dataclass(frozen=True)
class FoundShifts:
    """The shifts of the objects of several frames."""

    grid: Grid  # the pixels in which they were compared
    shapes: list[Geometries]  # of each frame, in these pixels, as they were given
    shifts: list[list[Shift]]  # of each frame

    @property
    def alignment(self) -> Alignment:
        """What became of all objects."""
        return Alignment.of([one for some in self.shifts for one in some], self.grid.mean_gsd_m())

    def applied(self, frames: Sequence[gpd.GeoDataFrame]) -> list[gpd.GeoDataFrame]:
        """Return the frames with what is sure moved and the columns of ``COLUMNS``."""
        return [_with_columns(*one, self.grid) for one in zip(frames, self.shapes, self.shifts, strict=True)]


def found_shifts(
    frames: Sequence[gpd.GeoDataFrame], scene: Scene, rules: AlignRules, events: Events = SILENT
) -> FoundShifts:
    """Return the shifts of the objects of frames, found for all together.

    Raises:
        InputError: If ``max_shift_m`` is below a pixel or above a quarter of the scene.
    """
    reach_px(scene.grid, rules.max_shift_m)  # raises in the scene's own pixels
    target = as_compared(scene, rules.max_shift_m)
    shapes = [_in_pixels(frame.geometry.to_numpy(), frame.crs, target.grid) for frame in frames]
    shifts = shifts_of(np.concatenate(shapes).tolist(), target, rules, events=events)
    ends = [0, *np.cumsum([len(frame) for frame in frames]).tolist()]
    return FoundShifts(target.grid, shapes, [shifts[start:stop] for start, stop in pairwise(ends)])


def aligned_frames(
    frames: Sequence[gpd.GeoDataFrame], scene: Scene, rules: AlignRules, events: Events = SILENT
) -> tuple[list[gpd.GeoDataFrame], Alignment]:
    """Return frames with what is sure moved and the columns of ``COLUMNS``, and what became of all objects.

    Raises:
        InputError: If ``max_shift_m`` is below a pixel or above a quarter of the scene.
    """
    found = found_shifts(frames, scene, rules, events)
    return found.applied(frames), found.alignment


def _in_pixels(shapes: Geometries, crs: CRS | None, grid: Grid) -> Geometries:
    """Return geometries of a CRS in pixels of a grid."""

    def pixels(points: Points) -> Points:
        return affine_points(~grid.transform, in_crs(points, crs, grid.crs))

    return shapely.transform(shapes, pixels)


def _moved(layer: gpd.GeoDataFrame, pixels: Geometries, shifts: Sequence[Shift], grid: Grid) -> Geometries:
    """Return the geometries of a layer, given in pixels too, with what is sure moved and all others as they are."""

    def placed(points: Points) -> Points:
        return in_crs(affine_points(grid.transform, points), grid.crs, layer.crs)

    found = np.array(layer.geometry, dtype=object)
    for place, one in enumerate(shifts):
        if one.reason is Reason.ALIGNED:
            found[place] = shapely.transform(one.of(pixels[place]), placed)
    return found


def _with_columns(layer: gpd.GeoDataFrame, pixels: Geometries, shifts: Sequence[Shift], grid: Grid) -> gpd.GeoDataFrame:
    """Return a layer with what is sure moved, and what is known of every object in columns."""
    shapes = _moved(layer, pixels, shifts, grid)
    values = zip(*map(_values, shifts), strict=True)
    columns = dict(zip(COLUMNS, map(list, values), strict=True))
    return layer.set_geometry(gpd.GeoSeries(shapes, layer.index, layer.crs)).assign(**columns)


def _values(one: Shift) -> tuple[float | str, ...]:
    """Return what ``COLUMNS`` say of an object."""
    stretch = one.stretch
    outline = (stretch.longer_m, stretch.wider_m, stretch.turn_deg)
    return one.dx_m, one.dy_m, *outline, one.confidence, one.reason.value
