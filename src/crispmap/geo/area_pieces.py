"""Areas as a person gives them, resolved on a grid.

An area piece is a window of the scene's pixels, bounds, a polygon or a vector file. On a grid it has exactly the pixels
whose centre lies inside. Pieces of different roles must not share a pixel: training pixels are never scored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from crispmap.errors import ProjectError
from crispmap.files.address import shown
from crispmap.geo.areas import Area, check_apart
from crispmap.geo.crs import transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turns_between, unbroken
from crispmap.types import DoubleArray

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

AREA_ROLES = ("coarse", "refiner", "validation", "test")
"""Uses of an area: training the coarse network, training the refiner, validating both, scoring."""

FORMS = ("window", "bounds", "polygon", "file")  # ways to give a piece; each piece uses one

EDGE_PARTS = 64  # edges given in another CRS, which may be curved here, get a point every such part of the scene
_FURTHEST_PX = 1e12  # positions of pixels further away are of no place: beyond, sums of them lose whole pixels


@dataclass(frozen=True)
class AreaPiece:
    """One area as a person gives it, in exactly one of four forms.

    Raises:
        ProjectError: If none or several forms are given, or the area is empty.
    """

    # (row, col, height, width) in pixels of the scene's own file, on any working grid
    window: tuple[int, int, int, int] | None = None
    bounds: tuple[float, float, float, float] | None = None  # (left, bottom, right, top) in ``crs``
    # corners (x, y) in ``crs``: longitude before latitude; closing the ring is optional
    polygon: tuple[tuple[float, float], ...] | None = None
    # a vector file of polygons, or the address of one, in the CRS it declares, else in ``crs``
    file: Path | None = None
    layer: str | None = None  # the layer of the file, where it has several
    crs: str | None = None  # the CRS of bounds or polygon, such as "EPSG:4326"; None means the scene's own
    origin: str = "an area"  # name in errors, such as "areas.test[0] (project.yaml, line 31)"

    def __post_init__(self) -> None:
        given = [form for form in FORMS if getattr(self, form) is not None]
        if len(given) != 1:
            raise ProjectError(
                f"{self.origin} gives {' and '.join(given) or 'no area'}.",
                expected=f"one of {', '.join(FORMS)}",
                remedy="Give each area in one form; several areas make a list.",
            )
        if self.layer is not None and self.file is None:
            raise ProjectError(
                f"{self.origin} gives a layer without a file.",
                expected="layer only beside file",
                remedy="Remove layer.",
            )
        if self.crs is not None:
            self._check_crs(self.crs)
        if self.window is not None:
            self._check_window(*self.window)
        if self.bounds is not None:
            self._check_bounds(*self.bounds)
        if self.polygon is not None:
            _checked_polygon(self.polygon, self.origin)

    def _check_crs(self, crs: str) -> None:
        if self.window is not None:
            raise ProjectError(
                f"{self.origin} gives a crs beside a window.",
                expected="a window alone: it is in pixels",
                remedy="Remove crs, or give bounds instead of the window.",
            )
        parse_crs(crs, self.origin)

    def _check_window(self, row: int, col: int, height: int, width: int) -> None:
        if row < 0 or col < 0 or height < 1 or width < 1:
            raise ProjectError(
                f"{self.origin} has window [{row}, {col}, {height}, {width}].",
                expected="[row, col, height, width]: row and col from 0, height and width above 0, in pixels",
                remedy="Count rows and columns from the top left corner of the scene.",
            )

    def _check_bounds(self, left: float, bottom: float, right: float, top: float) -> None:
        finite = all(math.isfinite(value) for value in (left, bottom, right, top))
        if not (finite and left < right and bottom < top):
            raise ProjectError(
                f"{self.origin} has bounds [{left:g}, {bottom:g}, {right:g}, {top:g}].",
                expected="[left, bottom, right, top] with left below right and bottom below top",
                remedy="Check the order of the four numbers.",
            )


def resolve_areas(
    pieces: Mapping[str, Sequence[AreaPiece]], scene_grid: Grid, working_grid: Grid
) -> dict[str, list[Area]]:
    """Return the areas of every role on the working grid; no two of different roles share a pixel.

    Args:
        pieces: Pieces by role; a file of several polygons gives several areas.
        scene_grid: The grid of the scene's own file, in whose pixels windows are given.
        working_grid: The grid of the result, over the same extent.

    Raises:
        ProjectError: If a piece lies outside the scene, holds no pixel centre, cannot be read or reprojected,
            or shares pixels with a piece of another role.
    """
    areas = {
        role: [area for piece in ones for area in _resolve(piece, scene_grid, working_grid)]
        for role, ones in pieces.items()
    }
    for one, other in itertools.combinations(areas, 2):
        for first, second in itertools.product(areas[one], areas[other]):
            check_apart(first, second)
    return areas


def parse_crs(text: str, origin: str) -> CRS:
    """Return the coordinate reference system a person named.

    Raises:
        ProjectError: If pyproj does not know it; the error names ``origin``.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise ProjectError(
            f"{origin} names the unknown coordinate reference system {text!r}.",
            expected="a name such as EPSG:4326, or WKT",
            remedy="Look the code up at https://epsg.io.",
        ) from error


