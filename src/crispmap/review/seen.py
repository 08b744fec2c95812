"""How far scores see objects: the mean probability of their class inside an outline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from crispmap.geo.area_pieces import block_around
from crispmap.geo.draw import enclosed
from crispmap.labels.align.objects import LARGEST_PX
from crispmap.review.scores import ReviewScores
from crispmap.types import DoubleArray

_LEAST_KNOWN = 0.5  # share of an object's pixels of which scores must be known


def seen_inside(shapes: Sequence[BaseGeometry], scores: ReviewScores) -> DoubleArray:
    """Return the mean probability (n,) of the class inside each polygon.

    NaN for other geometries, for polygons longer than LARGEST_PX, and where less than half is known. An object smaller
    than a pixel is that of the pixel around its centroid. Memory is that of one object.

    Args:
        shapes: In pixels of the scores.
    """
    return np.array([_mean(shape, scores) for shape in shapes], np.float64)


def _mean(shape: BaseGeometry, scores: ReviewScores) -> float:
    if shapely.get_dimensions(shape) != 2 or shape.area == 0:
        return math.nan
    left, top, right, bottom = shape.bounds
    if max(right - left, bottom - top) > LARGEST_PX:
        return math.nan
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(shape))]
    block = block_around(rings, scores.scene.grid)
    if block.is_empty or not (inside := enclosed(rings, block)).any():
        x, y = shape.centroid.coords[0]
        pixel = shapely.get_coordinates(shapely.box(*np.floor([x, y]), *(np.floor([x, y]) + 1)))
        block = block_around([pixel], scores.scene.grid)
        if block.is_empty:
            return math.nan
        inside = np.ones(block.shape, np.bool_)
    probability, valid = scores.probability(block)
    known = inside & valid
    return float(probability[known].mean()) if known.sum() >= max(1, _LEAST_KNOWN * inside.sum()) else math.nan
