"""Regions as agencies have them: mended, united and left out aloud, and refused where totals would mislead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from affine import Affine
from area_inputs import PLACE, UTM, box, write_regions
from pyproj import CRS

from crispmap.areas import placed
from crispmap.areas.regions import read_regions
from crispmap.errors import AreaError, CrispmapWarning, LabelError
from crispmap.geo.grid import Grid

BOW = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])  # crosses itself; two triangles of 25


def test_names_and_outlines_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write_regions(tmp_path / "r.gpkg", [("b", box(0, 0, 1, 1)), (" a ", box(1, 0, 2, 1))], code=[7, 8])
    assert read_regions(path).names == ("b", "a")
    assert read_regions(path, "code").names == ("7", "8")
    assert read_regions(path, "NAME").names == ("b", "a")  # as databases write it
    assert read_regions(path).areas_m2() == pytest.approx([100, 100], rel=1e-3)


class TestColumns:
    def test_a_column_that_is_not_there_names_those_that_are(self, tmp_path: Path) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 1, 1))], biome=["x"])
        with pytest.raises(AreaError, match="bioma") as caught:
            read_regions(path, "bioma")
        assert "biome" in caught.value.expected
        assert "biome" in caught.value.remedy

    @pytest.mark.parametrize("name", [None, "", "  "])
    def test_a_region_without_a_name_is_refused(self, tmp_path: Path, name: str | None) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 1, 1)), (name, box(1, 0, 2, 1))])
        with pytest.raises(AreaError, match="1 feature"):
            read_regions(path)

    @pytest.mark.parametrize("name", ["a\x1b[31mb", "a\x07", "\x01"])
    def test_a_name_with_control_characters_is_refused(self, tmp_path: Path, name: str) -> None:
        """A terminal would obey them, and Excel has no place for them."""
        path = write_regions(tmp_path / "r.gpkg", [(name, box(0, 0, 1, 1))])
        with pytest.raises(AreaError) as caught:
            read_regions(path)
        assert repr(name) in caught.value.given

    def test_a_name_is_one_line(self, tmp_path: Path) -> None:
        path = write_regions(tmp_path / "r.gpkg", [(" Mato\r\nGrosso\t do Sul ", box(0, 0, 1, 1))])
        assert read_regions(path).names == ("Mato Grosso do Sul",)

    def test_several_layers_need_a_name(self, tmp_path: Path) -> None:
        path = tmp_path / "r.gpkg"
        for layer in ("biomes", "states"):
            frame = gpd.GeoDataFrame({"name": [layer]}, geometry=[box(0, 0, 1, 1)], crs=UTM)
            frame.to_file(path, layer=layer, engine="pyogrio")
        with pytest.raises(AreaError, match="states"):
            read_regions(path)
        assert read_regions(path, layer="states").names == ("states",)
        with pytest.raises(LabelError):
            read_regions(path, layer="towns")


class TestOutlines:
    def test_one_that_crosses_itself_is_mended_and_said(self, tmp_path: Path) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("bow", BOW), ("a", shapely.box(20, 0, 30, 10))])
        with pytest.warns(CrispmapWarning, match="1 outline .* bow"):
            regions = read_regions(path)
        assert shapely.is_valid(regions.outlines).all()
        assert shapely.area(regions.outlines).tolist() == [50, 100]

    def test_one_without_an_outline_is_left_out_and_said(self, tmp_path: Path) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("a", box(0, 0, 1, 1)), ("hole", shapely.Polygon()), ("none", None)])
        with pytest.warns(CrispmapWarning, match="2 features .* hole, none"):
            assert read_regions(path).names == ("a",)

    @pytest.mark.parametrize("outline", [None, shapely.Polygon()])
    def test_none_at_all_is_refused(self, tmp_path: Path, outline: Any) -> None:
        path = write_regions(tmp_path / "r.geojson", [("a", outline)], "EPSG:4326")
        with pytest.raises((AreaError, LabelError)):
            read_regions(path)

    def test_polygons_among_other_shapes_are_the_region(self, tmp_path: Path) -> None:
        mixed = shapely.GeometryCollection([box(0, 0, 1, 1), shapely.Point(0, 0)])
        path = write_regions(
            tmp_path / "r.gpkg", [("a", mixed), ("b", shapely.GeometryCollection([shapely.Point(0, 0)]))]
        )
        with pytest.warns(CrispmapWarning, match="1 feature .* b"):
            assert shapely.area(read_regions(path).outlines).tolist() == [100]

    @pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_coordinates_that_are_not_finite_are_refused(self, tmp_path: Path, value: float) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("a", shapely.Polygon([(0, 0), (value, 1), (1, 1), (1, 0)]))])
        with pytest.raises(AreaError, match="not finite"):
            read_regions(path)

    def test_a_file_without_features_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "r.geojson").write_text('{"type": "FeatureCollection", "features": []}')
        with pytest.raises((AreaError, LabelError), match="no feature"):
            read_regions(tmp_path / "r.geojson")

    @pytest.mark.parametrize("outline", [shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])])
    def test_points_and_lines_are_refused(self, tmp_path: Path, outline: Any) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("a", outline)])
        with pytest.raises((AreaError, LabelError)):
            read_regions(path)

    def test_features_of_one_name_are_one_region(self, tmp_path: Path) -> None:
        named = [("b", box(0, 0, 2, 1)), ("a", box(5, 0, 6, 1)), ("b", box(1, 0, 3, 1))]
        path = write_regions(tmp_path / "r.gpkg", named)
        with pytest.warns(CrispmapWarning, match="1 region .* b"):
            regions = read_regions(path)
        assert regions.names == ("b", "a")
        assert shapely.area(regions.outlines) == pytest.approx([300, 100])  # what both cover counts once


class TestOverlaps:
    def test_they_are_refused_with_both_names_and_the_area(self, tmp_path: Path) -> None:
        named = [("a", box(0, 0, 10, 10)), ("b", box(9, 0, 20, 10)), ("c", box(20, 0, 30, 10))]
        path = write_regions(tmp_path / "r.gpkg", named)
        with pytest.raises(AreaError, match="a and b") as caught:
            read_regions(path)
        assert "1,00" in caught.value.given  # 10 pixels of 100 m2, by the scale of UTM
        assert "overlapping_regions=count" in caught.value.remedy
        with pytest.warns(CrispmapWarning, match="twice"):
            assert len(read_regions(path, overlaps="count").names) == 3

    def test_one_inside_another_is_an_overlap(self, tmp_path: Path) -> None:
        path = write_regions(tmp_path / "r.gpkg", [("state", box(0, 0, 10, 10)), ("town", box(2, 2, 4, 4))])
        with pytest.raises(AreaError, match=r"100\.00 %"):
            read_regions(path)

    def test_two_drawings_of_one_border_are_said(self, tmp_path: Path) -> None:
        named = [("a", box(0, 0, 100, 100)), ("b", box(99.999, 0, 200, 100))]
        path = write_regions(tmp_path / "r.gpkg", named)
        with pytest.warns(CrispmapWarning, match="1 pair"):
            read_regions(path)

    def test_the_precision_of_coordinates_is_no_overlap(self, tmp_path: Path) -> None:
        left = shapely.Polygon([PLACE @ one for one in ((0, 0), (10, 0), (13, 10), (0, 10))])
        corner = PLACE @ (10 + 3 * 0.3137, 3.137)  # on the border of the other but for rounding
        right = shapely.Polygon([PLACE @ (10, 0), PLACE @ (20, 0), PLACE @ (20, 10), PLACE @ (13, 10), corner])
        path = write_regions(tmp_path / "r.gpkg", [("a", left), ("b", right)])
        assert read_regions(path).names == ("a", "b")

    def test_borders_with_other_corners_are_none(self, tmp_path: Path) -> None:
        left = shapely.segmentize(box(0, 0, 10, 10), 7)
        path = write_regions(tmp_path / "r.gpkg", [("a", left), ("b", box(10, 0, 20, 10))])
        assert read_regions(path).names == ("a", "b")


def test_what_has_no_place_in_the_crs_of_the_map_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where regions cannot be cut to the surroundings of the map, because these have no box in their CRS."""
    monkeypatch.setattr(placed, "grid_box", lambda *_: None)
    regions = read_regions(write_regions(tmp_path / "r.gpkg", [("a", shapely.box(-10, -89, 10, 95))], "EPSG:4326"))
    grid = Grid(CRS.from_epsg(3395), Affine(1000, 0, 0, 0, -1000, 1000), (10, 10))
    with pytest.raises(AreaError, match="cannot be expressed"):
        placed.regions_on(regions, grid)
