"""Footprints of buildings: each region with right angles where these fit it, touching ones with one wall between them.

All is done in metres of the map's grid: pixel corners times the ground sampling distance, so that right angles are
right on the ground in degrees too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.polygons.corners import NOTHING
from crispmap.polygons.polygons import Geometries, assembled
from crispmap.polygons.regions import RegionTracer
from crispmap.polygons.right_angles import main_direction, squared
from crispmap.polygons.rings import Rings
from crispmap.polygons.simplify import LEAST_CLEARANCE_PX, simplified
from crispmap.types import DoubleArray

_TURNS_PX = 1.5  # how far an outline strays between two places where it turns
_LEAST_STEP = 0.07  # share of a building's area, and pixels: steps, bays and bumps smaller than either are straightened
_LEAST_STEP_PX = 16.0
_CORNER_COST = 0.005  # the IoU that another corner must gain

_LEAST_IOU = 0.8  # of the outline with right angles and the region's own
_LEAST_HOLE_IOU = 0.6
_LARGEST_CHANGE = 0.15  # of the area
_STRAYS_PX = 6.0  # how far the two may be apart anywhere; a quarter of a large building's side
_STRAYS_SIDE = 0.25
_SAME = 1e-9  # relative difference of areas that is rounding
_WALL_TURN = math.radians(30)  # a wall between buildings this near to their directions follows them
_WALL_REACH_PX = 16.0
_WALLED_PX = 2.0  # how far the outline of touching buildings may stray where it has no right angles


@dataclass(frozen=True)
class Shape:
    """A region's outlines in metres of the grid, the wanted one first."""

    outlines: tuple[Polygon, ...]  # with right angles, where these fit; simplified; along the sides of pixels
    fit: float  # the IoU of the first with the region where it has right angles, else 0


def shape_of(exact: Polygon, plain: Polygon, gsd: float) -> Shape:
    """Return the outlines of a region by itself, from that along its pixels and the simplified one."""
    regular, fit = regular_outline(exact, gsd)
    return Shape((plain, exact), 0.0) if regular is None else Shape((regular, plain, exact), fit)


def plain_outlines(rings: Rings, tolerance_m: float, gsd_m: tuple[float, float]) -> Geometries:
    """Return polygons of regions, simplified where the tolerance is above 0, in metres of the grid."""
    if tolerance_m > 0:
        rings = simplified(rings, tolerance_m, gsd_m)
    return assembled(rings.points * np.asarray(gsd_m), rings.lengths, rings.owner)


def regular_outline(region: Polygon, gsd: float) -> tuple[Polygon | None, float]:
    """Return a region's outline with right angles, and its IoU with the region; None where they do not fit.

    They do not where the outline crosses itself, strays too far from the region's own, or changes the area too much.

    Args:
        region: Its outline along the sides of pixels.
        gsd: Side of a pixel.
    """
    body = Polygon(region.exterior)
    turns, box = _turns(body, gsd), Polygon(shapely.get_exterior_ring(body.minimum_rotated_rectangle))
    least = max(_LEAST_STEP * body.area, _LEAST_STEP_PX * gsd * gsd)
    found: list[tuple[float, float, Polygon]] = []
    for angle in {main_direction([_points(turns)]), main_direction([_points(box)])}:
        shape = _squared_ring(region.exterior, turns.exterior, angle, least)
        if shape is not None:
            holes = [_hole(hole, angle, gsd) for hole in region.interiors]
            fit = _iou(shape, body)
            found.append((fit - _CORNER_COST * len(shape.exterior.coords), fit, Polygon(shape.exterior, holes)))
    fitting = [one for one in found if one[1] >= _LEAST_IOU and _is_near(one[2], region, gsd)]
    if not fitting:
        return None, 0.0
    _, fit, best = max(fitting, key=lambda one: one[0])
    return best, fit


