"""How far a multispectral scene lies from its panchromatic one, to a small fraction of a pixel.

The panchromatic band, averaged over multispectral pixels, is fitted by the bands and by the gradients of what they
fit; the gradients' coefficients say how far it is shifted (Lucas and Kanade, 1981). The averages are taken again at the
shifted places until nothing is left to shift: then no filter's bias is left either. Phase correlation finds where to
begin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from scipy import fft, ndimage

from crispmap.geo.grid import Block, Grid
from crispmap.raster.pansharpen.grids import overlap
from crispmap.raster.pansharpen.statistics import read_together, sample_blocks
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import BoolArray, DoubleArray, FloatArray

REACH_PX = 8  # multispectral pixels searched each way
_WINDOWS_ACROSS = 4
_WINDOW_PX = 32, 256  # least and greatest side of the windows compared
_STEPS = 30
_SETTLED_PX = 1e-3
_LARGEST_ERROR_PX = 0.25
_ERRORS = 2.0  # standard errors that a shift must exceed
_REWEIGHTED = 3
_USUAL = 0.9  # share of pixels that fit well: at the residual of the next one a pixel counts half
_DIGITS = 4  # of a shift: the last bits, which a processor's arithmetic decides, change no image
_TOO_LITTLE = "The scenes share too little with data to be compared."

_Window = tuple[DoubleArray, DoubleArray]  # values (variable, pixel) and the panchromatic band of the same pixels


@dataclass(frozen=True)
class Shift:
    """The displacement of a multispectral scene against the panchromatic one, in multispectral pixels."""

    cols_px: float  # to the right
    rows_px: float  # downwards
    error_px: float  # standard error (jackknife over windows)
    reliable: bool  # whether it should be used
    note: str = ""  # the reason against it, if any

    @property
    def is_sure(self) -> bool:
        """Whether it is reliable and more than its error: then it is worth undoing."""
        return self.reliable and math.hypot(self.cols_px, self.rows_px) > _ERRORS * self.error_px

    def applied(self, grid: Grid) -> Grid:
        """Return the grid of the multispectral scene moved back onto the panchromatic one."""
        return replace(grid, transform=grid.transform @ Affine.translation(-self.cols_px, -self.rows_px))


class MovedScene(Scene):
    """A scene with its pixels taken to lie elsewhere: a grid of the same shape."""

    def __init__(self, reader: SceneReader, grid: Grid) -> None:
        self._reader, self.grid = reader, grid
        self.band_names, self.path = reader.band_names, reader.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the scene's values."""
        return self._reader.dtype if isinstance(self._reader, Scene) else super().dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        return self._reader.read(block)

    def close(self) -> None:
        """Close the scene."""
        if isinstance(self._reader, Scene):
            self._reader.close()


def estimate_shift(multispectral: SceneReader, pan: SceneReader) -> Shift:
    """Return how far a multispectral scene lies from the panchromatic one of the same CRS.

    It is measured on up to 4 x 4 windows of at most 256 pixels, spread evenly, and not reliable where they disagree,
    where the scene shows too little, or where it is beyond ``REACH_PX``.
    """
    compared = _Compared(multispectral, pan)
    if compared.is_empty:
        return Shift(0.0, 0.0, math.inf, False, _TOO_LITTLE)
    start = compared.whole_pixels()
    place, moves = np.array(start, np.float64), np.zeros((0, 2))
    step = np.full(2, math.inf)
    for _ in range(_STEPS):
        step, moves = compared.step(place)
        place = place - step
        if not np.isfinite(step).all() or np.abs(step).max() < _SETTLED_PX or np.abs(place).max() > REACH_PX:
            break
    error = _jackknife_error(moves)
    note = _doubt(place, step, error)
    cols, rows = (-round(float(value), _DIGITS) + 0.0 if np.isfinite(value) else 0.0 for value in place)
    return Shift(cols, rows, error, not note, note)


