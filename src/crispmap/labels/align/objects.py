"""The shift of every object of a scene, with a confidence and a reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from crispmap.errors import InputError
from crispmap.events import SILENT, Events, progress
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import metres_per_pixel
from crispmap.labels.align.edges import edge_directions, outline_samples, support
from crispmap.labels.align.field import probabilities
from crispmap.labels.align.sizes import UNCHANGED, Stretch, stretches_of
from crispmap.labels.offset import reach_px
from crispmap.raster.scene import Scene
from crispmap.types import CountArray, DoubleArray, FloatArray

TILE_PX = 1024
LARGEST_PX = 2048  # objects of longer sides are left where they are
_NEAR_M = 0.6  # shifts this near to the likeliest count as the same
_LEAST_SUPPORT = 1.9  # mean support times the root of the length in pixels; in noise 1 in 100 finds more within 30 px
_LEAST_SEEN = 0.3  # of an outline, on the scene


class Reason(StrEnum):
    """What became of an object."""

    ALIGNED = "aligned"
    UNSURE = "unsure"  # several shifts fit as well
    NO_SUPPORT = "no support"  # no shift runs along edges: it may be gone, hidden, or drawn in another shape
    OUTSIDE = "outside"  # of the scene, in large part
    NO_OUTLINE = "no outline"  # a line, a point, or larger than any object


@dataclass(frozen=True)
class AlignRules:
    """How far objects may be off, how sure a shift must be to be made, and whether outlines change beside.

    Raises:
        InputError: If ``sure`` is no probability.
    """

    max_shift_m: float = 9.0
    sure: float = 0.5
    sizes: bool = True  # lengths, widths and directions of outlines are fitted too

    def __post_init__(self) -> None:
        if not 0 < self.sure <= 1:
            raise InputError(f"sure is {self.sure}.", expected="a probability above 0 and up to 1")


@dataclass(frozen=True)
class Shift:
    """What is known of the shift of one object, and whether it is made."""

    dx_m: float  # metres to the east that the centroid is moved; 0 unless it is aligned
    dy_m: float  # to the north
    confidence: float  # 0..1: the probability that the object belongs within 0.6 m of the likeliest shift
    reason: Reason
    cols: float  # what it is moved by in pixels of the scene
    rows: float
    stretch: Stretch = UNCHANGED
    likeliest: tuple[float, float] = (0.0, 0.0)  # pixels (columns, rows) to where it most likely belongs, moved or not

    def of(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a geometry, in pixels of the scene, moved and stretched by this."""
        return self.stretch.of(shape, self.cols, self.rows)


def shifts_of(
    shapes: Sequence[BaseGeometry],
    scene: Scene,
    rules: AlignRules,
    *,
    tile_px: int = TILE_PX,
    events: Events = SILENT,
) -> list[Shift]:
    """Return the shift and the stretch of every object, found for all together.

    Nothing is moved that is not sure. The result does not depend on ``tile_px``. Memory is that of a tile and 30 kB an
    object, with 30 pixels of reach.

    Args:
        shapes: In pixels of the scene (x to the right, y down).
        scene: Of pixels as fine as outlines are to be compared.

    Raises:
        InputError: If ``max_shift_m`` is below a pixel or above a quarter of the scene.
    """
    reach = max(reach_px(scene.grid, rules.max_shift_m))
    found: list[Shift | None] = [None] * len(shapes)
    comparable = []
    for place, shape in enumerate(shapes):
        reason = _left_alone(shape, scene.grid)
        if reason is None:
            comparable.append(place)
        else:
            found[place] = _stays(reason)
    if comparable:
        some = [shapes[place] for place in comparable]
        groups = _by_tile(some, tile_px)
        strengths = _strengths(some, groups, scene, reach, events)
        metres = metres_per_pixel(scene.grid)
        centres = shapely.get_coordinates(shapely.centroid(some)) @ metres.T
        pixel_m = math.sqrt(abs(float(np.linalg.det(metres))))
        chances = probabilities(strengths, centres, pixel_m)
        for place, chance, fit in zip(comparable, chances, strengths, strict=True):
            found[place] = _judged(chance, fit, metres, pixel_m, rules)
    shifts = [one for one in found if one is not None]
    return _stretched(shapes, shifts, scene, tile_px) if rules.sizes else shifts