def divided(rings: Rings, labels: np.ndarray, origin: tuple[int, int], tolerance_m: float, gsd_m: tuple[float, float]
) -> tuple[list[int], list[Shape]]:  # fmt: skip
    """Return the parts of one region, and the outline of each: with straight walls between them, or as they are.

    Args:
        rings: The region's outline.
        labels: (row, col) the part 1, 2, ... of each pixel of a window around it, 0 outside the region.
        origin: Row and column of the window in the map.
        tolerance_m: How far plain outlines may stray.
        gsd_m: Ground sampling distance along columns (x) and rows (y).

    Returns:
        The numbers of the parts, and their shapes in the same order.
    """
    tracer = RegionTracer(labels.shape[1], nodes=True)
    batches = [tracer.push(np.where(labels > 0, labels, NOTHING).astype(np.int32)), tracer.finish()]
    numbers = np.concatenate([one.values for one in batches]).tolist()
    shift = np.array([origin[1], origin[0]], np.int32)
    moved = [Rings(one.rings.points + shift, one.rings.node, one.rings.lengths, one.rings.owner) for one in batches]
    exact = np.concatenate([plain_outlines(one, 0.0, gsd_m) for one in moved])
    plain = np.concatenate([plain_outlines(one, tolerance_m, gsd_m) for one in moved])
    gsd = math.sqrt(gsd_m[0] * gsd_m[1])
    body = plain_outlines(rings, 0.0, gsd_m)[0]
    ways = (
        regular_outline(body, gsd)[0],
        body.simplify(_WALLED_PX * gsd),
    )  # with right angles, or few corners at least
    walled = next((found for whole in ways if whole is not None and (found := _walled(whole, exact, gsd))), None)
    if walled is None:
        if shapely.union_all(plain).area < float(shapely.area(plain).sum()) * (
            1 - _SAME
        ):  # regions of few pixels may disagree
            return numbers, [Shape((one,), 0.0) for one in exact]
        return numbers, [Shape(both, 0.0) for both in zip(plain, exact, strict=True)]
    fits = [_iou(one, own) for one, own in zip(walled, exact, strict=True)]
    return numbers, [Shape(three, min(fits)) for three in zip(walled, plain, exact, strict=True)]


def _walled(whole: Polygon, parts: Geometries, gsd: float) -> list[Polygon] | None:
    """Return an outline with right angles divided among the parts of its region; None where a part does not fit."""
    walls = [_wall(one.intersection(other), whole, gsd)
             for index, one in enumerate(parts) for other in parts[:index] if one.touches(other)]  # fmt: skip
    lines = shapely.union_all([whole.boundary, *(wall for wall in walls if wall is not None)])
    faces = [face for face in shapely.get_parts(shapely.polygonize([lines])) if whole.contains(face.point_on_surface())]
    shares = [[face.intersection(part).area for part in parts] for face in faces]
    owner = [int(np.argmax(share)) for share in shares]
    found: list[Any] = [shapely.union_all([face for face, one in zip(faces, owner, strict=True) if one == number])
             for number in range(len(parts))]  # fmt: skip
    for shape, part in zip(found, parts, strict=True):
        if not (_is_sound(shape, gsd) and _iou(shape, part) >= _LEAST_IOU):
            return None
    return found


def _wall(border: BaseGeometry, whole: Polygon, gsd: float) -> LineString | None:
    """Return a straight wall in place of the border between two parts, long enough to reach the outline."""
    points = shapely.get_coordinates(shapely.line_merge(border) if border.geom_type == "MultiLineString" else border)
    if len(points) < 2:
        return None
    angle = main_direction([_points(whole)])
    middle = points.mean(axis=0)
    spread = points - middle
    course = math.atan2(*np.linalg.svd(spread, full_matrices=False)[2][0][::-1])
    away = (course - angle + math.pi / 4) % (math.pi / 2) - math.pi / 4
    if abs(away) <= _WALL_TURN:
        course -= away
    way = np.array([math.cos(course), math.sin(course)])
    along = spread @ way
    ends = [along.min() - _WALL_REACH_PX * gsd, along.max() + _WALL_REACH_PX * gsd]
    return LineString([middle + end * way for end in ends])


