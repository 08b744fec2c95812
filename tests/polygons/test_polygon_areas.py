from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from crispmap.errors import GridError
from crispmap.geo.grid import Grid
from crispmap.polygons.polygons import PolygonAreas

GEOD = Geod(ellps="WGS84")


def geodesic_area_m2(crs: CRS, polygon: shapely.Polygon, step: float) -> float:
    """The area between geodesics along finely cut sides: an independent reference."""
    dense = shapely.segmentize(polygon, step)
    lonlat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)

    def ring(one: shapely.LinearRing) -> float:
        return abs(GEOD.polygon_area_perimeter(*lonlat.transform(*np.array(one.coords).T))[0])

    return ring(dense.exterior) - sum(ring(hole) for hole in dense.interiors)


@pytest.mark.parametrize(
    ("code", "x", "y", "pixel"),
    [
        (32631, 448_000, 5_411_000, 0.5),  # Universal Transverse Mercator
        (32631, 200_000, 9_000_000, 30.0),
        (3857, 250_000, 6_250_000, 1.2),  # Mercator of the web
        (4326, 2.3, 48.8, 1e-5),
        (4326, -179.9, 60.0, 0.01),
        (2154, 650_000, 6_860_000, 0.2),  # Lambert conformal conic
        (3413, -200_000, 200_000, 250.0),  # the pole inside
        (6933, 2_000_000, 5_000_000, 100.0),  # cylindrical equal-area
    ],
)
@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_areas_are_those_between_geodesics(code: int, x: float, y: float, pixel: float, turn: float) -> None:
    crs = CRS.from_epsg(code)
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    grid = Grid(crs, transform, (2000, 3000))
    corners = [transform @ point for point in ((0, 0), (0, 2000), (3000, 2000), (3000, 0))]
    inner = [transform @ point for point in ((500, 500), (500, 700), (900, 700), (900, 500))]
    polygon = shapely.Polygon(corners, [inner])
    expected = geodesic_area_m2(crs, polygon, 2 * pixel)
    (found,) = PolygonAreas(grid).of(np.array([polygon]))
    assert found == pytest.approx(expected, rel=2e-7)


def test_a_map_of_the_whole_earth_has_its_area() -> None:
    degrees = Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), (180, 360))
    (found,) = PolygonAreas(degrees).of(np.array([shapely.box(*degrees.bounds)]))
    assert found == pytest.approx(5.10065621724e14, rel=1e-9)
    metres = Grid(CRS.from_epsg(6933), Affine(96_486, 0, -17_367_480, 0, -81_272, 7_314_480), (180, 360))
    (found,) = PolygonAreas(metres).of(np.array([shapely.box(*metres.bounds)]))
    assert found == pytest.approx(360 * 96_486 * 180 * 81_272, rel=1e-9)  # an equal-area CRS


def test_without_crs_a_unit_is_a_metre() -> None:
    grid = Grid(None, Affine.scale(2), (10, 10))
    assert PolygonAreas(grid).of(np.array([shapely.box(0, 0, 4, 6)])).tolist() == [24.0]


def test_on_a_sphere_too() -> None:
    crs = CRS.from_proj4("+proj=longlat +R=6371000 +no_defs")
    grid = Grid(crs, Affine(0.1, 0, 0, 0, -0.1, 10), (100, 100))
    (found,) = PolygonAreas(grid).of(np.array([shapely.box(0, 0, 10, 10)]))
    assert found == pytest.approx(6_371_000**2 * math.radians(10) * math.sin(math.radians(10)), rel=1e-9)


def test_a_crs_off_the_earth_is_reported() -> None:
    crs = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    with pytest.raises(GridError, match="not tied to the earth"):
        PolygonAreas(Grid(crs, Affine.identity(), (4, 4)))