def _left_alone(shape: BaseGeometry, grid: Grid) -> Reason | None:
    """Return why an object cannot be compared; None where it can."""
    if shapely.get_dimensions(shape) != 2 or shape.area == 0:
        return Reason.NO_OUTLINE
    left, top, right, bottom = shape.bounds
    if max(right - left, bottom - top) > LARGEST_PX:
        return Reason.NO_OUTLINE
    frame = shapely.box(0, 0, grid.width, grid.height)
    boundary = shape.boundary
    return None if boundary.intersection(frame).length >= _LEAST_SEEN * boundary.length else Reason.OUTSIDE


def _by_tile(shapes: Sequence[BaseGeometry], tile_px: int) -> list[CountArray]:
    """Return the places of shapes whose centroids lie in the same square of the scene, tile by tile."""
    tiles = (shapely.get_coordinates(shapely.centroid(shapes))[:, ::-1] // tile_px).astype(int)
    order = np.lexsort((tiles[:, 1], tiles[:, 0]))
    return np.split(order, np.flatnonzero(np.diff(tiles[order], axis=0).any(axis=1)) + 1)


def _stretched(shapes: Sequence[BaseGeometry], shifts: Sequence[Shift], scene: Scene, tile_px: int) -> list[Shift]:
    """Return shifts with how the outlines of objects that are moved change beside."""
    made = [place for place, one in enumerate(shifts) if one.reason is Reason.ALIGNED]
    found = list(shifts)
    if not made:
        return found
    metres = metres_per_pixel(scene.grid)
    moved = [shifts[place].of(shapes[place]) for place in made]
    stretches = stretches_of(moved, _by_tile(moved, tile_px), scene, metres)
    for place, stretch in zip(made, stretches, strict=True):
        dx_m, dy_m = metres @ [stretch.cols, stretch.rows]
        one = shifts[place]
        found[place] = replace(
            one, dx_m=one.dx_m + float(dx_m), dy_m=one.dy_m + float(dy_m), stretch=stretch,
            cols=one.cols + stretch.cols, rows=one.rows + stretch.rows,
        )  # fmt: skip
    return found


def _strengths(
    shapes: Sequence[BaseGeometry], groups: Sequence[CountArray], scene: Scene, reach: int, events: Events
) -> FloatArray:
    """Return what every outline supports times the root of its length in pixels; the scene is read group by group."""
    bounds = shapely.bounds(shapes)
    strengths = np.zeros((len(shapes), 2 * reach + 1, 2 * reach + 1), np.float32)
    with progress(events, "align", len(shapes), "objects") as running:
        for group in groups:
            left, top = np.floor(bounds[group, :2].min(axis=0)).astype(int) - reach - 1
            right, bottom = np.ceil(bounds[group, 2:].max(axis=0)).astype(int) + reach + 1
            window = Block(int(top), int(left), int(bottom - top), int(right - left))
            directions = edge_directions(scene, window)
            for place in group:
                samples = outline_samples(shapes[place])
                fit = support(samples, directions, (window.row, window.col), reach)
                strengths[place] = fit * np.float32(math.sqrt(samples[:, 4].sum()))
                running.advance(1)
    return strengths


def _judged(chance: FloatArray, fit: FloatArray, metres: DoubleArray, pixel_m: float, rules: AlignRules) -> Shift:
    """Return the shift by the probabilities of all of an object, made where it is sure."""
    side = len(chance)
    row, col = np.unravel_index(int(chance.argmax()), chance.shape)
    near = max(1, round(_NEAR_M / pixel_m))
    rows, cols = (np.arange(max(0, at - near), min(side, at + near + 1)) for at in (int(row), int(col)))
    around = chance[np.ix_(rows, cols)].astype(np.float64)
    confidence = float(around.sum())
    middle = side // 2
    moved = np.array([around.sum(axis=0) @ (cols - middle), around.sum(axis=1) @ (rows - middle)]) / confidence
    col_shift, row_shift = moved.tolist()
    at_rim = min(row, col) == 0 or max(row, col) == side - 1
    if fit[row, col] < _LEAST_SUPPORT:
        return _stays(Reason.NO_SUPPORT, confidence, (col_shift, row_shift))
    if confidence < rules.sure or at_rim:
        return _stays(Reason.UNSURE, confidence, (col_shift, row_shift))
    dx_m, dy_m = (metres @ moved).tolist()
    return Shift(
        dx_m, dy_m, min(confidence, 1.0), Reason.ALIGNED, col_shift, row_shift, likeliest=(col_shift, row_shift)
    )


def _stays(reason: Reason, confidence: float = 0.0, likeliest: tuple[float, float] = (0.0, 0.0)) -> Shift:
    return Shift(0.0, 0.0, min(confidence, 1.0), reason, 0.0, 0.0, likeliest=likeliest)
