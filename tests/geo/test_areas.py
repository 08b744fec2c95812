"""Areas: which pixels pieces cover, and that roles never share one."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from crispmap.errors import ProjectError
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.areas import Area, hold_out_strip
from crispmap.geo.grid import Block, Grid

UTM = CRS.from_epsg(32631)
SCENE = Grid(UTM, Affine(2.0, 0, 500_000, 0, -2.0, 5_400_000), (60, 80))
BARE = Grid(None, Affine.identity(), (60, 80))
few = settings(deadline=None, max_examples=60)


def resolve_one(piece: AreaPiece, grid: Grid = SCENE, working: Grid | None = None) -> Area:
    (area,) = resolve_areas({"test": [piece]}, grid, working or grid)["test"]
    return area


def mask_or_none(piece: AreaPiece, grid: Grid, working: Grid) -> NDArray[np.bool_]:
    """The mask of a piece on the whole grid, empty where the piece holds no pixel centre."""
    try:
        return resolve_one(piece, grid, working).mask(working.block)
    except ProjectError as error:
        if "holds no pixel" not in error.given and "outside" not in error.given:
            raise
        return np.zeros(working.shape, dtype=bool)


def centres(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of all pixel centres, x and y (row, col)."""
    col, row = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    a, b, c, d, e, f = grid.transform[:6]
    return a * col + b * row + c, d * col + e * row + f


