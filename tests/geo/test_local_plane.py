"""Metres on the ground: against geodesics, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod

from crispmap.errors import GridError
from crispmap.geo.grid import Grid
from crispmap.geo.local_plane import LocalPlane


@given(lat=st.floats(-75, 75), lon=st.floats(-170, 170), azimuth=st.floats(-180, 180), length=st.floats(1, 1e5))
@settings(max_examples=40, deadline=None)
def test_distances_from_the_centre_are_geodesics(lat: float, lon: float, azimuth: float, length: float) -> None:
    frame = LocalPlane(CRS.from_epsg(4326), (lon, lat))
    end = Geod(ellps="WGS84").fwd(lon, lat, azimuth, length)[:2]
    east, north = frame.to_metres(np.array([end]))[0]
    assert np.hypot(east, north) == pytest.approx(length, abs=1e-3)
    assert np.sin(np.radians(azimuth)) * length == pytest.approx(east, abs=0.01)
    np.testing.assert_allclose(frame.to_crs(np.array([[east, north]])), [end], atol=1e-9)


def test_without_crs_points_stay_as_they_are() -> None:
    frame = LocalPlane.of_bounds(None, (0, 0, 10, 10))
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert frame.to_metres(points) is points
    assert frame.to_crs(points) is points


def test_heights_of_a_crs_do_not_matter() -> None:
    flat, tall = (LocalPlane(CRS.from_epsg(code), (10.0, 50.0)) for code in (4326, 4979))
    points = np.array([[10.01, 50.02]])
    np.testing.assert_allclose(flat.to_metres(points), tall.to_metres(points))


def test_a_crs_not_of_the_earth_is_an_error() -> None:
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
    with pytest.raises(GridError, match="not tied"):
        LocalPlane.of_grid(Grid(local, Affine.identity(), (5, 5)))


def test_a_centre_beyond_the_crs_is_an_error() -> None:
    with pytest.raises(GridError, match="outside"):
        LocalPlane(CRS.from_epsg(32631), (1e12, 1e12))
