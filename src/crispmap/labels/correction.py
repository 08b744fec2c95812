"""Label correction: imprecise labels moved to match scores, and ignored where the two still contradict each other.

Labels such as OpenStreetMap's are displaced by some metres, neighbours by about the same: the causes, the image people
traced or the relief, change slowly. Block matching finds the shift of every neighbourhood: of all shifts within reach,
the one at which the labels' classes are most likely under the scores, weighted by a Gaussian window. Objects missing in
the labels, or labelled but not there, cost the same at every shift and do not affect it. A label that contradicts a
confident score after the move is taken for such an object and becomes IGNORE.

Block matching: Jain and Jain, "Displacement measurement and its application in interframe image coding", 1981. Labels
of aerial images aligned by a network: Girard, Charpiat, Tarabalka, "Aligning and updating cadaster maps with aerial
images by multi-task, multi-resolution deep learning", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage, special

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, number_of
from crispmap.geo.grid import Block, Grid
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, BoolArray, FloatArray, LabelArray

_TILE_PX = 1024
_KEPT_TILES = 4
_MATCHED_GSD_M = 1.0  # labels and scores are compared at about this sampling: a shift is smoothed to less
_CELL = 4  # side, in compared pixels, of the cells over which agreement is summed before it is smoothed
_TRUNCATE = 2.5  # standard deviations at which a window ends
_LEAST_PROBABILITY = 0.02  # limits the weight of a single score against a label

Shifts = tuple[FloatArray, FloatArray]  # pixels down and pixels to the right that the labels move, each (row, col)


@dataclass(frozen=True, kw_only=True)
class LabelCorrection:
    """How labels are moved.

    Raises:
        InputError: If a value is out of its range.
    """

    reach_m: float = 8.0  # the farthest they are moved down or across, metres above 0
    window_m: float = 20.0  # standard deviation of the window in which neighbours move together, metres above 0
    sure: float = 0.7  # probability, 0..1, from which a contradicting score makes the moved label IGNORE

    def __post_init__(self) -> None:
        for name in ("reach_m", "window_m"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}.", expected="a number of metres above 0")
        if not 0 <= self.sure <= 1:
            raise InputError(f"sure is {self.sure}.", expected="a probability, 0 to 1")


class CorrectedLabels:
    """Labels on a grid, corrected by scores on the same grid; a ``LabelReader``.

    Values do not depend on the blocks read: they are computed in tiles counted from the grid's corner, each with all
    surrounding pixels that can affect it. Unknown labels or scores give IGNORE.

    Attributes:
        tile_px: Side of the tiles: read in blocks of this size, each tile is computed once.

    Args:
        labels: Gives the imprecise class ids (row, col) of any block inside the grid.
        scores: Logits, one band for each class.

    Raises:
        InputError: If the number of classes differs.
    """

    def __init__(
        self,
        labels: Callable[[Block], LabelArray],
        scores: SceneReader,
        schema: ClassSchema,
        how: LabelCorrection = LabelCorrection(),
    ) -> None:
        if scores.band_count != len(schema):
            raise InputError(
                f"Labels of {len(schema)} classes cannot be corrected with "
                f"{number_of(scores.band_count, 'band')} of scores.",
                expected="one band for each class",
            )
        self.grid: Grid = scores.grid
        self.schema = schema
        self._labels, self._scores, self._how = labels, scores, how
        gsd_m = self.grid.mean_gsd_m()
        self._step = max(1, round(_MATCHED_GSD_M / gsd_m))
        self._reach = max(1, round(how.reach_m / gsd_m / self._step))
        self._window = how.window_m / gsd_m / self._step
        # Tiles and their margins begin where cells begin: neighbours see the same cells.
        cell_px = self._step * _CELL
        self.tile_px = cell_px * math.ceil(_TILE_PX / cell_px)
        # Labels and scores affect a shift from this far: by both windows, by reach, by interpolation.
        windows = sum(int(_TRUNCATE * sigma / _CELL + 0.5) for sigma in (self._window, self._window / 2))
        self._margin_px = cell_px * (windows + math.ceil(self._reach / _CELL) + 2)
        self._tile = lru_cache(maxsize=_KEPT_TILES)(self._computed)

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid, IGNORE where nothing is known."""
        result: LabelArray = np.full(block.shape, IGNORE, np.uint8)
        side = self.tile_px
        for row in range(block.row // side, -(-block.row_stop // side)):
            for col in range(block.col // side, -(-block.col_stop // side)):
                tile = Block(row * side, col * side, side, side).intersection(self.grid.block)
                shared = tile.intersection(block)
                result[shared.relative_to(block).slices] = self._tile(tile)[shared.relative_to(tile).slices]
        return result

    def close(self) -> None:
        """Drop the cached tiles; labels and scores are closed by whoever opened them."""
        self._tile.cache_clear()

    def _computed(self, tile: Block) -> LabelArray:
        around = tile.padded(self._margin_px)
        inside = around.intersection(self.grid.block)
        labels: LabelArray = np.full(around.shape, IGNORE, np.uint8)
        labels[inside.relative_to(around).slices] = self._labels(inside)
        core = tile.relative_to(around)
        if (labels == IGNORE).all():
            return labels[core.slices]
        scores, valid = self._scores.read(around)
        probabilities: FloatArray = special.softmax(scores, axis=0)
        shifts = match(labels, probabilities, valid, reach=self._reach, window=self._window, step=self._step)
        aligned = cleared(moved(labels, shifts), probabilities, valid & (labels != IGNORE), self._how.sure)
        return aligned[core.slices]


def match(
    labels: LabelArray, probabilities: FloatArray, valid: BoolArray, *, reach: int, window: float, step: int
) -> Shifts:
    """Return the shifts that best match labels to probabilities (class, row, col); 0 where there is nothing to match.

    Args:
        reach: The farthest shift down or across, in compared pixels.
        window: Standard deviation of the window that moves together, in compared pixels.
        step: Side of a compared pixel, in pixels.
    """
    classes = len(probabilities)
    support = np.log(np.maximum(probabilities, np.float32(_LEAST_PROBABILITY)))
    support = _averaged((support - support.mean(axis=0)) * valid, step)
    shares = _averaged((labels == np.arange(classes, dtype=np.uint8)[:, None, None]).astype(np.float32), step)
    candidates = sorted(
        ((down, right) for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)),
        key=lambda shift: shift[0] ** 2 + shift[1] ** 2,  # the shortest of equals wins
    )
    best, chosen = None, np.zeros(0, np.int64)
    for index, (down, right) in enumerate(candidates):
        agreement = _averaged((_shifted(shares, down, right) * support).sum(axis=0), _CELL)
        agreement = ndimage.gaussian_filter(agreement, window / _CELL, truncate=_TRUNCATE, mode="constant")
        if best is None:
            best, chosen = agreement, np.zeros(agreement.shape, np.int64)
            continue
        better = agreement > best
        best = np.where(better, agreement, best)
        chosen[better] = index
    taken = np.array(candidates, np.float32)[chosen] * step
    down_px, right_px = (
        _smoothed_to(taken[..., axis], window / 2 / _CELL, step * _CELL, labels.shape) for axis in (0, 1)
    )
    return down_px, right_px


def moved(labels: LabelArray, shifts: Shifts) -> LabelArray:
    """Return labels moved by shifts, to the nearest pixel, with IGNORE from outside."""
    rows, cols = np.indices(labels.shape)
    from_row = np.rint(rows - shifts[0]).astype(np.intp)
    from_col = np.rint(cols - shifts[1]).astype(np.intp)
    known = (from_row >= 0) & (from_row < labels.shape[0]) & (from_col >= 0) & (from_col < labels.shape[1])
    result: LabelArray = np.full(labels.shape, IGNORE, np.uint8)
    result[known] = labels[from_row[known], from_col[known]]
    return result


def cleared(labels: LabelArray, probabilities: FloatArray, valid: BoolArray, sure: float) -> LabelArray:
    """Return labels with IGNORE where another class has at least this probability, and where nothing is valid."""
    contradicted = (probabilities.argmax(axis=0) != labels) & (probabilities.max(axis=0) >= sure)
    result: LabelArray = np.where(contradicted | ~valid, np.uint8(IGNORE), labels)
    return result


def _averaged(maps: FloatArray, side: int) -> FloatArray:
    """Return the means of squares of this side, counted from the corner; the border may cut the last ones."""
    if side == 1:
        return maps
    height, width = maps.shape[-2:]
    rows, cols = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(maps, rows, axis=-2), cols, axis=-1)
    return (sums / (side * side)).astype(np.float32, copy=False)


def _shifted(maps: FloatArray, down: int, right: int) -> FloatArray:
    """Return maps (class, row, col) moved by whole pixels, with 0 from outside."""
    height, width = maps.shape[-2:]
    result = np.zeros_like(maps)
    if abs(down) < height and abs(right) < width:
        result[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = maps[
            :, max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
        ]
    return result


def _smoothed_to(values: FloatArray, sigma: float, side: int, shape: tuple[int, ...]) -> FloatArray:
    """Return the values of cells of this side, smoothed, then interpolated linearly to pixels."""
    smooth = ndimage.gaussian_filter(values, sigma, truncate=_TRUNCATE, mode="nearest")
    places = [(np.arange(length) + 0.5) / side - 0.5 for length in shape]
    grid = np.meshgrid(*places, indexing="ij")
    result: FloatArray = ndimage.map_coordinates(smooth, grid, order=1, mode="nearest").astype(np.float32)
    return result