def _resolve(piece: AreaPiece, scene_grid: Grid, working_grid: Grid) -> Iterator[Area]:
    """Yield the areas of one piece on the working grid."""
    if piece.window is not None:
        yield _area_of_window(piece.origin, piece.window, scene_grid, working_grid)
        return
    for origin, polygon, crs in outlines_of(piece):
        rings = _rings(_in_grid_crs(polygon, crs, working_grid, origin), working_grid)
        yield _area_of_rings(origin, rings, working_grid)


def _area_of_window(origin: str, window: tuple[int, int, int, int], scene_grid: Grid, working_grid: Grid) -> Area:
    """Return the area of a window of the scene's own pixels."""
    block = Block(*window)
    inside = block.intersection(scene_grid.block)
    if inside != block:
        fitting = [inside.row, inside.col, inside.height, inside.width]
        raise ProjectError(
            f"{origin}: the window {list(window)} reaches outside the scene of"
            f" {scene_grid.height} x {scene_grid.width} pixels.",
            expected="[row, col, height, width] inside the scene",
            remedy="Check the order of the numbers." if inside.is_empty else f"The part inside is {fitting}.",
        )
    positions = [(block.col, block.row), (block.col_stop, block.row), (block.col_stop, block.row_stop)]
    corners = np.array([*positions, (block.col, block.row_stop)], dtype=np.float64)
    ring = to_pixels(affine_points(scene_grid.transform, corners), working_grid)
    return _area_of_rings(origin, (ring,), working_grid)


def block_around(rings: Sequence[DoubleArray], grid: Grid) -> Block:
    """Return the smallest block of a grid with all pixels whose centres rings may enclose; empty outside the grid."""
    points = np.concatenate(rings)
    low, high = np.ceil(points.min(axis=0) - 0.5), np.ceil(points.max(axis=0) - 0.5)
    cols, rows = np.clip([low, high], 0, (grid.width, grid.height)).astype(int).T.tolist()
    return Block(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0])


def _area_of_rings(origin: str, rings: tuple[DoubleArray, ...], grid: Grid) -> Area:
    """Return the area rings enclose on a grid; it holds at least one pixel."""
    points = np.concatenate(rings)
    if not (np.abs(points) < _FURTHEST_PX).all():
        raise ProjectError(
            f"{origin} has coordinates further from the scene than any place.",
            expected="coordinates of the earth, in the CRS of the area",
            remedy="Check the numbers, and crs.",
        )
    block = block_around(rings, grid)
    area = Area(origin, block, rings)
    if not area.is_empty:
        return area
    if (points.max(axis=0) <= 0).any() or (points.min(axis=0) >= (grid.width, grid.height)).any():
        left, bottom, right, top = grid.bounds
        raise ProjectError(
            f"{origin} lies outside the scene.",
            expected=f"an area within left {left:g}, bottom {bottom:g}, right {right:g}, top {top:g}",
            remedy="Check crs, and the order of coordinates: x before y, longitude before latitude.",
        )
    raise ProjectError(
        f"{origin} holds no pixel of the scene.",
        expected="an area larger than a pixel",
        remedy="Make the area larger, or check its crs and units.",
    )


