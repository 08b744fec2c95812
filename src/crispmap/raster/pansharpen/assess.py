"""Pansharpened scenes scored: as they are, without a reference, and at degraded resolution, where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crispmap.geo.grid import Block
from crispmap.raster.pansharpen.grids import overlap, ratio_of
from crispmap.raster.pansharpen.methods import PansharpenMethod
from crispmap.raster.pansharpen.mtf import degraded
from crispmap.raster.pansharpen.quality import Agreement, AgreementSums, NoReference, NoReferenceSums
from crispmap.raster.pansharpen.registration import MovedScene, Shift
from crispmap.raster.pansharpen.scene import PansharpenedScene, open_pansharpened
from crispmap.raster.pansharpen.statistics import read_together, sample_blocks
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import SceneReader

_WINDOW_PX = 512
_WINDOWS_ACROSS = 4


def assess_degraded(
    multispectral: SceneReader,
    pan: SceneReader,
    method: PansharpenMethod,
    *,
    weights: Sequence[float] | None = None,
    shift: Shift | None = None,
) -> Agreement:
    """Return how well a method gives a multispectral scene back from a degraded one (Wald, 1997).

    The multispectral scene, as a sensor with pixels larger by the ratio would show it, is pansharpened with the
    panchromatic band averaged to the multispectral pixels, and compared with itself, in up to 4 x 4 windows of 512
    pixels. Arguments and errors are those of ``open_pansharpened``.
    """
    ratio = ratio_of(multispectral.grid, pan.grid)
    if shift is not None:
        multispectral = MovedScene(multispectral, shift.applied(multispectral.grid))
    scene = open_pansharpened(
        degraded(multispectral, ratio), SceneOnGrid(pan, multispectral.grid, "average"), method, weights=weights
    )
    sums = AgreementSums(math.sqrt(ratio[0] * ratio[1]))
    for block in sample_blocks(scene.grid.block, _WINDOW_PX, _WINDOWS_ACROSS):
        fused, valid = scene.read(block)
        reference, known = multispectral.read(_moved(block, scene.inside))
        sums.add(reference, fused, valid & known)
    return sums.result()


def assess(scene: PansharpenedScene) -> NoReference:
    """Return how well a pansharpened scene keeps what both its sources show, in up to 4 x 4 windows of 512 pixels."""
    sums = NoReferenceSums()
    averaged = SceneOnGrid(scene.pan, scene.multispectral.grid, "average")
    area = overlap(scene.pan.grid, scene.multispectral.grid)
    for block in sample_blocks(area, _WINDOW_PX // 2, _WINDOWS_ACROSS):
        values, valid = read_together(scene.multispectral, averaged, block)
        sums.add_coarse(values[:-1], values[-1], valid)
    for block in sample_blocks(scene.grid.block, _WINDOW_PX, _WINDOWS_ACROSS):
        fused, valid = scene.read(block)
        (pan,), _ = scene.pan.read(_moved(block, scene.inside))
        sums.add_fine(fused, pan, valid)
    return sums.result()


def _moved(block: Block, corner: Block) -> Block:
    """Return a block of a window in the pixels that the window is of."""
    return Block(block.row + corner.row, block.col + corner.col, *block.shape)