def as_points(grid: Grid, positions: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple(grid.transform @ position for position in positions)


@st.composite
def star_polygons(draw: st.DrawFn) -> tuple[tuple[float, float], ...]:
    """Star-shaped polygons of pixel positions, some reaching outside the scene."""
    count = draw(st.integers(3, 9))
    centre = draw(st.floats(5, 75)), draw(st.floats(5, 55))
    radii = draw(st.lists(st.floats(4, 40), min_size=count, max_size=count))
    angles = [2 * math.pi * (i + 0.31) / count for i in range(count)]
    return tuple((centre[0] + r * math.cos(a), centre[1] + r * math.sin(a)) for r, a in zip(radii, angles, strict=True))


class TestPixels:
    @few
    @given(star_polygons())
    def test_a_polygon_takes_the_pixels_whose_centre_it_contains(
        self, positions: tuple[tuple[float, float], ...]
    ) -> None:
        points = as_points(SCENE, list(positions))
        area = resolve_one(AreaPiece(polygon=points))
        expected = shapely.contains_xy(shapely.Polygon(points), *centres(SCENE))
        assert np.array_equal(area.mask(SCENE.block), expected)
        assert area.pixel_count == expected.sum()

    @few
    @given(star_polygons(), st.integers(-5, 85), st.integers(-5, 85), st.integers(0, 40), st.integers(0, 40))
    def test_a_mask_does_not_depend_on_the_block_it_is_asked_for(
        self, positions: tuple[tuple[float, float], ...], row: int, col: int, height: int, width: int
    ) -> None:
        area = resolve_one(AreaPiece(polygon=as_points(SCENE, list(positions))))
        whole = np.zeros((200, 200), dtype=bool)
        whole[50:110, 50:130] = area.mask(SCENE.block)
        mask = area.mask(Block(row, col, height, width))
        assert np.array_equal(mask, whole[row + 50 : row + 50 + height, col + 50 : col + 50 + width])

    @few
    @given(
        st.sets(st.integers(1, 79), max_size=6),
        st.booleans(),
        st.floats(0.4, 5.0),
        st.floats(0.4, 5.0),
    )
    def test_windows_side_by_side_part_the_scene_on_any_working_grid(
        self, cuts: set[int], upright: bool, ratio_y: float, ratio_x: float
    ) -> None:
        scene = Grid(UTM, SCENE.transform, (80, 60) if upright else (60, 80))
        working = scene.resampled(ratio_y, ratio_x)
        marks = [0, *sorted(cuts), 80]
        total = np.zeros(working.shape, dtype=int)
        for start, stop in itertools.pairwise(marks):
            window = (start, 0, stop - start, 60) if upright else (0, start, 60, stop - start)
            total += mask_or_none(AreaPiece(window=window), scene, working)
        x, y = centres(working)
        _, bottom, right, _ = scene.bounds
        inside = (x < right - 1e-6) & (y > bottom + 1e-6)
        assert (total[inside] == 1).all()
        assert (total <= 1).all()

    @few
    @given(star_polygons(), st.data())
    def test_a_polygon_cut_along_a_line_falls_apart_without_a_shared_or_lost_pixel(
        self, positions: tuple[tuple[float, float], ...], data: st.DataObject
    ) -> None:
        # rounded to half pixels, so that edges do pass through pixel centres
        corners = list(dict.fromkeys((round(2 * x) / 2, round(2 * y) / 2) for x, y in positions))
        if len(corners) < 4 or not shapely.Polygon(corners).is_valid:
            return
        split = data.draw(st.integers(2, len(corners) - 2))
        parts = [corners[: split + 1], [*corners[split:], corners[0]]]
        if not all(shapely.Polygon(part).is_valid and shapely.Polygon(part).area > 0 for part in parts):
            return
        if not math.isclose(
            sum(shapely.Polygon(part).area for part in parts), shapely.Polygon(corners).area, rel_tol=1e-9
        ):
            return  # the cut ran outside
        whole = resolve_one(AreaPiece(polygon=tuple(corners)), BARE).mask(BARE.block)
        total = np.zeros(BARE.shape, dtype=int)
        for part in parts:
            total += mask_or_none(AreaPiece(polygon=tuple(part)), BARE, BARE)
        assert np.array_equal(total, whole.astype(int))

    def test_a_window_counts_the_pixels_of_the_file_not_of_the_working_grid(self) -> None:
        area = resolve_one(AreaPiece(window=(10, 20, 20, 40)), SCENE, SCENE.resampled(2, 2))
        assert area.block == Block(5, 10, 10, 20)
        assert area.pixel_count == 200

    def test_bounds_of_another_crs_take_the_pixels_whose_centre_they_contain(self) -> None:
        to_lonlat = Transformer.from_crs(UTM, 4326, always_xy=True)
        lon, lat = to_lonlat.transform(*centres(SCENE))
        bounds = (*(float(np.quantile(v, 0.23)) for v in (lon, lat)),)
        bounds = (*bounds, *(float(np.quantile(v, 0.81)) for v in (lon, lat)))
        area = resolve_one(AreaPiece(bounds=bounds, crs="EPSG:4326"))
        expected = (lon > bounds[0]) & (lon < bounds[2]) & (lat > bounds[1]) & (lat < bounds[3])
        assert np.array_equal(area.mask(SCENE.block), expected)

    @few
    @given(st.floats(0.1, 0.9), st.floats(-30, 30))
    def test_bounds_that_touch_in_another_crs_share_no_pixel(self, share: float, turn: float) -> None:
        grid = Grid(UTM, Affine.translation(6e5, 5.4e6) @ Affine.rotation(turn) @ Affine.scale(9, -9), (300, 200))
        left, bottom, right, top = Transformer.from_crs(UTM, 4326, always_xy=True).transform_bounds(*grid.bounds)
        middle = left + share * (right - left)
        pieces = {
            "coarse": [AreaPiece(bounds=(left, bottom, middle, top), crs="EPSG:4326")],
            "test": [AreaPiece(bounds=(middle, bottom, right, top), crs="EPSG:4326")],
        }
        areas = resolve_areas(pieces, grid, grid)
        assert areas["coarse"][0].pixel_count + areas["test"][0].pixel_count == 300 * 200

    def test_a_polygon_without_crs_is_in_the_units_of_a_scene_without_georeference(self) -> None:
        area = resolve_one(AreaPiece(polygon=((10, 20), (30, 20), (30, 25), (10, 25), (10, 20))), BARE)
        assert area.block == Block(20, 10, 5, 20)

    def test_large_areas_are_counted_strip_by_strip(self) -> None:
        grid = Grid(UTM, SCENE.transform, (5000, 30))
        assert resolve_one(AreaPiece(window=(100, 3, 4500, 7)), grid).pixel_count == 4500 * 7


class TestFiles:
    @staticmethod
    def write(path: Path, geometries: list[object], crs: str | None = "EPSG:32631") -> Path:
        import geopandas as gpd

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'crs' was not provided")
            gpd.GeoDataFrame(geometry=gpd.GeoSeries(geometries, crs=crs)).to_file(path, engine="pyogrio")
        return path

    def test_every_polygon_of_a_file_is_an_area_and_holes_do_not_belong(self, tmp_path: Path) -> None:
        ring = shapely.box(500_010, 5_399_900, 500_050, 5_399_990) - shapely.box(500_020, 5_399_920, 500_030, 5_399_950)
        many = shapely.MultiPolygon(
            [shapely.box(500_060 + 20 * i, 5_399_950, 500_070 + 20 * i, 5_399_960) for i in (0, 1)]
        )
        path = self.write(tmp_path / "areas.gpkg", [ring, None, many])
        areas = resolve_areas({"coarse": [AreaPiece(file=path, origin="here")]}, SCENE, SCENE)["coarse"]
        assert [area.pixel_count for area in areas] == [20 * 45 - 5 * 15, 25, 25]
        assert areas[2].origin == "here, areas.gpkg feature 2"
        total = sum(area.mask(SCENE.block).astype(int) for area in areas)
        union = shapely.union_all([ring, many])
        assert np.array_equal(total, shapely.contains_xy(union, *centres(SCENE)))

    def test_geojson_is_in_longitude_and_latitude(self, tmp_path: Path) -> None:
        to_lonlat = Transformer.from_crs(UTM, 4326, always_xy=True)
        corners = [to_lonlat.transform(*point) for point in SCENE.corners()]
        path = tmp_path / "areas.geojson"
        feature = {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
        }
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        area = resolve_one(AreaPiece(file=path))
        assert area.pixel_count == 60 * 80

    def test_a_file_without_crs_takes_the_one_given_beside_it(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "areas.fgb", [shapely.box(500_010, 5_399_900, 500_050, 5_399_990)], None)
        assert resolve_one(AreaPiece(file=path, crs="EPSG:32631")).pixel_count == 20 * 45
        assert resolve_one(AreaPiece(file=path)).pixel_count == 20 * 45

    @pytest.mark.parametrize(
        ("geometries", "said"),
        [
            ([shapely.Point(500_010, 5_399_900)], "is a Point"),
            ([shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])], "Self-intersection"),
            ([None], "holds no geometry"),
            ([], "holds no geometry"),
        ],
    )
    def test_an_invalid_polygon_is_reported(self, tmp_path: Path, geometries: list[object], said: str) -> None:
        path = self.write(tmp_path / "areas.gpkg", geometries)
        with pytest.raises(ProjectError, match=said):
            resolve_one(AreaPiece(file=path))

    def test_files_that_cannot_be_read_are_reported(self, tmp_path: Path) -> None:
        torn = tmp_path / "torn.geojson"
        torn.write_text('{"type": "FeatureCollection", "features": [')
        good = self.write(tmp_path / "areas.gpkg", [shapely.box(500_010, 5_399_900, 500_050, 5_399_990)])
        table = tmp_path / "table.csv"
        table.write_text("a,b\n1,2\n")
        for piece in (
            AreaPiece(file=torn),
            AreaPiece(file=tmp_path / "absent.gpkg"),
            AreaPiece(file=good, layer="nope"),
            AreaPiece(file=table),
        ):
            with pytest.raises(ProjectError) as caught:
                resolve_one(piece)
            assert str(piece.file) in str(caught.value)


