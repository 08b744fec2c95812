"""Polygons of regions, from their rings."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from crispmap.types import DoubleArray
from crispmap.vectorize.chains import Indices, spread
from crispmap.vectorize.rings import Rings

Geometries: TypeAlias = NDArray[np.object_]  # an array of shapely geometries


def polygons_of(rings: Rings, transform: Affine) -> Geometries:
    """Return the polygon of each region, in CRS units.

    Outer rings run counterclockwise and holes clockwise, as in simple features and GeoJSON.

    Args:
        rings: Of regions 0, 1, 2, ... in this order, the outer ring of each first; see ``canonical``.
    """
    if transform.determinant > 0:  # rows upwards: the orientation is mirrored
        rings = rings.reversed()
    return assembled(_placed(rings.points, transform), rings.lengths, rings.owner)


def assembled(points: DoubleArray, lengths: Indices, owner: Indices) -> Geometries:
    """Return polygons from the points (n, 2) of their rings, run by run, the outer ring of each first.

    Args:
        lengths: (rings,) points of each ring, 3 or more.
        owner: (rings,) the polygon it belongs to, 0, 1, 2, ... in this order.
    """
    if not len(lengths):
        return np.zeros(0, np.object_)
    return np.asarray(shapely.polygons(lines_of(points, lengths), indices=owner))


def lines_of(points: DoubleArray, lengths: Indices) -> Geometries:
    """Return rings as lines, from their points (n, 2), run by run."""
    return np.asarray(shapely.linearrings(points, indices=spread(lengths)[0]), np.object_)


def _placed(points: NDArray[np.int32], transform: Affine) -> DoubleArray:
    """Return pixel positions (n, 2) as points."""
    col, row = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    a, b, c, d, e, f = transform[:6]
    return np.column_stack([a * col + b * row + c, d * col + e * row + f])
