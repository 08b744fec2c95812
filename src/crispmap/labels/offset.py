"""The systematic offset of labels against an image or a map of scores.

Label outlines are correlated with the image at every shift within reach; at the right shift they run along edges of the
image. Edges count with their direction: a gradient g = gx + i gy enters as g^2 / |g|, whose angle is twice that of g,
so that roofs brighter and darker than their surroundings agree while edges across the outline count against it (the
structure tensor: Bigun and Granlund, 1987). Against scores the signed gradient is used, as the sign is known. The
correlation is summed over parts of the scene; the error follows from the best shifts with one part left out each (the
jackknife).
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

PARTS = 4  # parts along each side of a scene, to check that they agree

BEYOND_PX = 16  # searched beyond the reach, to measure unrelated shifts and detect a greater offset

TargetKind: TypeAlias = Literal["image", "scores"]  # what labels are compared with

_SMOOTH_PX = 1.0
_RIVAL_PX = 8.0
_PROMINENCE = (5.0, 11.0)  # confidence 0 and 1; on real images labels of elsewhere reach 5.6, right ones 13 to 26
_LEAST_CONFIDENCE = 0.25
_LARGEST_ERROR_PX = 3.0

_Gradient = NDArray[np.complex64]


@dataclass(frozen=True)
class Offset:
    """The displacement of labels; subtract it from the labels to correct them."""

    dx_m: float  # metres to the east, on the ground
    dy_m: float  # metres to the north. Without a CRS, x and y of the grid's coordinates
    error_m: float  # standard error of the offset (jackknife over parts of the scene), in metres
    confidence: float  # 0..1: how far the best shift stands out from the others and stays put when parts are left out
    reliable: bool  # whether the offset should be used
    note: str = ""  # the reason against it, if any


def estimate_offset(
    labels: LabelArray,
    target: FloatArray,
    grid: Grid,
    *,
    max_shift_m: float,
    kind: TargetKind = "image",
    valid: BoolArray | None = None,
) -> Offset:
    """Return the offset of labels, as a whole, against an image or a map of scores.

    Args:
        labels: Class ids (row, col); outlines of IGNORE do not count.
        target: The image (band, row, col), any units; or scores or probabilities (class, row, col).
        valid: Pixels of the target that hold data; all by default.

    Raises:
        InputError: If shapes disagree, or ``max_shift_m`` is below a pixel or above a quarter of the scene.
        LabelError: If the labels have no outline because all are of one class.
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
            "The labels have no outline to compare: all are of one class.", expected="labels of two classes or more"
        )
    return judged(surfaces, reach, metres_per_pixel(grid))


def correlations(  # noqa: PLR0913 - the numbers of one comparison
    labels: LabelArray,
    target: FloatArray,
    valid: BoolArray,
    parts: list[Block],
    reach: tuple[int, int],
    *,
    kind: TargetKind,
    classes: int,
) -> DoubleArray | None:
    """Return how well outlines match edges at every shift, by part; None if the labels have no outline.

    Args:
        parts: Blocks of these pixels, whose outlines count; edges count wherever they are.
        reach: The largest shifts searched, (rows, columns).

    Returns:
        Correlations (part, row shift, column shift) for shifts up to ``BEYOND_PX`` beyond the reach, both ways.
    """
    known = labels != IGNORE
    if kind == "image":
        outline = doubled(gradients(_one_hot(labels, classes), known))
        edges = _flattened(doubled(gradients(target, valid)))
    else:
        outline = gradients(_one_hot(labels, classes), known)
        edges = gradients(target[1:] if len(target) == 2 else target, valid)
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
            remedy="Give another distance as max_shift_m=.",
        )
    return math.ceil(max_shift_m / along_y), math.ceil(max_shift_m / along_x)


def _one_hot(labels: LabelArray, classes: int) -> FloatArray:
    """Return membership (class, row, col); of two classes only the second: both have the same outline."""
    ids = range(1, 2) if classes == 2 else range(classes)
    return np.stack([labels == index for index in ids]).astype(np.float32)


