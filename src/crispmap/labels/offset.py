"""The systematic offset of labels against an image or a map of scores.

Label outlines are laid over the image at every shift within reach; the right shift is where they run along edges of
the image. Edges count with their direction: a gradient g = gx + i gy enters as g^2 / |g|, whose angle is twice that of
g, so that a roof brighter than its ground and one darker agree while edges across the outline count against it (the
structure tensor: Bigun and Granlund, 1987). Against scores the signed gradient is used, for there the sign is known.

The correlation is summed over parts of the scene; how the best shift moves as parts are left out (the jackknife) tells
how sure it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from crispmap.errors import InputError, LabelError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import metres_per_pixel
from crispmap.types import IGNORE, BoolArray, DoubleArray, FloatArray, LabelArray

PARTS = 4
"""A scene is cut into this many parts a side, to see whether they agree."""

BEYOND_PX = 16
"""Searched beyond what is asked for: to see how high unrelated shifts come, and a greater offset."""

TargetKind: TypeAlias = Literal["image", "scores"]
"""What labels are laid over."""

_SMOOTH_PX = 1.0
_RIVAL_PX = 8.0
_PROMINENCE = (5.0, 11.0)  # confidence 0 and 1; on real images labels of elsewhere reach 5.6, right ones 13 to 26
_LEAST_CONFIDENCE = 0.25
_LARGEST_ERROR_PX = 3.0

_Gradient = NDArray[np.complex64]


@dataclass(frozen=True)
class Offset:
    """How far labels lie from where they should; subtract it from the labels to mend them.

    Attributes:
        dx_m: Metres to the east, on the ground.
        dy_m: Metres to the north. Without a CRS, x and y of the grid's coordinates.
        error_m: Standard error of the offset (jackknife over parts of the scene), in metres.
        confidence: 0..1: how far the best shift stands out from the others and stays put when parts are left out.
        reliable: Whether the offset may be acted upon.
        note: What speaks against it, or an empty text.
    """

    dx_m: float
    dy_m: float
    error_m: float
    confidence: float
    reliable: bool
    note: str = ""


def estimate_offset(
    labels: LabelArray,
    target: FloatArray,
    grid: Grid,
    *,
    max_shift_m: float,
    kind: TargetKind = "image",
    valid: BoolArray | None = None,
) -> Offset:
    """Return how far labels lie, as a whole, from an image or from a map of scores.

    Args:
        labels: Class ids (row, col); outlines of IGNORE ground do not count.
        target: The image (band, row, col), any units; or scores or probabilities (class, row, col).
        grid: Where both lie.
        max_shift_m: How far the labels may be off, in metres.
        kind: What the target is.
        valid: Pixels of the target that hold data; all by default.

    Raises:
        InputError: If shapes disagree, or ``max_shift_m`` is below a pixel or above a quarter of the scene.
        LabelError: If the labels have no outline, being of one class all over.
    """
    valid = np.ones(grid.shape, dtype=bool) if valid is None else valid
    if labels.shape != grid.shape or target.shape[1:] != grid.shape or valid.shape != grid.shape or target.ndim != 3:
        raise InputError(
            f"Labels of shape {labels.shape}, a target of shape {target.shape} and a grid of shape {grid.shape}.",
            expected="labels (row, col) and a target (band or class, row, col) of the grid's shape",
        )
    reach = reach_px(grid, max_shift_m)
    classes = len(target) if kind == "scores" else int(labels[labels != IGNORE].max(initial=0)) + 1
    surfaces = correlations(labels, target, valid, parts_of(grid.block, PARTS), reach, kind=kind, classes=classes)
    if surfaces is None:
        raise LabelError(
            "The labels have no outline to compare: they are of one class all over.",
            expected="labels of two classes or more",
        )
    return judged(surfaces, reach, metres_per_pixel(grid))


def correlations(
    labels: LabelArray,
    target: FloatArray,
    valid: BoolArray,
    parts: list[Block],
    reach: tuple[int, int],
    *,
    kind: TargetKind,
    classes: int,
) -> DoubleArray | None:
    """Return how well outlines lie on edges at every shift, by part; None where the labels have no outline.

    Args:
        labels: Class ids (row, col).
        target: The image or the scores (plane, row, col), on the same pixels.
        valid: Its pixels that hold data.
        parts: Blocks of these pixels, whose outlines count; edges count wherever they are.
        reach: The largest shifts looked for, (rows, columns).
        kind: What the target is.
        classes: How many classes there are.

    Returns:
        Correlations (part, row shift, column shift) for shifts up to ``BEYOND_PX`` beyond the reach, both ways.
    """
    known = labels != IGNORE
    if kind == "image":
        outline = _doubled(_gradients(_one_hot(labels, classes), known))
        edges = _flattened(_doubled(_gradients(target, valid)))
    else:
        outline = _gradients(_one_hot(labels, classes), known)
        edges = _gradients(target[1:] if len(target) == 2 else target, valid)
    if not np.any(outline):
        return None
    wide = reach[0] + BEYOND_PX, reach[1] + BEYOND_PX
    return np.stack([_correlate(outline, edges, part, wide) for part in parts])


def reach_px(grid: Grid, max_shift_m: float) -> tuple[int, int]:
    """Return how many (rows, columns) the search reaches each way.

    Raises:
        InputError: If the reach is below a pixel, or above a quarter of the scene.
    """
    along_x, along_y = grid.gsd_m()
    least, most = max(along_x, along_y), min(grid.height * along_y, grid.width * along_x) / 4
    if not least <= max_shift_m <= most:
        raise InputError(
            f"max_shift_m is {max_shift_m}.",
            expected=f"at least a pixel ({least:.3g} m) and at most a quarter of the scene ({most:.3g} m)",
            remedy="Give another distance (max_shift_m, --max-shift-m).",
        )
    return math.ceil(max_shift_m / along_y), math.ceil(max_shift_m / along_x)


def _one_hot(labels: LabelArray, classes: int) -> FloatArray:
    """Return membership (class, row, col), without the first of two classes, whose outline is that of the second."""
    ids = range(1, 2) if classes == 2 else range(classes)
    return np.stack([labels == index for index in ids]).astype(np.float32)


def _gradients(planes: FloatArray, valid: BoolArray) -> _Gradient:
    """Return smoothed gradients gx + i gy (plane, row, col), 0 where the filters reach invalid pixels."""
    inside = ndimage.binary_erosion(valid, iterations=math.ceil(4 * _SMOOTH_PX), border_value=1)
    gradients = np.empty(planes.shape, dtype=np.complex64)
    for place, plane in enumerate(planes):
        filled = np.where(valid, plane, np.float32(0))
        gradients[place].real = ndimage.gaussian_filter(filled, _SMOOTH_PX, order=(0, 1), output=np.float32)
        gradients[place].imag = ndimage.gaussian_filter(filled, _SMOOTH_PX, order=(1, 0), output=np.float32)
        gradients[place][~inside] = 0
    return gradients


def _doubled(gradients: _Gradient) -> _Gradient:
    """Return the sum over planes of g^2 / |g|: strength, and direction but for its sign."""
    squares = (gradients**2).sum(axis=0, keepdims=True)
    strength = np.sqrt(np.abs(squares))
    return np.asarray(np.divide(squares, strength, out=np.zeros_like(squares), where=strength > 0))


def _flattened(edges: _Gradient) -> _Gradient:
    """Return edges whose strength saturates at the median, so that a few glaring ones do not decide."""
    strength = np.abs(edges)
    usual = float(np.median(strength[strength > 0])) if strength.any() else 1.0
    return np.asarray(edges / (strength + usual))


def parts_of(block: Block, across: int, down: int | None = None) -> list[Block]:
    """Return a block cut evenly into ``across`` x ``down`` parts (as many down as across by default), row by row."""
    rows = np.linspace(block.row, block.row_stop, (down or across) + 1).astype(int).tolist()
    cols = np.linspace(block.col, block.col_stop, across + 1).astype(int).tolist()
    return [
        Block(top, left, bottom - top, right - left) for top, bottom in pairwise(rows) for left, right in pairwise(cols)
    ]


def _correlate(outline: _Gradient, edges: _Gradient, part: Block, reach: tuple[int, int]) -> DoubleArray:
    """Return the sum of Re(conj(outline at x) edges at x + s) over a part, for shifts s within reach each way.

    Shape (2 reach rows + 1, 2 reach columns + 1), no shift at the centre. What lies outside the scene counts nothing.
    """
    down, across = reach
    wide = Block(part.row - down, part.col - across, part.height + 2 * down, part.width + 2 * across)
    seen = wide.intersection(Block(0, 0, *edges.shape[1:]))
    place = seen.relative_to(wide).slices
    size = fft.next_fast_len(wide.height), fft.next_fast_len(wide.width)
    total = np.zeros((2 * down + 1, 2 * across + 1))
    for one, other in zip(outline, edges, strict=True):
        around = np.zeros(wide.shape, dtype=np.complex64)
        around[place] = other[seen.slices]
        product = fft.fft2(around, size) * np.conj(fft.fft2(one[part.slices], size))
        total += fft.ifft2(product).real[: 2 * down + 1, : 2 * across + 1]
    return total


def judged(surfaces: DoubleArray, reach: tuple[int, int], metres: DoubleArray) -> Offset:
    """Return the offset at the best shift of the summed surfaces, and how far to trust it.

    Args:
        surfaces: One correlation surface a part, (part, row shift, column shift).
        reach: The largest shifts the offset may have, (rows, columns).
        metres: From a shift (columns, rows) to metres (east, north).
    """
    total = surfaces.sum(axis=0)
    middle = np.array(total.shape) // 2
    best = _peak(total)
    inside = bool((np.abs(best - middle) <= np.array(reach) + 0.5).all())
    without = np.array([_peak(total - one) for one in surfaces if np.any(one)])
    error_m = _jackknife_error(without[:, ::-1] @ metres.T) if len(without) > 1 else math.inf
    prominence, rivalled = _standing(total, best)
    low, high = _PROMINENCE
    confidence = 0.0 if rivalled else max(0.0, min(1.0, (prominence - low) / (high - low)))
    note = _doubt(inside, confidence, error_m / math.sqrt(abs(float(np.linalg.det(metres)))))
    dx_m, dy_m = -(metres @ (best - middle)[::-1])
    return Offset(float(dx_m), float(dy_m), error_m, confidence, not note, note)


def _jackknife_error(values: DoubleArray) -> float:
    """Return the standard error of an estimate from its values (n, 2) with one part left out each (Tukey, 1958)."""
    count = len(values)
    return math.sqrt((count - 1) / count * float(((values - values.mean(axis=0)) ** 2).sum()))


def _standing(surface: DoubleArray, best: DoubleArray) -> tuple[float, bool]:
    """Return by how many standard deviations the best shift stands above the others, and whether one rivals it.

    The others are those outside the hill of the best: the connected shifts of at least half its height.
    """
    row, col = (int(value) for value in np.round(best))
    height = float(surface[row, col])
    if height <= 0:
        return 0.0, True
    hills, _ = ndimage.label(surface >= height / 2)
    others = surface[~ndimage.binary_dilation(hills == hills[row, col], iterations=2)]
    distance = np.hypot(*(np.indices(surface.shape) - np.array([row, col]).reshape(2, 1, 1)))
    rivalled = bool((surface[distance > _RIVAL_PX] > 0.9 * height).any())
    if others.size < surface.size // 4 or others.std() == 0:
        return 0.0, True
    return float((height - others.mean()) / others.std()), rivalled


def _doubt(inside: bool, confidence: float, error_px: float) -> str:
    """Return what speaks against an offset, or an empty text."""
    if confidence < _LEAST_CONFIDENCE:
        return "Other shifts fit nearly as well: the labels' outlines are hardly edges of the image."
    if not inside:
        return "The best shift lies beyond the search: the labels may be further off than max_shift_m (--max-shift-m)."
    if error_px > _LARGEST_ERROR_PX:
        return "Parts of the scene disagree on the offset: it may not be the same everywhere."
    return ""


def _peak(surface: DoubleArray) -> DoubleArray:
    """Return the place (row, column) of the highest value, between the samples where it is not on the rim."""
    row, col = np.unravel_index(int(surface.argmax()), surface.shape)
    height, width = surface.shape
    if not (0 < row < height - 1 and 0 < col < width - 1):
        return np.array([row, col], dtype=np.float64)
    down = _vertex(surface[row - 1 : row + 2, col])
    across = _vertex(surface[row, col - 1 : col + 2])
    return np.array([row + down, col + across])


def _vertex(values: DoubleArray) -> float:
    """Return where, -0.5..0.5 from the middle, the parabola through three values is highest."""
    before, middle, after = (float(value) for value in values)
    bend = before - 2 * middle + after
    return 0.0 if bend == 0 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))
