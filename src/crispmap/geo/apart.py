"""Areas of different scenes, which must be apart on the ground where their roles differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crispmap.geo.area_pieces import EDGE_PARTS, block_around, to_pixels
from crispmap.geo.areas import Area, check_apart
from crispmap.geo.crs import transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Grid
from crispmap.geo.turns import turns_between, unbroken


def check_apart_on_ground(
    one: tuple[Mapping[str, Sequence[Area]], Grid], other: tuple[Mapping[str, Sequence[Area]], Grid]
) -> None:
    """Check that areas of different roles on the grids of two scenes share no place.

    Raises:
        ProjectError: If two do. Scenes without a CRS are taken to be apart.
    """
    (areas, grid), (others, other_grid) = one, other
    for role, own in areas.items():
        for area in own:
            moved = _on_grid(area, grid, other_grid)
            if moved is None:
                continue
            for second in (one for other_role, ones in others.items() if other_role != role for one in ones):
                check_apart(moved, second)


def _on_grid(area: Area, grid: Grid, other: Grid) -> Area | None:
    """Return an area of one grid on another; None where that shows nothing of it."""
    import shapely

    if grid.crs is None or other.crs is None:
        return None
    dense = [shapely.segmentize(shapely.LineString(ring), max(grid.shape) / EDGE_PARTS) for ring in area.rings]
    corners = affine_points(grid.transform, shapely.get_coordinates(dense))
    points = np.stack(transformer(grid.crs, other.crs).transform(*corners.T), axis=1)
    if not np.isfinite(points).all():
        return None
    points = unbroken(points, other.crs)
    turns = turns_between((points[:, 0].min(), points[:, 0].max()), other.bounds[::2], other.crs)
    ends = np.cumsum(shapely.get_num_coordinates(dense))[:-1]
    rings = [ring for turn in turns for ring in np.split(to_pixels(points + np.array([turn, 0.0]), other), ends)]
    if not rings:
        return None
    area = Area(area.origin, block_around(rings, other), tuple(rings))
    return None if area.is_empty else area
