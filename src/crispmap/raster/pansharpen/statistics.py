"""Means and covariances of bands and panchromatic values, which decide how detail is put into bands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crispmap.events import SILENT, Events, progress
from crispmap.geo.grid import Block
from crispmap.raster.scene import SceneReader
from crispmap.types import BoolArray, DoubleArray, FloatArray

TILE_PX = 256
TILES_ACROSS = 8
_ENOUGH = 0.1  # share of the sampled pixels that must be valid; else all of the scene is read


@dataclass(frozen=True, eq=False)
class Moments:
    """Pixels counted, means, and covariances (by the count), of the multispectral bands and then the panchromatic."""

    count: int
    mean: DoubleArray  # (variable,)
    covariance: DoubleArray  # (variable, variable)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        if not count:
            return self
        share = other.count / count
        apart = other.mean - self.mean
        covariance = (1 - share) * self.covariance + share * other.covariance
        return Moments(
            count, self.mean + share * apart, covariance + share * (1 - share) * np.multiply.outer(apart, apart)
        )


def moments_of(values: FloatArray, valid: BoolArray) -> Moments:
    """Return the moments of the valid pixels of one window (variable, row, col)."""
    kept = values[:, valid].astype(np.float64)
    variables, count = kept.shape
    covariance = np.zeros((variables, variables))
    if not count:
        return Moments(0, np.zeros(variables), covariance)
    mean = kept.mean(axis=1)
    kept -= mean[:, None]
    for i in range(variables):  # not by BLAS, whose last bits depend on its threads
        for j in range(i + 1):
            covariance[i, j] = covariance[j, i] = (kept[i] * kept[j]).sum() / count
    return Moments(count, mean, covariance)


def scene_moments(multispectral: SceneReader, pan: SceneReader, area: Block, events: Events = SILENT) -> Moments:
    """Return the moments of a part of a scene, of up to 8 x 8 tiles spread evenly; of all where few are valid.

    They do not depend on the blocks in which the scene is read otherwise.

    Args:
        multispectral: The bands.
        pan: The panchromatic band on the same pixels.
        area: Where both lie.
        events: What progress is reported to.
    """
    for tiles in (sample_blocks(area, TILE_PX, TILES_ACROSS), list(area.pieces(TILE_PX))):
        total = moments_of(np.zeros((multispectral.band_count + 1, 0, 0), np.float32), np.zeros((0, 0), np.bool_))
        read_px = sum(tile.height * tile.width for tile in tiles)
        with progress(events, "statistics", read_px) as running:
            for tile in tiles:
                total = total.merged(moments_of(*read_together(multispectral, pan, tile)))
                running.advance(tile.height * tile.width)
        if total.count >= _ENOUGH * read_px:
            break
    return total


def read_together(multispectral: SceneReader, pan: SceneReader, block: Block) -> tuple[FloatArray, BoolArray]:
    """Return the bands and then the panchromatic one of a block, and the pixels that are valid in both."""
    bands, valid = multispectral.read(block)
    sharp, valid_pan = pan.read(block)
    return np.concatenate([bands, sharp]), valid & valid_pan


def sample_blocks(area: Block, side_px: int, across: int) -> list[Block]:
    """Return at most ``across`` x ``across`` of an area's blocks of a side, spread evenly over it, row by row."""
    rows, cols = (list(_spread(-(-size // side_px), across)) for size in area.shape)
    return [
        Block(area.row + row * side_px, area.col + col * side_px, side_px, side_px).intersection(area)
        for row in rows
        for col in cols
    ]


def _spread(count: int, most: int) -> Iterator[int]:
    """Yield up to ``most`` of the numbers 0..count-1, evenly."""
    taken = min(count, most)
    for place in range(taken):
        yield (2 * place + 1) * count // (2 * taken)