class TestApart:
    def test_pieces_of_different_roles_that_share_pixels_are_an_error(self) -> None:
        pieces = {
            "coarse": [AreaPiece(window=(0, 0, 10, 10)), AreaPiece(window=(20, 20, 10, 10), origin="one")],
            "test": [AreaPiece(window=(25, 15, 30, 8), origin="two")],
        }
        with pytest.raises(ProjectError, match="one and two share 15 pixels") as caught:
            resolve_areas(pieces, SCENE, SCENE)
        assert caught.value.remedy

    def test_pieces_of_one_role_may_overlap(self) -> None:
        piece = AreaPiece(window=(0, 0, 10, 10))
        assert len(resolve_areas({"coarse": [piece, piece]}, SCENE, SCENE)["coarse"]) == 2

    @few
    @given(star_polygons(), star_polygons())
    def test_shared_pixels_are_those_of_both_masks(
        self, one: tuple[tuple[float, float], ...], other: tuple[tuple[float, float], ...]
    ) -> None:
        a, b = (resolve_one(AreaPiece(polygon=p), BARE) for p in (one, other))
        assert a.shared_pixels(b) == (a.mask(BARE.block) & b.mask(BARE.block)).sum()


class TestHoldOut:
    @few
    @given(star_polygons(), st.floats(0.02, 0.98))
    def test_the_strip_is_the_narrowest_with_its_share(
        self, positions: tuple[tuple[float, float], ...], share: float
    ) -> None:
        area = resolve_one(AreaPiece(polygon=positions), BARE)
        train, strip = hold_out_strip(area, share)
        masks = [one.mask(BARE.block) for one in (train, strip)]
        assert not (masks[0] & masks[1]).any()
        assert np.array_equal(masks[0] | masks[1], area.mask(BARE.block))
        assert train.pixel_count > 0
        held = strip.pixel_count
        one_line = masks[0].any(axis=1 if area.block.height >= area.block.width else 0).sum() == 1
        assert held >= share * area.pixel_count or one_line
        axis = 1 if area.block.height >= area.block.width else 0
        lines = masks[1].sum(axis=axis)
        first = lines[np.flatnonzero(lines)[0]]
        assert held - first < share * area.pixel_count or held == first

    def test_the_strip_lies_at_the_end_of_the_longer_side(self) -> None:
        wide = resolve_one(AreaPiece(window=(10, 0, 20, 40)))
        assert [one.block for one in hold_out_strip(wide)] == [Block(10, 0, 20, 34), Block(10, 34, 20, 6)]
        tall = resolve_one(AreaPiece(window=(0, 10, 40, 20)))
        assert [one.block for one in hold_out_strip(tall)] == [Block(0, 10, 34, 20), Block(34, 10, 6, 20)]

    @pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
    def test_a_share_must_be_between_0_and_1(self, share: float) -> None:
        with pytest.raises(ProjectError, match="share"):
            hold_out_strip(resolve_one(AreaPiece(window=(0, 0, 9, 9))), share)

    def test_one_pixel_cannot_be_parted(self) -> None:
        with pytest.raises(ProjectError, match="too small"):
            hold_out_strip(resolve_one(AreaPiece(window=(0, 0, 1, 1))))


