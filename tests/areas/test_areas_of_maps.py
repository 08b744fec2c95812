"""Areas by class, region and date: exact on the ground, however the maps are cut, and refused where they mislead."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from area_inputs import PLACE, SCHEMA, UTM, box, ids, write_map, write_regions
from pyproj import CRS, Geod, Transformer

import crispmap
from crispmap.areas import maps
from crispmap.areas.draw import SampleRules, draw_sample
from crispmap.areas.run import ALL, AreaOptions, areas_of
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import AreaError, CrispmapWarning, LabelError, SceneError, SchemaError
from crispmap.geo.grid import Grid
from turned_rasters import ORDERS, twin

IGNORE = 255


def by_hand(values: np.ndarray, shares: np.ndarray, transform: Affine = PLACE, crs: CRS = UTM) -> list[float]:
    """The area of each class, pixel by pixel."""
    grid = Grid(crs, transform, values.shape)
    areas = grid.pixel_areas_m2(grid.block) * shares
    return [float(areas[values == one].sum()) for one in range(3)]


class TestShares:
    def test_pixels_on_borders_count_by_their_share(self, tmp_path: Path) -> None:
        values = ids()
        shares = np.zeros(values.shape)
        shares[5:11, 7:21] = 1
        shares[5] *= 0.25
        shares[:, 20] *= 0.5
        path = write_map(tmp_path / "map.tif", values)
        regions = write_regions(tmp_path / "r.gpkg", [("a", box(7, 5.75, 20.5, 11))])
        table = areas_of([path], AreaOptions(regions=regions))
        assert table.area_m2[0, 0] == pytest.approx(by_hand(values, shares), rel=1e-9)
        assert table.unseen_m2.tolist() == [[0.0]]

    def test_without_regions_all_is_one(self, tmp_path: Path) -> None:
        values = ids()
        values[:10] = IGNORE
        path = write_map(tmp_path / "map.tif", values)
        table = areas_of([path])
        assert table.regions == (ALL,)
        assert table.area_m2[0, 0] == pytest.approx(list(crispmap.area(path).values()), rel=1e-12)  # type: ignore[union-attr]
        missing = Grid(UTM, PLACE, values.shape).pixel_areas_m2(Grid(UTM, PLACE, values.shape).block)[:10].sum()
        assert table.unseen_m2[0, 0] == pytest.approx(missing, rel=1e-9)

    @pytest.mark.parametrize(("count", "heads"), [(1, ["a"]), (2, ["a", "b", "Total"])])
    def test_one_region_has_no_total_beside_it(self, tmp_path: Path, count: int, heads: list[str]) -> None:
        path = write_map(tmp_path / "map-2020-05-01.tif", ids())
        boxes = [("a", box(2, 2, 5, 5)), ("b", box(7, 6, 20, 11))][:count]
        regions = write_regions(tmp_path / "r.gpkg", boxes)
        table = areas_of([path], AreaOptions(regions=regions, date_from="filename"))
        for sheet in table.sheets():
            assert list(sheet.heads) == heads
            assert sheet.values.shape == (1, len(heads))

    @pytest.mark.parametrize("rows", [3, 7, 40])
    def test_how_a_map_is_cut_changes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        outline = shapely.Point(PLACE @ (30, 20)).buffer(150)
        regions = write_regions(tmp_path / "r.gpkg", [("a", outline), ("b", box(45, -5, 90, 25))])
        whole = areas_of([path], AreaOptions(regions=regions))
        monkeypatch.setattr(maps, "_STRIP_PIXELS", rows * 60)
        cut = areas_of([path], AreaOptions(regions=regions))
        np.testing.assert_allclose(cut.area_m2, whole.area_m2, rtol=1e-12)

    @pytest.mark.parametrize("name", ORDERS)
    def test_the_order_in_which_a_map_stores_its_pixels_changes_nothing(self, tmp_path: Path, name: str) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        other = twin(path, ORDERS[name], tmp_path / "twin.tif")
        regions = write_regions(tmp_path / "r.gpkg", [("a", shapely.Point(PLACE @ (30, 20)).buffer(150))])
        one, two = (areas_of([map_], AreaOptions(regions=regions)) for map_ in (path, other))
        np.testing.assert_allclose(two.area_m2, one.area_m2, rtol=1e-12)
        drawn = [draw_sample([map_], SampleRules(size=30, least=10)) for map_ in (path, other)]
        assert (drawn[0].rows == drawn[1].rows).all()


class TestGround:
    @pytest.mark.parametrize(
        ("code", "pixel"), [(4326, 0.0002), (32633, 10.0), (3857, 20.0)], ids=["degrees", "utm", "web-mercator"]
    )
    def test_a_polygon_of_known_area_at_60_degrees_north(self, tmp_path: Path, code: int, pixel: float) -> None:
        """Its area between geodesics, to 0.01 %, though pixels of degrees and Mercator are not what they seem."""
        crs = CRS.from_epsg(code)
        angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        to_map = Transformer.from_crs(32633, crs, always_xy=True)
        ring = np.stack([505_000 + 2_000 * np.cos(angles), 6_655_000 + 3_000 * np.sin(angles)], axis=1)
        lonlat = np.stack(Transformer.from_crs(32633, 4326, always_xy=True).transform(*ring.T), axis=1)
        known = abs(Geod(ellps="WGS84").polygon_area_perimeter(*lonlat.T)[0])
        x, y = to_map.transform(*ring.T)
        left, top = x.min() - 3.3 * pixel, y.max() + 3.7 * pixel
        shape = math.ceil((top - y.min()) / pixel) + 3, math.ceil((x.max() - left) / pixel) + 3
        path = write_map(tmp_path / "map.tif", np.ones(shape, np.uint8), Affine(pixel, 0, left, 0, -pixel, top), crs)
        regions = write_regions(tmp_path / "r.gpkg", [("a", shapely.Polygon(lonlat))], "EPSG:4326")
        table = areas_of([path], AreaOptions(regions=regions))
        assert table.area_m2[0, 0, 1] == pytest.approx(known, rel=1e-4)
        assert table.unseen_m2[0, 0] == 0

    @pytest.mark.parametrize("code", [4326, 3857, 6933, 5880])
    def test_a_partition_of_a_country_adds_up_to_the_whole(self, tmp_path: Path, code: int) -> None:
        """Provinces with common borders over 15 by 20 degrees of Brazil."""
        crs, rng = CRS.from_epsg(code), np.random.default_rng(code)
        x0, y0, x1, y1 = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(-60, -20, -40, -5)
        shape, pixel = (300, 400), ((x1 - x0) / 400, (y1 - y0) / 300)
        values = rng.integers(0, 3, shape).astype(np.uint8)
        path = write_map(tmp_path / "map.tif", values, Affine(pixel[0], 0, x0, 0, -pixel[1], y1), crs)
        nodes = np.stack(np.meshgrid(np.linspace(x0, x1, 9), np.linspace(y0, y1, 7)), axis=-1)
        nodes[1:-1, 1:-1] += rng.normal(0, 2, nodes[1:-1, 1:-1].shape) * pixel
        provinces = [
            (f"{row}{col}", shapely.Polygon(nodes[[row, row, row + 1, row + 1], [col, col + 1, col + 1, col]]))
            for row in range(6) for col in range(8)
        ]  # fmt: skip
        regions = write_regions(tmp_path / "r.gpkg", provinces, crs)
        whole = write_regions(tmp_path / "w.gpkg", [("all", shapely.box(x0, y0, x1, y1))], crs)
        parts = areas_of([path], AreaOptions(regions=regions)).area_m2[0].sum(axis=0)
        assert parts == pytest.approx(areas_of([path], AreaOptions(regions=whole)).area_m2[0, 0], rel=1e-9)
        assert parts == pytest.approx(areas_of([path]).area_m2[0, 0], rel=1e-9)

    @pytest.mark.parametrize("code", [3857, 5880])
    def test_a_partition_in_another_crs_adds_up_and_leaves_nothing_unseen(self, tmp_path: Path, code: int) -> None:
        crs, rng = CRS.from_epsg(code), np.random.default_rng(code)
        x0, y0, x1, y1 = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(-60, -20, -40, -5)
        place = Affine((x1 - x0) / 400, 0, x0, 0, (y0 - y1) / 300, y1)
        path = write_map(tmp_path / "map.tif", ids(300, 400), place, crs)
        nodes = np.stack(np.meshgrid(np.linspace(-58, -42, 5), np.linspace(-18, -7, 4)), axis=-1)
        nodes[1:-1, 1:-1] += rng.normal(0, 0.1, nodes[1:-1, 1:-1].shape)
        parts = [
            (f"{row}{col}", shapely.Polygon(nodes[[row, row, row + 1, row + 1], [col, col + 1, col + 1, col]]))
            for row in range(3) for col in range(4)
        ]  # fmt: skip
        whole = shapely.union_all([one for _, one in parts])
        found, expected = (
            areas_of([path], AreaOptions(regions=write_regions(tmp_path / f"{name}.gpkg", named, "EPSG:4326")))
            for name, named in (("parts", parts), ("whole", [("all", whole)]))
        )
        assert found.area_m2[0].sum(axis=0) == pytest.approx(expected.area_m2[0, 0], rel=1e-9)
        assert not found.unseen_m2.any()

    def test_regions_of_another_crs_are_the_same_ground(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids(400, 600))
        outline = shapely.segmentize(box(33.3, 44.4, 555.5, 333.3), 50)
        own = write_regions(tmp_path / "own.gpkg", [("a", outline)])
        degrees = shapely.transform(
            outline,
            lambda points: np.stack(Transformer.from_crs(UTM, 4326, always_xy=True).transform(*points.T), axis=1),
        )
        other = write_regions(tmp_path / "other.geojson", [("a", degrees)], "EPSG:4326")
        found = [areas_of([path], AreaOptions(regions=one)).area_m2 for one in (own, other)]
        np.testing.assert_allclose(found[0], found[1], rtol=1e-5)

    def test_a_region_far_larger_than_the_crs_of_the_map_covers_it(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        regions = write_regions(tmp_path / "r.gpkg", [("world", shapely.box(-180, -90, 180, 90))], "EPSG:4326")
        found = areas_of([path], AreaOptions(regions=regions))
        assert found.area_m2[0, 0] == pytest.approx(areas_of([path]).area_m2[0, 0], rel=1e-9)
        assert found.unseen_m2[0, 0] == pytest.approx(5.1e14, rel=0.01)

    @pytest.mark.parametrize("pixel", [200.0, 1000.0])
    def test_a_circle_around_a_pole(self, tmp_path: Path, pixel: float) -> None:
        """Its outline is one straight edge in degrees, and a circle on the map."""
        size = int(20_000 / pixel)
        transform = Affine(pixel, 0, -10_000, 0, -pixel, 10_000)
        path = write_map(tmp_path / "map.tif", np.zeros((size, size), np.uint8), transform, CRS.from_epsg(3031))
        regions = write_regions(tmp_path / "r.gpkg", [("cap", shapely.box(-180, -90, 180, -89.95))], "EPSG:4326")
        table = areas_of([path], AreaOptions(regions=regions))
        ring = [(float(lon), -89.95) for lon in np.linspace(-180, 180, 3601)]
        ground = abs(Geod(ellps="WGS84").polygon_area_perimeter(*zip(*ring, strict=True))[0])
        assert table.area_m2[0, 0, 0] == pytest.approx(ground, rel=1e-4)

    def test_turned_maps(self, tmp_path: Path) -> None:
        turned = PLACE @ Affine.rotation(30)
        path = write_map(tmp_path / "map.tif", np.ones((100, 100), np.uint8), turned)
        outline = shapely.Point(turned @ (50, 50)).buffer(300)
        regions = write_regions(tmp_path / "r.gpkg", [("a", outline)])
        table = areas_of([path], AreaOptions(regions=regions))
        assert table.area_m2[0, 0, 1] == pytest.approx(outline.area, rel=1e-3)  # the scale of UTM there
        assert table.unseen_m2[0, 0] == 0

    def test_regions_across_the_antimeridian(self, tmp_path: Path) -> None:
        crs = CRS.from_epsg(4326)
        path = write_map(tmp_path / "map.tif", np.ones((20, 40), np.uint8), Affine(0.01, 0, 179.8, 0, -0.01, 0.1), crs)
        regions = write_regions(tmp_path / "r.gpkg", [("a", shapely.box(-179.95, -0.05, -179.9, 0.05))], crs)
        found = areas_of([path], AreaOptions(regions=regions))
        assert found.area_m2[0, 0, 1] == pytest.approx(111_319.49 * 0.05 * 110_574.3 * 0.1, rel=1e-4)

    def test_without_a_crs_units_are_metres(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids(), crs=None)
        regions = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 10, 10))], None)
        assert areas_of([path], AreaOptions(regions=regions)).area_m2.sum() == pytest.approx(10_000)

    @pytest.mark.parametrize("which", ["map", "regions"])
    def test_a_crs_on_one_side_is_refused(self, tmp_path: Path, which: str) -> None:
        path = write_map(tmp_path / "map.tif", ids(), crs=UTM if which == "map" else None)
        regions = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 10, 10))], UTM if which == "regions" else None)
        with pytest.raises(AreaError, match="coordinate reference system"):
            areas_of([path], AreaOptions(regions=regions))


class TestNotSeen:
    def test_nodata_and_ground_beyond_the_map(self, tmp_path: Path) -> None:
        values = ids()
        values[:, :30] = IGNORE
        path = write_map(tmp_path / "map.tif", values)
        named = [("half", box(20, 10, 40, 20)), ("over", box(50, 0, 70, 40)), ("in", box(40, 0, 50, 40))]
        regions = write_regions(tmp_path / "r.gpkg", named)
        table = areas_of([path], AreaOptions(regions=regions))
        whole = table.area_m2.sum(axis=2) + table.unseen_m2
        np.testing.assert_allclose(table.unseen_m2 / whole, [[0.5, 0.5, 0.0]], atol=2e-5)

    def test_a_region_that_no_map_touches_is_listed_and_said(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        regions = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 9, 9)), ("far", box(900, 0, 910, 10))])
        with pytest.warns(CrispmapWarning, match="far"):
            table = areas_of([path], AreaOptions(regions=regions))
        assert table.area_m2[0, 1].sum() == 0
        assert table.unseen_m2[0, 1] == pytest.approx(10_000, rel=1e-2)

    def test_regions_of_another_place_are_refused(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        regions = write_regions(tmp_path / "r.gpkg", [("far", box(900, 0, 910, 10))])
        with pytest.raises(AreaError, match="No region"):
            areas_of([path], AreaOptions(regions=regions))


class TestDates:
    def test_rows_are_months_in_order_and_parts_add_up(self, tmp_path: Path) -> None:
        east = PLACE @ Affine.translation(60, 0)
        paths = [
            write_map(tmp_path / "b_2022-09.tif", ids(seed=1)),
            write_map(tmp_path / "east_2022-08-02.tif", ids(seed=2), east),
            write_map(tmp_path / "west_2022-08-30.tif", ids(seed=3)),
        ]
        regions = write_regions(tmp_path / "r.gpkg", [("a", box(30, 0, 90, 40))])
        table = areas_of(paths, AreaOptions(regions=regions, date_from="filename"))
        assert table.periods == ("2022-08", "2022-09")
        shares = np.zeros((40, 60))
        shares[:, 30:] = 1
        both = np.add(by_hand(ids(seed=2), shares[:, ::-1], east), by_hand(ids(seed=3), shares))
        assert table.area_m2[0, 0] == pytest.approx(both, rel=1e-9)
        assert table.unseen_m2[0, 0] == 0
        assert table.unseen_m2[1, 0] == pytest.approx(table.area_m2[1].sum(), rel=1e-4)

    def test_a_table_of_dates_implies_its_column(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        (tmp_path / "maps.csv").write_text("map,date\nmap.tif,2022-08\n")
        assert areas_of([path], AreaOptions(dates=tmp_path / "maps.csv")).periods == ("2022-08",)


class TestOverlaps:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> list[Path]:
        """Two maps that share 20 columns, of which the second lacks half the rows."""
        second = np.full((40, 60), 2, np.uint8)
        second[:20] = IGNORE
        return [
            write_map(tmp_path / "one.tif", np.zeros((40, 60), np.uint8)),
            write_map(tmp_path / "two.tif", second, PLACE @ Affine.translation(40, 0)),
        ]

    def test_ground_in_two_maps_is_refused_with_its_area(self, pair: list[Path]) -> None:
        with pytest.raises(AreaError) as caught:
            areas_of(pair)
        assert all(str(path) in caught.value.given for path in pair)
        assert "0.04" in caught.value.given  # 20 x 20 pixels of 100 m2
        assert "overlap=first" in caught.value.remedy

    @pytest.mark.parametrize(("overlap", "pixels"), [("first", (2400, 800)), ("last", (2000, 1200))])
    def test_an_order_resolves_them(self, pair: list[Path], overlap: Any, pixels: tuple[int, int]) -> None:
        found = areas_of(pair, AreaOptions(overlap=overlap)).area_m2[0, 0]
        assert found[[0, 2]] == pytest.approx([100 * one for one in pixels], rel=1e-3)
        swapped = areas_of(pair[::-1], AreaOptions(overlap="last" if overlap == "first" else "first"))
        np.testing.assert_allclose(swapped.area_m2[0, 0], found, rtol=1e-9)

    def test_maps_that_only_touch_are_parts(self, tmp_path: Path) -> None:
        paths = [
            write_map(tmp_path / f"{one}.tif", ids(seed=one), PLACE @ Affine.translation(60 * one, 0))
            for one in range(3)
        ]
        table = areas_of(paths)
        assert table.area_m2.sum() == pytest.approx(sum(areas_of([one]).area_m2.sum() for one in paths), rel=1e-12)

    def test_nodata_of_one_is_no_overlap(self, pair: list[Path], tmp_path: Path) -> None:
        first = np.zeros((40, 60), np.uint8)
        first[20:, 40:] = IGNORE
        one = write_map(tmp_path / "cut.tif", first)
        assert areas_of([one, pair[1]]).area_m2.sum() == pytest.approx(100 * (2000 + 1200), rel=1e-3)

    def test_maps_of_two_crs_are_compared_on_the_ground(self, tmp_path: Path) -> None:
        one = write_map(tmp_path / "one.tif", np.zeros((400, 600), np.uint8))
        lon, lat = Transformer.from_crs(UTM, 4326, always_xy=True).transform(*(PLACE @ (300, 0)))
        place = Affine(0.0001, 0, lon, 0, -0.0001, lat + 0.001)
        two = write_map(tmp_path / "two.tif", np.full((500, 900), 2, np.uint8), place, CRS.from_epsg(4326))
        with pytest.raises(AreaError, match="same ground"):
            areas_of([one, two])
        first, last = (areas_of([one, two], AreaOptions(overlap=way)).area_m2.sum() for way in ("first", "last"))
        assert first == pytest.approx(last, rel=1e-3)  # the union, whoever counts

    def test_maps_of_two_dates_may_show_one_ground(self, tmp_path: Path) -> None:
        paths = [write_map(tmp_path / f"a_2022-0{one}.tif", ids()) for one in (1, 2)]
        assert areas_of(paths, AreaOptions(date_from="filename")).periods == ("2022-01", "2022-02")

    def test_without_a_crs_it_cannot_be_told(self, tmp_path: Path) -> None:
        paths = [write_map(tmp_path / f"{one}.tif", ids(), crs=None) for one in (1, 2)]
        with pytest.raises(AreaError, match="coordinate reference system"):
            areas_of(paths)


class TestBadMaps:
    def test_none_and_twice(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        for paths in ([], [path, path]):
            with pytest.raises(AreaError):
                areas_of(paths)

    def test_other_classes_are_refused(self, tmp_path: Path) -> None:
        other = ClassSchema((ClassDef("forest", "#1a9641"), ClassDef("burnt", "#d7191c")))
        paths = [write_map(tmp_path / "a.tif", ids()), write_map(tmp_path / "b.tif", ids() % 2, schema=other)]
        with pytest.raises(SchemaError, match="burnt"):
            areas_of(paths)

    def test_a_map_without_classes_needs_them(self, tmp_path: Path) -> None:
        import rasterio

        path, values = tmp_path / "map.tif", ids()
        kind = {"count": 1, "dtype": "uint8", "height": 40, "width": 60, "crs": "EPSG:32633", "transform": PLACE}
        with rasterio.open(path, "w", driver="GTiff", **kind) as file:
            file.write(values, 1)
        with pytest.raises(SchemaError, match="classes"):
            areas_of([path])
        assert areas_of([path], schema=SCHEMA).area_m2[0, 0] == pytest.approx(by_hand(values, np.ones(values.shape)))
        two = ClassSchema(SCHEMA.classes[:2])
        with pytest.raises(AreaError, match="value 2"):
            areas_of([path], schema=two)

    def test_what_is_no_map_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "map.tif").write_text("no")
        for path in (tmp_path / "map.tif", tmp_path / "nowhere.tif"):
            with pytest.raises(SceneError):
                areas_of([path])
        with pytest.raises(LabelError):
            areas_of([write_map(tmp_path / "good.tif", ids())], AreaOptions(regions=tmp_path / "nowhere.gpkg"))


def test_no_warning_without_a_reason(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", ids())
    regions = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 30, 40)), ("b", box(30, 0, 60, 40))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        areas_of([path], AreaOptions(regions=regions))