def outlines_of(piece: AreaPiece) -> Iterator[tuple[str, Polygon, CRS | None]]:
    """Yield the polygons of a piece, which is no window, with their origin and CRS (None: the scene's).

    Raises:
        ProjectError: If its file cannot be read or holds other things.
    """
    import shapely

    crs = None if piece.crs is None else parse_crs(piece.crs, piece.origin)
    if piece.bounds is not None:
        yield piece.origin, shapely.box(*piece.bounds), crs
    elif piece.polygon is not None:
        yield piece.origin, _checked_polygon(piece.polygon, piece.origin), crs
    elif piece.file is not None:
        yield from _polygons_of_file(piece.file, piece.layer, crs, piece.origin)


def _polygons_of_file(
    path: Path, layer: str | None, fallback: CRS | None, origin: str
) -> Iterator[tuple[str, Polygon, CRS | None]]:
    """Yield the polygons of a vector file, each valid."""
    import shapely

    geometries, declared = _read_geometries(path, layer, origin)
    if not geometries:
        raise ProjectError(
            f"{origin}: {shown(path)} holds no geometry.",
            expected="a vector file of polygons",
            remedy="Draw the areas into it, or name another file or layer.",
        )
    crs = fallback if declared is None else parse_crs(declared, f"{origin}: {shown(path)}")
    for number, geometry in enumerate(geometries, 1):
        name = f"{origin}, {path.name} feature {number}"
        if geometry.geom_type not in ("Polygon", "MultiPolygon"):
            raise ProjectError(
                f"{name} is a {geometry.geom_type}.", expected="polygons", remedy="Draw areas as polygons."
            )
        _check_valid(geometry, name)
        for part in shapely.get_parts(shapely.force_2d(geometry)):
            yield name, part, crs


def _read_geometries(path: Path, layer: str | None, origin: str) -> tuple[list[Any], str | None]:
    """Return the geometries of a vector file that are not null, and the CRS it declares."""
    import shapely
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyogrio.raw import read

    from crispmap.files.vector_file import reading, reason_shown, vector_name

    try:
        with reading(path):
            meta, _, wkb, _ = read(vector_name(path), layer=layer, columns=[], force_2d=True)
        geometries = shapely.from_wkb(wkb, on_invalid="raise") if wkb is not None else []
    except (DataSourceError, DataLayerError, shapely.errors.ShapelyError, OSError, ValueError) as error:
        raise ProjectError(
            f"{origin}: cannot read {shown(path)}: {reason_shown(error, path)}.",
            expected="a vector file such as GeoPackage or GeoJSON, and a layer that is in it",
            remedy="Look at the file with: crispmap info",
        ) from error
    crs = meta.get("crs")
    return [one for one in geometries if one is not None], None if crs is None else str(crs)


def _checked_polygon(points: Sequence[tuple[float, float]], origin: str) -> Polygon:
    """Return a valid polygon through finite points."""
    import shapely

    distinct = len(set(points))
    if distinct < 3 or not all(math.isfinite(value) for point in points for value in point):
        raise ProjectError(
            f"{origin} has a polygon of {distinct} different points"
            f"{'' if distinct < 3 else ', some of them not finite'}.",
            expected="three or more points [x, y] of finite numbers",
            remedy="Give every corner of the area once, in order around it.",
        )
    polygon = shapely.Polygon(points)
    _check_valid(polygon, origin)
    return polygon


