"""How well polygons agree with those of a reference, object by object.

A predicted polygon is right where its intersection over union (IoU) with a reference polygon of its class reaches a
threshold; each polygon is paired once at most, the best pairs first. Of polygons that do not overlap, no other pairing
has more pairs from an IoU of 0.5 on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from crispmap.polygons.chains import Indices
from crispmap.polygons.polygons import Geometries
from crispmap.types import BoolArray, DoubleArray

LEAST_IOU = 0.5


@dataclass(frozen=True)
class ObjectFigures:
    """The objects of one class in a map and in the reference, and how the pairs agree."""

    predicted: int  # polygons of the map
    reference: int  # polygons of the reference
    right: int  # polygons of the map that are paired
    found: int  # polygons of the reference that are paired
    polis_m: float  # mean PoLiS distance of the pairs, in metres; NaN without a pair
    corner_offset_m: float  # mean distance from a corner of the reference to the nearest one of its pair; NaN likewise
    predicted_corners: float  # median of the corners of a polygon of the map; NaN without one
    reference_corners: float  # the same of the reference

    @property
    def precision(self) -> float:
        """Share of the map's polygons that are paired, 0..1; NaN without any."""
        return self.right / self.predicted if self.predicted else math.nan

    @property
    def recall(self) -> float:
        """Share of the reference's polygons that are paired, 0..1; NaN without any."""
        return self.found / self.reference if self.reference else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1; NaN without polygons on either side."""
        whole = self.predicted + self.reference
        return (self.right + self.found) / whole if whole else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values, None where undefined."""
        names = ("precision", "recall", "f1", *self.__dataclass_fields__)
        plain = {name: getattr(self, name) for name in names}
        return {name: None if isinstance(one, float) and math.isnan(one) else one for name, one in plain.items()}


def compare_objects(
    predicted: Geometries,
    reference: Geometries,
    *,
    least_iou: float = LEAST_IOU,
    scored: tuple[BoolArray, BoolArray] | None = None,
) -> ObjectFigures:
    """Return the figures of polygons of one class, in metres, against a reference.

    Args:
        predicted: Polygons, or polygons of several parts, valid.
        reference: The same.
        least_iou: The IoU from which on two are a pair, above 0.
        scored: Which polygons of either side count; the others may be partners but are not counted. All by default.
    """
    ours, theirs = scored or (np.ones(len(predicted), np.bool_), np.ones(len(reference), np.bool_))
    one, other, _ = pairs_of(predicted, reference, least_iou)
    close = theirs[other]
    a, b = predicted[one[close]], reference[other[close]]
    return ObjectFigures(
        predicted=int(ours.sum()),
        reference=int(theirs.sum()),
        right=int(ours[one].sum()),
        found=int(close.sum()),
        polis_m=float(np.mean(polis(a, b))) if len(a) else math.nan,
        corner_offset_m=float(_corner_offsets(a, b).mean()) if len(a) else math.nan,
        predicted_corners=_median_corners(predicted[ours]),
        reference_corners=_median_corners(reference[theirs]),
    )


def pairs_of(predicted: Geometries, reference: Geometries, least_iou: float) -> tuple[Indices, Indices, DoubleArray]:
    """Return the pairs, as indices into both, and the IoU of each; by falling IoU, then by index."""
    one, other = shapely.STRtree(reference).query(predicted, predicate="intersects")
    shared = shapely.area(shapely.intersection(predicted[one], reference[other]))
    whole = shapely.area(predicted[one]) + shapely.area(reference[other]) - shared
    iou = np.divide(shared, whole, out=np.zeros(len(whole)), where=whole > 0)
    enough = np.flatnonzero(iou >= least_iou)
    enough = enough[np.lexsort((other[enough], one[enough], -iou[enough]))]
    kept, used = [], (set[int](), set[int]())
    for index, a, b in zip(enough.tolist(), one[enough].tolist(), other[enough].tolist(), strict=True):
        if a not in used[0] and b not in used[1]:
            kept.append(index)
            used[0].add(a)
            used[1].add(b)
    return one[kept], other[kept], iou[kept]


def polis(one: Geometries, other: Geometries) -> DoubleArray:
    """Return the PoLiS distance of each pair of polygons (Avbelj, Müller and Bamler 2015, equation 4).

    It is the mean distance from the corners of each to the outline of the other, averaged over both directions. Holes
    have corners and are outlines too.
    """
    return (_corners_to_outline(one, other) + _corners_to_outline(other, one)) / 2


def corners_of(polygons: Geometries) -> tuple[DoubleArray, Indices]:
    """Return the corners (n, 2) of polygons, each once, and the polygon (n,) each is of."""
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(np.diff(ring) != 0, True)[: len(ring)]  # the first corner again
    return points[~last], polygon[ring[~last]]


def _corners_to_outline(one: Geometries, other: Geometries) -> DoubleArray:
    """Return the mean distance from the corners of each polygon to the outline of its pair."""
    points, polygon = corners_of(one)
    distance = shapely.distance(shapely.points(points), shapely.boundary(other)[polygon])
    return np.asarray(np.bincount(polygon, weights=distance, minlength=len(one)) / np.bincount(polygon))


def _corner_offsets(predicted: Geometries, reference: Geometries) -> DoubleArray:
    """Return the distances (n,) from the corners of the reference to the nearest ones of their pairs."""
    (ours, own), (theirs, of) = corners_of(predicted), corners_of(reference)
    corners = np.asarray(shapely.multipoints(ours, indices=own), np.object_)
    return np.asarray(shapely.distance(shapely.points(theirs), corners[of]), np.float64)


def _median_corners(polygons: Geometries) -> float:
    if not len(polygons):
        return math.nan
    return float(np.median(np.bincount(corners_of(polygons)[1], minlength=len(polygons))))