class _Compared:
    """The windows of both scenes that are compared; places and steps are (columns, rows) in multispectral pixels."""

    def __init__(self, multispectral: SceneReader, pan: SceneReader) -> None:
        self._multispectral, self._pan = multispectral, pan
        least, most = _WINDOW_PX
        area = overlap(pan.grid, multispectral.grid)
        side = min(max(min(area.shape) // _WINDOWS_ACROSS, least), most)
        self._blocks = [one for one in sample_blocks(area, side, _WINDOWS_ACROSS) if min(one.shape) > 2 * REACH_PX]

    @property
    def is_empty(self) -> bool:
        """Whether the scenes are too small to be compared."""
        return not self._blocks

    def _read(self, block: Block, place: Sequence[float]) -> tuple[FloatArray, BoolArray]:
        """Return the bands of a block, the panchromatic one averaged ``place`` away from it, and the valid pixels."""
        grid = self._multispectral.grid
        there = replace(grid, transform=grid.transform @ Affine.translation(*place))
        return read_together(self._multispectral, SceneOnGrid(self._pan, there, "average"), block)

    def whole_pixels(self) -> tuple[int, int]:
        """Return where the phase correlation of all windows and bands is greatest, to whole pixels."""
        total = np.zeros((2 * REACH_PX + 1,) * 2)
        for block in self._blocks:
            values, valid = self._read(block, (0, 0))
            spectra = np.stack([fft.fft2(_tapered(image, valid)) for image in values.astype(np.float64)])
            product = spectra[-1] * np.conj(spectra[:-1])
            size = np.abs(product)
            np.divide(product, size, out=product, where=size > 1e-12 * size.max())
            surface = fft.ifft2(product.sum(axis=0)).real
            total += np.roll(surface, (REACH_PX, REACH_PX), (0, 1))[: len(total), : len(total)]
        row, col = np.unravel_index(int(total.argmax()), total.shape)
        return int(col) - REACH_PX, int(row) - REACH_PX

    def step(self, place: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return by how much a place is too far, and the same with one window left out each; NaN where none can say.

        Pixels that fit badly, such as clouds, which move between the bands, count less.
        """
        read = [self._read(block, place.tolist()) for block in self._blocks]
        weights = _fitted([_flat(values, valid) for values, valid in read])
        windows = [_flat(_with_gradients(values, weights), _eroded(valid)) for values, valid in read]
        whole: DoubleArray = np.full(len(weights) + 2, math.nan)
        sums: list[tuple[DoubleArray, DoubleArray]] = []
        for _ in range(_REWEIGHTED):
            trust = _trusted([pan - (whole if sums else _plain(weights)) @ values for values, pan in windows])
            sums = [
                ((values * one) @ values.T, (values * one) @ pan)
                for (values, pan), one in zip(windows, trust, strict=True)
            ]
            left, right = (np.sum(part, axis=0) for part in zip(*sums, strict=True))
            whole = _coefficients(left, right)
        shown = [(one, other) for one, other in sums if one[-2, -2] > 0 and one[-1, -1] > 0]
        if not shown:
            return np.full(2, math.nan), np.zeros((0, 2))
        return whole[-2:], np.array([_coefficients(left - one, right - other)[-2:] for one, other in shown])


def _plain(weights: DoubleArray) -> DoubleArray:
    """Return weights of bands and gradients that leave the gradients out."""
    return np.concatenate([weights, [0.0, 0.0]])


def _trusted(residuals: Sequence[DoubleArray]) -> list[DoubleArray]:
    """Return how much each pixel counts, 0..1, by what its fit leaves (Cauchy weights)."""
    usual = float(np.quantile(np.abs(np.concatenate(residuals)), _USUAL)) if any(map(len, residuals)) else 0.0
    return [1 / (1 + (one / usual) ** 2) if usual > 0 else np.ones_like(one) for one in residuals]


def _with_gradients(values: FloatArray, weights: DoubleArray) -> DoubleArray:
    """Return the bands, the gradients across and down of their weighted sum, and the panchromatic band."""
    down, across = np.gradient(np.tensordot(weights, values[:-1].astype(np.float64), 1))
    return np.concatenate([values[:-1], [across, down], values[-1:]])


def _eroded(valid: BoolArray) -> BoolArray:
    """Return the pixels whose neighbours along rows and columns are valid too."""
    return np.asarray(ndimage.binary_erosion(valid))


def _tapered(image: DoubleArray, valid: BoolArray) -> DoubleArray:
    """Return an image less its mean that fades out to the border, 0 where invalid."""
    taper = np.outer(np.hanning(len(image)), np.hanning(image.shape[1])) * valid
    return (image - (image[valid].mean() if valid.any() else 0.0)) * taper


def _flat(values: FloatArray | DoubleArray, valid: BoolArray) -> _Window:
    """Return the valid pixels of a window (variable, row, col) less their means; the last variable by itself."""
    kept = values[:, valid].astype(np.float64)
    if kept.shape[1]:
        kept -= kept.mean(axis=1, keepdims=True)
    return kept[:-1], kept[-1]


def _fitted(windows: Sequence[_Window]) -> DoubleArray:
    """Return the weights with which the bands of all windows fit the panchromatic one."""
    return _coefficients(
        np.sum([values @ values.T for values, _ in windows], axis=0),
        np.sum([values @ pan for values, pan in windows], axis=0),
    )


def _coefficients(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Solve normal equations, whose variables are brought to one scale first."""
    scale = np.sqrt(np.maximum(np.diag(left), 1e-300))
    solved = np.linalg.lstsq(left / np.multiply.outer(scale, scale), right / scale, rcond=1e-10)[0]
    return np.asarray(solved / scale, np.float64)


def _jackknife_error(values: DoubleArray) -> float:
    """Return the standard error of an estimate from its values (n, 2) with one window left out each (Tukey, 1958)."""
    count = len(values)
    if count < 2:
        return math.inf
    return math.sqrt((count - 1) / count * float(((values - values.mean(axis=0)) ** 2).sum()))


def _doubt(place: DoubleArray, step: DoubleArray, error: float) -> str:
    """Return the reason against a shift, or an empty text."""
    if not np.isfinite(step).all() or math.isinf(error):
        return _TOO_LITTLE
    if np.abs(place).max() > REACH_PX or np.abs(step).max() >= _SETTLED_PX:
        return f"No shift up to {REACH_PX} multispectral pixels brings them together."
    if error > _LARGEST_ERROR_PX:
        return "Parts of the scene disagree on the shift."
    return ""
