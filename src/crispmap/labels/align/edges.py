"""Directions of the edges of an image, compared with outlines: the evidence for where an object belongs.

A gradient g = gx + i gy enters as g^2 / |g|, whose angle is twice that of g, so that roofs brighter and darker than
their surroundings agree (the structure tensor: Bigun and Granlund, 1987); divided by the usual strength around it, so
that a few strong edges do not decide.
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from crispmap.geo.grid import Block
from crispmap.labels.offset import doubled, gradients
from crispmap.raster.scene import Scene
from crispmap.types import DoubleArray, FloatArray

_USUAL_PX = 20.0
_TRUNCATE = 3.0
CONTEXT_PX = math.ceil(_TRUNCATE * _USUAL_PX) + 8
"""How far around a pixel its direction depends on the image."""

Directions = NDArray[np.complex64]


def edge_directions(scene: Scene, block: Block) -> Directions:
    """Return directions of edges (row, col) of a block, of strength 0 to below 1; 0 outside the scene.

    A pixel's value is the same in every block. It is 0 where the image around it is not valid.
    """
    around = block.padded(CONTEXT_PX)
    seen = around.intersection(scene.grid.block)
    directions = np.zeros(around.shape, np.complex64)
    if not seen.is_empty:
        image, valid = scene.read(seen)
        edges = doubled(gradients(image, valid))[0]
        usual = ndimage.gaussian_filter(np.abs(edges), _USUAL_PX, truncate=_TRUNCATE, mode="reflect")
        strength = np.abs(edges) + usual
        directions[seen.relative_to(around).slices] = np.divide(
            edges, strength, out=np.zeros_like(edges), where=strength > 0
        )
    return directions[block.relative_to(around).slices]


def outline_samples(shape: BaseGeometry) -> DoubleArray:
    """Return points about a pixel apart on outlines: columns x, y, the outward or inward normal's x, y, and length.

    Args:
        shape: A polygon or several, in pixels.
    """
    rings = shapely.get_rings(shapely.get_parts(shape))
    found = [_ring_samples(shapely.get_coordinates(ring)) for ring in rings]
    return np.concatenate(found) if found else np.empty((0, 5))


def _ring_samples(corners: DoubleArray) -> DoubleArray:
    steps = np.diff(corners, axis=0)
    lengths = np.hypot(*steps.T)
    corners, steps, lengths = corners[:-1][lengths > 0], steps[lengths > 0], lengths[lengths > 0]
    counts = np.maximum(1, np.round(lengths).astype(int))
    side = np.repeat(np.arange(len(counts)), counts)
    share = (np.arange(len(side)) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[side]
    points = corners[side] + share[:, None] * steps[side]
    along = steps[side] / lengths[side, None]
    return np.column_stack([points, along[:, 1], -along[:, 0], lengths[side] / counts[side]])


def support(samples: DoubleArray, directions: Directions, origin: tuple[int, int], reach: int) -> FloatArray:
    """Return how well an outline runs along edges at every shift, -1 to 1: (row shift, column shift).

    Args:
        samples: As from ``outline_samples``.
        directions: As from ``edge_directions``, with ``reach`` pixels around the outline; what lies farther out counts
            as no edge.
        origin: Row and column of their first pixel.
        reach: The largest shift in pixels; no shift is in the middle of the result.
    """
    normal = samples[:, 2] + 1j * samples[:, 3]
    weight = (np.conj(normal**2) * samples[:, 4]).astype(np.complex64)
    cols = np.floor(samples[:, 0]).astype(int) - origin[1] - reach
    rows = np.floor(samples[:, 1]).astype(int) - origin[0] - reach
    side = 2 * reach + 1
    total = np.zeros((side, side), np.float32)
    for row, col, factor in zip(rows.tolist(), cols.tolist(), weight.tolist(), strict=True):
        seen = directions[row : row + side, col : col + side]
        total += seen.real * factor.real - seen.imag * factor.imag
    return np.asarray(total / max(float(samples[:, 4].sum()), 1e-9))
