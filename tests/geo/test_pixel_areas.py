"""Areas of pixels on the ground: those between geodesics, whatever the CRS and however the grid is cut."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from crispmap import Block, ClassDef, ClassSchema, Grid
from crispmap.errors import GridError
from crispmap.geo.equal_area import areas_by_id
from crispmap.polygons.vectorize import PolygonRules, vectorize_file
from crispmap.raster.writer import class_map_writer

PLACES = [
    (32631, 448_000, 5_411_000, 0.5),  # Universal Transverse Mercator
    (32631, 200_000, 9_000_000, 30.0),
    (3857, 250_000, 6_250_000, 1.2),  # Mercator of the web
    (3857, 250_000, 17_000_000, 10.0),
    (4326, 2.3, 48.8, 1e-5),
    (4326, -179.9, 60.0, 0.01),
    (4326, 10.0, 89.0, 0.001),
    (2154, 650_000, 6_860_000, 0.2),  # Lambert conformal conic
    (2263, 980_000, 200_000, 3.0),  # US survey feet
    (3413, -200_000, 200_000, 250.0),  # near the pole
    (6933, 2_000_000, 5_000_000, 100.0),  # cylindrical equal-area
]
ANYWHERE = pytest.mark.parametrize(("code", "x", "y", "pixel"), PLACES)
few = settings(deadline=None, max_examples=40)


def grid_at(code: int, x: float, y: float, pixel: float, turn: float = 0.0) -> Grid:
    transform = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    return Grid(CRS.from_epsg(code), transform, (700, 900))


def geodesic_area_m2(grid: Grid, block: Block, parts: int = 1) -> float:
    """The area of a block between geodesics along its sides, each cut in so many: an independent reference."""
    crs = grid.crs
    assert crs is not None
    outline = shapely.Polygon(grid.window(block).corners())
    longest = math.inf if parts == 1 else outline.length / 4 / parts
    points = np.array(shapely.segmentize(outline, longest).exterior.coords)
    lonlat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(*points.T)
    geod = crs.get_geod()
    assert geod is not None
    return abs(geod.polygon_area_perimeter(*lonlat)[0])


class TestLaws:
    @ANYWHERE
    @pytest.mark.parametrize("turn", [0.0, 20.0])
    def test_pixels_have_the_area_between_geodesics(
        self, code: int, x: float, y: float, pixel: float, turn: float
    ) -> None:
        grid = grid_at(code, x, y, pixel, turn)
        areas = grid.pixel_areas_m2(grid.block)
        for row, col in ((0, 0), (0, 899), (350, 450), (613, 77), (699, 899)):
            expected = geodesic_area_m2(grid, Block(row, col, 1, 1))
            assert areas[row, col] == pytest.approx(expected, rel=1e-8, abs=2e-5)  # as far as geodesics are exact

    @ANYWHERE
    @pytest.mark.parametrize("turn", [0.0, 20.0])
    def test_areas_by_id_are_those_of_the_pixels(
        self, code: int, x: float, y: float, pixel: float, turn: float
    ) -> None:
        grid = grid_at(code, x, y, pixel, turn)
        rng = np.random.default_rng(code)
        for block in (grid.block, Block(3, 5, 1, 1), Block(200, 300, 77, 401), Block(699, 0, 1, 900)):
            ids = rng.choice([0, 1, 7, 255], (block.height, 1 + block.width // 9)).astype(np.uint8)
            ids = np.repeat(ids, 9, axis=1)[:, : block.width]
            pixels, areas = areas_by_id(grid, block, ids)
            by_pixel = np.bincount(ids.ravel(), weights=grid.pixel_areas_m2(block).ravel(), minlength=256)
            np.testing.assert_array_equal(pixels, np.bincount(ids.ravel(), minlength=256))
            np.testing.assert_allclose(areas, by_pixel, rtol=1e-11)

    def test_areas_by_id_off_the_earth_and_without_crs(self) -> None:
        ids = np.array([[0, 1, 1], [1, 1, 255]], np.uint8)
        plain = Grid(None, Affine.scale(2, -3), (2, 3))
        assert areas_by_id(plain, plain.block, ids)[1][[0, 1, 255]].tolist() == [6.0, 24.0, 6.0]
        beyond = Grid(CRS.from_epsg(4326), Affine(30.0, 0, 0, 0, -30.0, 100.0), (2, 3))
        by_pixel = np.bincount(ids.ravel(), weights=beyond.pixel_areas_m2(beyond.block).ravel(), minlength=256)
        np.testing.assert_allclose(areas_by_id(beyond, beyond.block, ids)[1], by_pixel)
        for block in (Block(0, 0, 0, 3), Block(0, 0, 2, 0)):
            assert not any(one.any() for one in areas_by_id(plain, block, np.zeros(block.shape, np.uint8)))

    @ANYWHERE
    def test_pixels_add_up_to_the_whole(self, code: int, x: float, y: float, pixel: float) -> None:
        grid = grid_at(code, x, y, pixel, 20.0)
        whole = grid.pixel_areas_m2(grid.block).sum()
        assert whole == pytest.approx(geodesic_area_m2(grid, grid.block, parts=1000), rel=2e-7)

    @few
    @given(st.sampled_from(PLACES), st.sampled_from([0.0, 20.0]), st.data())
    def test_a_pixel_has_one_area_however_the_grid_is_cut(
        self, place: tuple[int, float, float, float], turn: float, data: st.DataObject
    ) -> None:
        grid = grid_at(*place, turn)
        row, col = data.draw(st.integers(0, 699)), data.draw(st.integers(0, 899))
        height, width = data.draw(st.integers(0, 700 - row)), data.draw(st.integers(0, 900 - col))
        block = Block(row, col, height, width)
        part = grid.pixel_areas_m2(block)
        assert part.shape == block.shape
        np.testing.assert_allclose(part, grid.pixel_areas_m2(grid.block)[block.slices], rtol=1e-9)

    @pytest.mark.parametrize(("code", "x", "y", "pixel"), [*PLACES[:3], PLACES[4], *PLACES[7:10]])
    def test_polygons_of_a_map_have_the_area_of_its_pixels(
        self, tmp_path: Path, code: int, x: float, y: float, pixel: float
    ) -> None:
        grid = grid_at(code, x, y, pixel)
        ids = (np.random.default_rng(0).random((35, 45)) < 0.6).repeat(20, 0).repeat(20, 1).astype(np.uint8)
        schema = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ffffff")))
        with class_map_writer(tmp_path / "map.tif", grid, schema) as writer:
            writer.write(grid.block, ids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = vectorize_file(tmp_path / "map.tif", tmp_path / "map.gpkg", PolygonRules(("all",)))
        areas = grid.pixel_areas_m2(grid.block)
        for one in found:
            assert one.area_m2 == pytest.approx(areas[ids == one.class_id].sum(), rel=1e-6)


class TestExamples:
    def test_the_whole_earth_in_degrees(self) -> None:
        grid = Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), (180, 360))
        areas = grid.pixel_areas_m2(grid.block)
        assert areas.sum() == pytest.approx(5.10065621724e14, rel=1e-9)
        assert np.ptp(areas, axis=1).max() == 0

    def test_an_equal_area_crs_has_equal_pixels(self) -> None:
        grid = grid_at(6933, 2_000_000, 5_000_000, 100.0)
        np.testing.assert_allclose(grid.pixel_areas_m2(grid.block), 1e4, rtol=1e-6)

    def test_without_crs_a_unit_is_a_metre(self) -> None:
        grid = Grid(None, Affine.rotation(30) @ Affine.scale(2, -3), (4, 5))
        np.testing.assert_allclose(grid.pixel_areas_m2(Block(1, 1, 2, 3)), np.full((2, 3), 6.0))

    def test_on_a_sphere_too(self) -> None:
        crs = CRS.from_proj4("+proj=longlat +R=6371000 +no_defs")
        grid = Grid(crs, Affine(0.1, 0, 0, 0, -0.1, 10), (100, 100))
        expected = 6_371_000**2 * math.radians(10) * math.sin(math.radians(10))
        assert grid.pixel_areas_m2(grid.block).sum() == pytest.approx(expected, rel=1e-9)

    def test_pixels_off_the_earth_have_no_area(self) -> None:
        crs = CRS.from_proj4("+proj=ortho +lat_0=40 +lon_0=10 +ellps=WGS84")
        grid = Grid(crs, Affine(1e5, 0, -7e6, 0, -1e5, 7e6), (140, 140))
        areas = grid.pixel_areas_m2(grid.block)
        assert (areas[0] == 0).all()
        assert areas[70, 70] == pytest.approx(1e10, rel=0.001)
        assert np.isfinite(areas).all()


class TestRefuses:
    def test_blocks_outside(self) -> None:
        with pytest.raises(GridError, match="outside"):
            grid_at(*PLACES[0]).pixel_areas_m2(Block(699, 0, 2, 2))

    def test_a_crs_off_the_earth(self) -> None:
        crs = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
        grid = Grid(crs, Affine.identity(), (4, 4))
        with pytest.raises(GridError, match="not tied to the earth"):
            grid.pixel_areas_m2(grid.block)
