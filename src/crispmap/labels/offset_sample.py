"""The offset of vectors against a whole scene, from a bounded sample of windows.

A scene of any size is compared in at most ``MOST_WINDOWS`` windows of ``WINDOW_PX`` pixels a side, so that memory and
time are bounded. They are drawn with a fixed seed from the half of the windows with most outline. Pixels finer than
``LEAST_GSD_M`` are averaged first: outlines drawn by people are no finer, and roof tiles should not count as edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely

from crispmap.classes import ClassSchema
from crispmap.errors import LabelError
from crispmap.events import SILENT, Events, progress
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import metres_per_pixel
from crispmap.labels.offset import BEYOND_PX, PARTS, Offset, TargetKind, correlations, judged, parts_of, reach_px
from crispmap.labels.rasterize import VectorLabels
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.types import CountArray, DoubleArray

WINDOW_PX = 1024  # the side of a window, in pixels as they are compared

MOST_WINDOWS = 16  # how many windows are compared

LEAST_GSD_M = 0.3  # pixels are compared no finer than this

_MOST_REACH_PX = 128
_FILTER_PX = 8  # more than the gradients' filters reach
_STEP_PX = 16.0  # spacing of the points by which outlines are counted


@dataclass(frozen=True)
class SampledOffset:
    """An offset, and the sample of a scene it was measured on."""

    offset: Offset
    gsd_m: float  # the ground sampling distance at which they were compared
    windows: int  # how many windows were compared
    windows_in_all: int  # how many windows of the scene hold labels


def estimate_offset_on(
    scene: Scene,
    features: gpd.GeoDataFrame,
    schema: ClassSchema,
    *,
    max_shift_m: float,
    kind: TargetKind = "image",
    events: Events = SILENT,
) -> SampledOffset:
    """Return the offset of features, as a whole, against an image or a map of scores of any size.

    Args:
        scene: The image; or scores, one band for each class of the schema.
        features: Columns geometry, class_id and width_m in the scene's CRS, as from ``read_vectors``.

    Raises:
        InputError: If ``max_shift_m`` is below a pixel or above a quarter of the scene.
        LabelError: If the features have no outline where the scene holds data.
    """
    reach_px(scene.grid, max_shift_m)  # raises in the scene's own pixels
    target = as_compared(scene, max_shift_m)
    reach = reach_px(target.grid, max_shift_m)
    labels = VectorLabels(features, target.grid, schema)
    windows, in_all = _busy_windows(features, target.grid)
    across = math.ceil(math.sqrt(PARTS**2 / max(1, min(len(windows), MOST_WINDOWS))))
    surfaces: list[DoubleArray] = []
    with progress(events, "offset", min(len(windows), MOST_WINDOWS), "windows") as running:
        for window in windows:
            found = _compared(labels, target, window, across, reach, kind)
            if found is not None:
                surfaces.append(found)
                running.advance(1)
            if len(surfaces) == MOST_WINDOWS:
                break
    if not surfaces:
        raise LabelError(
            f"The labels have no outline to compare on the valid pixels of {scene.path}.",
            expected="outlines of objects that can be seen in the scene",
            remedy="Check that both show the same place, and that the classes are the ones to compare.",
        )
    offset = judged(np.concatenate(surfaces), reach, metres_per_pixel(target.grid))
    return SampledOffset(offset, target.grid.mean_gsd_m(), len(surfaces), in_all)


def as_compared(scene: Scene, max_shift_m: float) -> Scene:
    """Return the scene with pixels large enough for outlines, and for the search."""
    least = max(LEAST_GSD_M, max_shift_m / _MOST_REACH_PX)
    along_x, along_y = (max(1.0, least / own) for own in scene.grid.gsd_m())
    return scene if along_x == along_y == 1.0 else ResampledScene(scene, along_y, along_x)


def _busy_windows(features: gpd.GeoDataFrame, grid: Grid) -> tuple[list[Block], int]:
    """Return the windows to compare, in order, and the number of windows that hold labels."""
    down, across = (math.ceil(side / WINDOW_PX) for side in grid.shape)
    windows = parts_of(grid.block, across, down)
    counts = _outline_points(features, grid, down, across).ravel()
    busiest = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    chosen = busiest[: max(MOST_WINDOWS, math.ceil(len(busiest) / 2))]
    order = np.random.default_rng(0).permutation(chosen)
    return [windows[int(index)] for index in order], len(busiest)


def _outline_points(features: gpd.GeoDataFrame, grid: Grid, down: int, across: int) -> CountArray:
    """Return how many points, evenly spaced along outlines, lie in each of down x across parts of a grid."""
    unit = math.sqrt(abs(grid.transform.determinant))
    near = shapely.clip_by_rect(features.geometry.to_numpy(), *grid.bounds)
    points = shapely.get_coordinates(shapely.segmentize(near, _STEP_PX * unit))
    cols, rows = affine_points(~grid.transform, points).T
    counts, _, _ = np.histogram2d(rows, cols, bins=(down, across), range=((0, grid.height), (0, grid.width)))
    return np.asarray(counts, dtype=np.int64)


def _compared(
    labels: VectorLabels, target: Scene, window: Block, across: int, reach: tuple[int, int], kind: TargetKind
) -> DoubleArray | None:
    """Return the correlations of a window's parts; None if there is nothing to compare."""
    around = window.padded(max(reach) + BEYOND_PX + _FILTER_PX).intersection(target.grid.block)
    image, valid = target.read(around)
    if not valid[window.relative_to(around).slices].any():
        return None
    parts = parts_of(window.relative_to(around), across)
    return correlations(labels.read(around), image, valid, parts, reach, kind=kind, classes=len(labels.schema))
