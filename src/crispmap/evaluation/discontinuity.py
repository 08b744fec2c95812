"""Jumps of scores at the borders of patches, compared with their changes elsewhere.

A patch network (``crispmap.models.patch_network``) shows such borders; IGARSS 2016, section 3 and figure 4, shows them
as pictures. Here they are measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from crispmap.errors import InputError
from crispmap.geo.grid import Block
from crispmap.raster.scene import SceneReader
from crispmap.types import BoolArray, CountArray, DoubleArray

_BLOCK_PX = 1024


@dataclass(frozen=True, eq=False)
class Discontinuity:
    """Jumps between neighbouring pixels, by their position in the patches; those of several rasters may be added."""

    # (period,) sums of |jump|, float64. Item 0 is of the steps across a border, item i of those between pixels i - 1
    # and i of a patch, along both rows and columns
    sums: DoubleArray
    pairs: CountArray  # (period,) the number of jumps summed, int64

    def __add__(self, other: Discontinuity) -> Discontinuity:
        return Discontinuity(self.sums + other.sums, self.pairs + other.pairs)

    @property
    def border_jump(self) -> float:
        """Mean |jump| across borders; NaN without borders."""
        return _mean(self.sums[0], self.pairs[0])

    @property
    def inner_jump(self) -> float:
        """Mean |jump| between neighbours within a patch; NaN without any."""
        return _mean(self.sums[1:].sum(), self.pairs[1:].sum())

    @property
    def ratio(self) -> float:
        """``border_jump`` over ``inner_jump``, see ``ratio_at``."""
        return self.ratio_at(1)

    def ratio_at(self, stride_px: int) -> float:
        """Mean |jump| across borders over that at the inner positions that are multiples of the network's stride.

        1 without discontinuities; infinite if scores change at borders only; NaN if they change nowhere, or if the
        stride is the period and leaves no inner position. A network that computes every fourth score and interpolates
        (a deconvolution of stride 4) jumps by different amounts at each of the four positions even without patches. As
        borders at multiples of 16 always fall on the same one of the four, that position is compared with itself.

        Args:
            stride_px: The network's stride, which divides the period; 1 gives ``ratio``.

        Raises:
            InputError: If it does not divide the period.
        """
        period_px = len(self.sums)
        if stride_px < 1 or period_px % stride_px:
            raise InputError(
                f"The stride is {stride_px} pixels, and borders are {period_px} pixels apart.",
                expected=f"a stride that divides {period_px}",
                remedy="Give the stride of the network, and measure with a period that is a multiple of it.",
            )
        inside = slice(stride_px, None, stride_px)
        border, inner = self.border_jump, _mean(self.sums[inside].sum(), self.pairs[inside].sum())
        if inner == 0:
            return math.inf if border > 0 else math.nan
        return border / inner


def measure_discontinuity(
    scores: SceneReader,
    *,
    period_px: int = 16,
    phase_px: tuple[int, int] = (0, 0),
    probabilities: bool = True,
    block: Block | None = None,
) -> Discontinuity:
    """Return the jumps of a raster of scores, over all classes, read block by block.

    Only steps between two valid pixels count. Measure on the grid of the network: interpolation to a finer one spreads
    a jump over several pixels.

    Args:
        scores: Logits, one band per class.
        period_px: Side of the patches; 2 or more. 16 for Mnih's network.
        phase_px: First row and first column of any patch.
        probabilities: Take the jumps of the softmax, as published maps show it, rather than of the logits.
        block: Where to measure, inside the raster; all of it by default.

    Raises:
        InputError: If the period is below 2 or the block reaches outside the raster.
        SceneError: If the raster cannot be read.
    """
    whole = block or scores.grid.block
    if period_px < 2 or whole.intersection(scores.grid.block) != whole:
        raise InputError(
            f"Discontinuities of period {period_px} in rows {whole.row}..{whole.row_stop} and columns "
            f"{whole.col}..{whole.col_stop}.",
            expected=f"a period of 2 pixels or more, and a block within {scores.grid.height} x {scores.grid.width} px",
        )
    total = Discontinuity(np.zeros(period_px), np.zeros(period_px, np.int64))
    for part in whole.pieces(_BLOCK_PX):
        total += _jumps(scores, part, whole, phase_px, (period_px, probabilities))
    return total


def _jumps(
    scores: SceneReader, part: Block, whole: Block, phase_px: tuple[int, int], how: tuple[int, bool]
) -> Discontinuity:
    """Return the jumps from every pixel of a part to the ones below and right of it, within the whole."""
    period_px, probabilities = how
    reading = Block(part.row, part.col, part.height + 1, part.width + 1).intersection(whole)
    values, valid = scores.read(reading)
    maps = values.astype(np.float64)
    if probabilities:
        maps = softmax(maps, axis=0)
    total = Discontinuity(np.zeros(period_px), np.zeros(period_px, np.int64))
    for axis, across in ((0, part.width), (1, part.height)):
        # A step belongs to the part of its first pixel; pixels read beyond the part across it belong to another part.
        jumps, pairs = _steps(np.moveaxis(maps, axis + 1, 0)[..., :across], np.moveaxis(valid, axis, 0)[..., :across])
        place = ((part.row, part.col)[axis] - phase_px[axis] + 1 + np.arange(len(jumps))) % period_px
        total += Discontinuity(
            np.bincount(place, jumps, minlength=period_px).astype(np.float64),
            np.bincount(place, pairs, minlength=period_px).astype(np.int64),
        )
    return total


def _steps(maps: DoubleArray, valid: BoolArray) -> tuple[DoubleArray, CountArray]:
    """Return the sum of |jump| and the number of jumps from every line of (line, class, place) to the next."""
    both = valid[1:] & valid[:-1]
    sums: DoubleArray = (np.abs(np.diff(maps, axis=0)) * both[:, None]).sum(axis=(1, 2))
    return sums, both.sum(axis=1) * maps.shape[1]


def _mean(total: float, count: int) -> float:
    return float(total / count) if count else math.nan