def _check_valid(geometry: Polygon | MultiPolygon, origin: str) -> None:
    """Raise ProjectError unless a (multi)polygon is finite and valid and its area is above 0."""
    import shapely

    finite = bool(np.isfinite(shapely.get_coordinates(geometry)).all())
    reason = shapely.is_valid_reason(geometry) if finite else "coordinates that are not finite"
    if finite and geometry.area > 0 and shapely.is_valid(geometry):
        return
    fault = reason if reason != "Valid Geometry" else "its area is 0"
    raise ProjectError(
        f"{origin} is not a valid polygon: {fault}.",
        expected="an outline that encloses an area and does not cross itself",
        remedy="Give the corners in order around the area, each once.",
    )


def _in_grid_crs(polygon: Polygon, crs: CRS | None, grid: Grid, origin: str) -> Polygon | MultiPolygon:
    """Return a polygon in the CRS of a grid, on its side of 180 degrees; straight edges may be curved here.

    A needle, thinner than the precision of its coordinates, may come back in parts.
    """
    import shapely

    if crs is None or crs == grid.crs:
        return _turned(polygon, grid)
    if grid.crs is None:
        raise ProjectError(
            f"{origin} is in {crs.name}, but the scene has no coordinate reference system.",
            expected="a window in pixels, or coordinates of the scene itself",
            remedy="Give the area as window: [row, col, height, width].",
        )
    dense = shapely.segmentize(polygon, _edge_length(polygon, crs, grid))
    x, y = shapely.get_coordinates(dense).T
    points = np.stack(transformer(crs, grid.crs).transform(x, y), axis=1)
    if not np.isfinite(points).all():
        raise ProjectError(
            f"{origin} cannot be expressed in the scene's CRS, {grid.crs.name}.",
            expected="coordinates inside the area of use of both coordinate reference systems",
            remedy="Check crs, and the order of coordinates: x before y, longitude before latitude.",
        )
    return _turned(shapely.set_coordinates(dense, unbroken(points, grid.crs)), grid)


def _turned(polygon: Polygon, grid: Grid) -> Polygon | MultiPolygon:
    """Return a polygon at every full turn of degrees at which it overlaps a grid; at its own where there is none."""
    import shapely
    from shapely import affinity

    left, _, right, _ = polygon.bounds
    turns = turns_between((left, right), grid.bounds[::2], grid.crs)
    if turns in ([], [0.0]):
        return polygon
    return shapely.MultiPolygon([affinity.translate(polygon, turn) for turn in turns])


def _edge_length(polygon: Polygon, crs: CRS, grid: Grid) -> float:
    """Return the longest edge, in its own CRS, that is reprojected without further points.

    It depends on the grid alone, so that two areas get the same points on a shared edge; but an outline far larger than
    the scene gets a few thousand points at most.
    """
    bounds = transformer(grid.crs, crs).transform_bounds(*grid.bounds)
    size = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    least = float(polygon.length) / 4096
    return max(size / EDGE_PARTS, least) if math.isfinite(size) else least


def _rings(polygon: Polygon | MultiPolygon, grid: Grid) -> tuple[DoubleArray, ...]:
    """Return the outlines of polygons, holes too, in pixel positions of a grid."""
    import shapely

    rings = shapely.get_rings(shapely.get_parts(polygon))
    return tuple(to_pixels(shapely.get_coordinates(ring), grid) for ring in rings)


def to_pixels(points: DoubleArray, grid: Grid) -> DoubleArray:
    """Return pixel positions (point, 2) of points in the CRS of a grid.

    Rounded to a millionth of a pixel, so that two areas see a shared edge on the same side of a pixel's centre; at most
    _FURTHEST_PX.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        positions = affine_points(~grid.transform, points)
    return np.nan_to_num(positions, nan=_FURTHEST_PX).clip(-_FURTHEST_PX, _FURTHEST_PX).round(6)