def gradients(planes: FloatArray, valid: BoolArray) -> _Gradient:
    """Return smoothed gradients gx + i gy (plane, row, col), 0 where the filters reach invalid pixels."""
    inside = ndimage.binary_erosion(valid, iterations=math.ceil(4 * _SMOOTH_PX), border_value=1)
    gradients = np.empty(planes.shape, dtype=np.complex64)
    for place, plane in enumerate(planes):
        filled = np.where(valid, plane, np.float32(0))
        gradients[place].real = ndimage.gaussian_filter(filled, _SMOOTH_PX, order=(0, 1), output=np.float32)
        gradients[place].imag = ndimage.gaussian_filter(filled, _SMOOTH_PX, order=(1, 0), output=np.float32)
        gradients[place][~inside] = 0
    return gradients


def doubled(gradients: _Gradient) -> _Gradient:
    """Return the sum over planes of g^2 / |g|: strength, and direction but for its sign."""
    squares = (gradients**2).sum(axis=0, keepdims=True)
    strength = np.sqrt(np.abs(squares))
    return np.asarray(np.divide(squares, strength, out=np.zeros_like(squares), where=strength > 0))


def _flattened(edges: _Gradient) -> _Gradient:
    """Return edges whose strength saturates around the median, so that a few strong ones do not decide."""
    strength = np.abs(edges)
    usual = float(np.median(strength[strength > 0])) if strength.any() else 1.0
    return np.asarray(edges / (strength + usual))


def parts_of(block: Block, across: int, down: int | None = None) -> list[Block]:
    """Return a block cut evenly into ``across`` x ``down`` parts (by default ``across`` x ``across``), row by row."""
    rows = np.linspace(block.row, block.row_stop, (down or across) + 1).astype(int).tolist()
    cols = np.linspace(block.col, block.col_stop, across + 1).astype(int).tolist()
    return [
        Block(top, left, bottom - top, right - left) for top, bottom in pairwise(rows) for left, right in pairwise(cols)
    ]


def _correlate(outline: _Gradient, edges: _Gradient, part: Block, reach: tuple[int, int]) -> DoubleArray:
    """Return the sum of Re(conj(outline at x) edges at x + s) over a part, for shifts s within reach each way.

    Shape (2 reach rows + 1, 2 reach columns + 1), no shift at the centre. Pixels outside the scene count as 0.
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
    """Return the offset at the best shift of the summed surfaces, with its reliability.

    Args:
        surfaces: A correlation surface for each part, (part, row shift, column shift).
        metres: From a shift (columns, rows) to metres (east, north).
    """
    total = surfaces.sum(axis=0)
    middle = np.array(total.shape) // 2
    best = _peak(total)
    inside = bool((np.abs(best - middle) <= np.array(reach) + 0.5).all())
    without = np.array([_peak(total - one) for one in surfaces if np.any(one)])
    error_m = _jackknife_error(without[:, ::-1] @ metres.T) if len(without) > 1 else math.inf
    prominence, rivalled = _prominence(total, best)
    low, high = _PROMINENCE
    confidence = 0.0 if rivalled else max(0.0, min(1.0, (prominence - low) / (high - low)))
    note = _doubt(inside, confidence, error_m / math.sqrt(abs(float(np.linalg.det(metres)))))
    dx_m, dy_m = -(metres @ (best - middle)[::-1])
    return Offset(float(dx_m), float(dy_m), error_m, confidence, not note, note)


def _jackknife_error(values: DoubleArray) -> float:
    """Return the standard error of an estimate from its values (n, 2) with one part left out each (Tukey, 1958)."""
    count = len(values)
    return math.sqrt((count - 1) / count * float(((values - values.mean(axis=0)) ** 2).sum()))


def _prominence(surface: DoubleArray, best: DoubleArray) -> tuple[float, bool]:
    """Return by how many standard deviations the best shift exceeds the others, and whether it has a rival.

    The others are those outside the peak of the best: the connected shifts of at least half its height.
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
    """Return the reason against an offset, or an empty text."""
    if confidence < _LEAST_CONFIDENCE:
        return "Other shifts fit nearly as well: the labels' outlines hardly match edges of the image."
    if not inside:
        return "The best shift is beyond the search: the labels may be further off. Give a larger max_shift_m=."
    if error_px > _LARGEST_ERROR_PX:
        return "Parts of the scene disagree on the offset: it may not be the same everywhere."
    return ""


def _peak(surface: DoubleArray) -> DoubleArray:
    """Return the position (row, column) of the highest value, to subpixels unless it is at the border."""
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