def _squared_ring(ring: LineString, turns: LineString, angle: float, least_step_m2: float) -> Polygon | None:
    """Return a ring with right angles along a direction; None where it crosses itself or vanishes."""
    outline, corners = shapely.get_coordinates(ring)[:-1], shapely.get_coordinates(turns)[:-1]
    place = {point: index for index, point in enumerate(map(tuple, outline.tolist()))}
    index = np.sort([place[point] for point in map(tuple, corners.tolist())])
    shape = Polygon(squared(outline, index, angle, least_step_m2))
    return shape if shape.is_valid and shape.area > 0 else None


def _hole(ring: LineString, angle: float, gsd: float) -> LineString:
    """Return a hole with right angles; simplified where these do not fit."""
    own = Polygon(ring)
    turns = _turns(own, gsd)
    least = max(_LEAST_STEP * own.area, _LEAST_STEP_PX * gsd * gsd)
    shape = _squared_ring(ring, turns.exterior, angle, least)
    return turns.exterior if shape is None or _iou(shape, own) < _LEAST_HOLE_IOU else shape.exterior


def _turns(shape: Polygon, gsd: float) -> Polygon:
    """Return a polygon simplified so far that it only turns where its outline does."""
    return Polygon(shapely.get_exterior_ring(shape.simplify(_TURNS_PX * gsd)))


def _is_near(shape: Polygon, region: Polygon, gsd: float) -> bool:
    """Return whether an outline is sound, of nearly the region's area and nowhere far from its outline."""
    if not _is_sound(shape, gsd) or abs(shape.area - region.area) > _LARGEST_CHANGE * region.area:
        return False
    strays = max(_STRAYS_PX * gsd, _STRAYS_SIDE * math.sqrt(region.area))
    return float(shapely.hausdorff_distance(shape.exterior, region.exterior)) <= strays


def _is_sound(shape: BaseGeometry, gsd: float) -> bool:
    """Return whether a shape is one valid polygon whose corners may move a little, as files round them."""
    sound = shape.geom_type == "Polygon" and not shape.is_empty and shape.is_valid
    return sound and float(shape.minimum_clearance) >= LEAST_CLEARANCE_PX * gsd


def _iou(one: BaseGeometry, other: BaseGeometry) -> float:
    shared = float(one.intersection(other).area)
    whole = float(one.area + other.area) - shared
    return shared / whole if whole > 0 else 0.0


def _points(polygon: Polygon) -> DoubleArray:
    return np.asarray(shapely.get_coordinates(polygon.exterior)[:-1])


def without_overlaps(shapes: Sequence[Shape], region: Sequence[int]) -> list[Polygon]:
    """Return the outline to draw of each shape: the first, but for those that would overlap another.

    Of two that overlap the one that fits its region less gives way, with all parts of its region, and of two without
    right angles both.

    Args:
        shapes: In any order.
        region: The region each is a part of; parts of one do not overlap.
    """
    own = np.asarray(region)
    fit = np.array([one.fit for one in shapes])
    left = np.array([len(one.outlines) for one in shapes])  # outlines from the drawn one on
    while True:
        chosen = np.array([one.outlines[-count] for one, count in zip(shapes, left.tolist(), strict=True)], object)
        one, other = shapely.STRtree(chosen).query(chosen, predicate="intersects")
        near = (one < other) & (own[one] != own[other]) & ((left[one] > 1) | (left[other] > 1))
        one, other = one[near], other[near]
        crossing = shapely.area(shapely.intersection(chosen[one], chosen[other])) > 0
        one, other = one[crossing], other[crossing]
        if not len(one):
            return list(chosen)
        rank = np.where(left == 3, fit, np.where(left == 2, 2.0, 3.0))  # the lower gives way
        worse = np.concatenate([one[rank[one] <= rank[other]], other[rank[other] <= rank[one]]])
        left[np.isin(own, own[worse])] -= 1
        left = np.maximum(left, 1)