nan, inf = float("nan"), float("inf")
SQUARE = ((500_010.0, 5_399_990.0), (500_050.0, 5_399_990.0), (500_050.0, 5_399_900.0))


class TestBadPieces:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, "no area"),
            ({"window": (0, 0, 5, 5), "bounds": (0, 0, 1, 1)}, "window and bounds"),
            ({"window": (0, 0, 5, 5), "layer": "x"}, "layer without a file"),
            ({"window": (0, 0, 5, 5), "crs": "EPSG:4326"}, "crs beside a window"),
            ({"window": (-1, 0, 5, 5)}, r"\[-1, 0, 5, 5\]"),
            ({"window": (0, 0, 0, 5)}, r"\[0, 0, 0, 5\]"),
            ({"bounds": (2, 0, 2, 1)}, r"\[2, 0, 2, 1\]"),
            ({"bounds": (0, 1, 1, 0)}, r"\[0, 1, 1, 0\]"),
            ({"bounds": (0, 0, nan, 1)}, "nan"),
            ({"bounds": (0, 0, inf, 1)}, "inf"),
            ({"bounds": (0, 0, 1, 1), "crs": "EPSG:99999999"}, "unknown coordinate reference system"),
            ({"bounds": (0, 0, 1, 1), "crs": "moon"}, "unknown coordinate reference system"),
            ({"polygon": ()}, "0 different points"),
            ({"polygon": ((0, 0), (1, 1), (0, 0))}, "2 different points"),
            ({"polygon": ((0, 0), (1, 1), (nan, 0))}, "not finite"),
            ({"polygon": ((0, 0), (1, 1), (inf, 0))}, "not finite"),
            ({"polygon": ((0, 0), (1, 1), (2, 2))}, "polygon"),
            ({"polygon": ((0, 0), (1, 1), (1, 0), (0, 1))}, "Self-intersection"),
        ],
    )
    def test_polygons_without_area_are_reported_at_once(self, given: dict[str, object], said: str) -> None:
        with pytest.raises(ProjectError, match=said) as caught:
            AreaPiece(**given, origin="areas.test[0]")  # type: ignore[arg-type]
        assert caught.value.given.startswith("areas.test[0]")
        assert caught.value.expected
        assert caught.value.remedy

    @pytest.mark.parametrize(
        ("piece", "said"),
        [
            (AreaPiece(window=(0, 70, 20, 20)), r"reaches outside the scene of 60 x 80"),
            (AreaPiece(window=(100, 0, 20, 20)), r"reaches outside"),
            (AreaPiece(bounds=(490_000.0, 1e-300, 1e308, 1e30)), "further from the scene"),
            (AreaPiece(polygon=((7e23, 0.0), (1.8e19, 5.4e6), (5e5, 7e23))), "further from the scene"),
            (AreaPiece(bounds=(0, 0, 1, 1)), "outside the scene"),
            (AreaPiece(bounds=(49.0, 2.0, 49.1, 2.1), crs="EPSG:4326"), "outside the scene"),
            (AreaPiece(bounds=(500_010.1, 5_399_990.1, 500_010.2, 5_399_990.2)), "no pixel"),
            (AreaPiece(bounds=(0, 1000, 10, 2000), crs="EPSG:4326"), "cannot be expressed"),
        ],
    )
    def test_an_area_off_the_scene_is_reported(self, piece: AreaPiece, said: str) -> None:
        with pytest.raises(ProjectError, match=said) as caught:
            resolve_one(piece)
        assert caught.value.expected
        assert caught.value.remedy

    def test_the_part_of_a_window_inside_the_scene_is_proposed(self) -> None:
        with pytest.raises(ProjectError, match=r"The part inside is \[50, 70, 10, 10\]"):
            resolve_one(AreaPiece(window=(50, 70, 20, 20)))

    def test_a_crs_is_of_no_use_on_a_scene_without_one(self) -> None:
        with pytest.raises(ProjectError, match="no coordinate reference system"):
            resolve_one(AreaPiece(bounds=(0, 0, 10, 10), crs="EPSG:4326"), BARE)

    def test_a_needle_far_longer_than_the_earth_is_reported(self) -> None:
        with pytest.raises(ProjectError, match="an area"):
            resolve_one(AreaPiece(polygon=((0, 0), (0, 1), (9, 19791209299968)), crs="EPSG:3857"))

    @few
    @given(
        st.lists(st.tuples(st.floats(allow_nan=True, width=32), st.floats(allow_nan=True, width=32)), max_size=8),
        st.sampled_from([None, "EPSG:4326", "EPSG:3857"]),
    )
    def test_any_polygon_is_either_an_area_or_a_project_error(
        self, points: list[tuple[float, float]], crs: str | None
    ) -> None:
        try:
            area = resolve_one(AreaPiece(polygon=tuple(points), crs=crs))
        except ProjectError:
            return
        assert area.pixel_count > 0
