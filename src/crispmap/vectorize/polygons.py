"""Polygons of regions, from the rings around them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from crispmap.types import DoubleArray
from crispmap.vectorize.chains import Indices, spread
from crispmap.vectorize.rings import Rings

Geometries: TypeAlias = NDArray[np.object_]
"""An array of shapely geometries."""


def polygons_of(rings: Rings, transform: Affine) -> Geometries:
    """Return the polygon of each region, in CRS units.

    Outer rings run counterclockwise and holes clockwise, as simple features and GeoJSON have it.

    Args:
        rings: Of regions 0, 1, 2, ... in this order, the outer ring of each first; see ``canonical``.
        transform: From pixel positions (col, row) to points.
    """
    if transform.determinant > 0:  # rows upwards: what runs to the left on the screen runs to the right there
        rings = rings.reversed()
    return assembled(_placed(rings.points, transform), rings.lengths, rings.owner)


def assembled(points: DoubleArray, lengths: Indices, owner: Indices) -> Geometries:
    """Return polygons from the points of their rings, run by run, the outer ring of each first.

    Args:
        points: (n, 2).
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
    return np.column_stack(
        [
            transform.a * col + transform.b * row + transform.c,
            transform.d * col + transform.e * row + transform.f,
        ]
    )
