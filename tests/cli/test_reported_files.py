"""Files of which other tools' users reported faults: each is mapped, drawn or scored right, or refused with the reason.

The note of each test names a report of the kind; inputs are our own.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.control import GroundControlPoint
from small_place import CORNER, PLACE, SHAPE, image, run, truth, write_models, write_raster, write_vectors
from typer.testing import Result

CLASSES = """\
- {name: ground, colour: "#000000"}
- {name: house, colour: "#ff0000", osm: building}
- {name: road, colour: "#0000ff", osm: road, width_m: 5}
"""
TRANSFORM = PLACE["transform"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a scene, vectors of houses and roads, classes."""
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "scene.tif", image())
    write_vectors(tmp_path / "osm.gpkg")
    (tmp_path / "classes.yaml").write_text(CLASSES)
    shutil.copy(models / "coarse.safetensors", tmp_path / "coarse.safetensors")
    return tmp_path


def class_map(scene: str | Path) -> np.ndarray:
    """The map of a scene."""
    result = run("predict", scene, "--model", "coarse.safetensors", "--out", "map.tif", "--force", "--engine", "torch")
    assert result.exit_code == 0, result.output
    return values("map.tif")


def drawn(vectors: str | Path, like: str | Path = "scene.tif", *options: str) -> np.ndarray:
    """What is drawn of vectors or a mask."""
    result = rasterize(vectors, like, *options)
    assert result.exit_code == 0, result.output
    return values("drawn.tif")


def refusal(vectors: str | Path, *options: str) -> str:
    result = rasterize(vectors, "scene.tif", *options)
    assert result.exit_code == 2, result.output
    assert "Remedy: " in result.stderr
    return result.stderr


def rasterize(vectors: str | Path, like: str | Path, *options: str) -> Result:
    return run(
        *("rasterize", vectors, "--like", like, "--out", "drawn.tif", "--force", "--classes", "classes.yaml"), *options
    )


def values(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


class TestScenes:
    def test_a_nodata_value_outside_the_type_of_the_pixels_is_none(self, here: Path) -> None:
        """rasterio/rasterio#289: GDAL takes the nearest value in the range."""
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>-9999</NoDataValue><SimpleSource>'
            f'<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>{band}</SourceBand>'
            "</SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        (here / "a.vrt").write_text(
            f'<VRTDataset rasterXSize="{SHAPE[1]}" rasterYSize="{SHAPE[0]}"><SRS>EPSG:32631</SRS><GeoTransform>'
            f"{','.join(map(str, TRANSFORM.to_gdal()))}</GeoTransform>{bands}</VRTDataset>"
        )
        np.testing.assert_array_equal(class_map("a.vrt"), class_map("scene.tif"))

    @pytest.mark.parametrize("nodata", [-3.4028234663852886e38, -3.402823e38])
    def test_the_lowest_float_is_nodata_as_it_is_rounded(self, here: Path, nodata: float) -> None:
        """LayerManager/layman#667."""
        pixels = image().astype(np.float32)
        pixels[:, :20, :20] = np.float32(nodata)
        unknown = class_map(write_raster(here / "a.tif", pixels, nodata=nodata)) == 255
        assert unknown[:20, :20].all()
        assert unknown.sum() == 400

    def test_undeclared_nan_and_infinity_are_nodata(self, here: Path) -> None:
        """fieldsoftheworld/ftw-baselines#261: they spoil the map around them."""
        pixels = image().astype(np.float32)
        pixels[:, :20, :20], pixels[0, 40, 40] = np.nan, np.inf
        unknown = class_map(write_raster(here / "a.tif", pixels)) == 255
        assert unknown[:20, :20].all()
        assert unknown[40, 40]
        assert unknown.sum() == 401

    def test_feet_are_not_metres(self, here: Path) -> None:
        """developmentseed/morecantile#85."""
        feet = 1 / 0.3048006096012192
        place = {"crs": "EPSG:2263", "transform": Affine(feet, 0, 980_000, 0, -feet, 200_000)}
        write_raster(here / "a.tif", image(), **place)
        assert json.loads(run("info", "a.tif", "--json").stdout)["gsd_m"] == pytest.approx([1, 1], abs=1e-4)
        np.testing.assert_array_equal(class_map("a.tif"), class_map("scene.tif"))

    def test_pixels_that_are_points_are_not_moved(self, here: Path) -> None:
        """ACCESS-Cloud-Based-InSAR/dem-stitcher#31: moved by half a pixel."""
        with rasterio.open(write_raster(here / "a.tif", image()), "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
        class_map("a.tif")
        with rasterio.open("a.tif") as scene, rasterio.open("map.tif") as made:
            assert made.transform == scene.transform
        np.testing.assert_array_equal(drawn("osm.gpkg", "a.tif"), truth())

    def test_ground_control_points_alone_are_refused(self, here: Path) -> None:
        """locationtech/geotrellis#2455: read as an affine transform."""
        corners = [(0, 0), (0, SHAPE[1]), (SHAPE[0], 0)]
        points = [GroundControlPoint(row, col, *(TRANSFORM @ (col, row))) for row, col in corners]
        write_raster(here / "a.tif", image(), transform=None, gcps=points)
        result = rasterize("osm.gpkg", "a.tif")
        assert result.exit_code == 2
        assert "gdalwarp" in result.stderr

    def test_a_crs_with_heights_is_that_of_the_plane(self, here: Path) -> None:
        """connormanning/entwine#305: compound coordinate systems."""
        write_raster(here / "a.tif", image(), crs=CRS("EPSG:32631+5773").to_wkt())
        np.testing.assert_array_equal(drawn("osm.gpkg", "a.tif"), truth())

    def test_longitudes_to_360_are_those_of_the_west(self, here: Path) -> None:
        """tcarleton/stagg#57."""
        pixels = image(shape=(64, 64))
        write_raster(here / "a.tif", pixels, crs="EPSG:4326", transform=Affine(1e-5, 0, 239.99968, 0, -1e-5, 40.00032))
        house = shapely.box(-120.0001, 39.9999, -119.9999, 40.0001)
        gpd.GeoDataFrame({"building": ["yes"]}, geometry=[house], crs=4326).to_file("a.gpkg")
        assert (drawn("a.gpkg", "a.tif") == 1).sum() == 400

    def test_a_local_engineering_system_is_told_with_what_to_do(self, here: Path) -> None:
        """A LOCAL_CS, as photogrammetry programs write where they know no place."""
        write_raster(here / "a.tif", image(), crs=rasterio.crs.CRS.from_wkt('LOCAL_CS["mine",UNIT["metre",1]]'))
        result = rasterize("osm.gpkg", "a.tif")
        assert result.exit_code == 2
        assert "a_srs" in result.stderr

    @pytest.mark.parametrize("name", ["sc#ene%20 é;.tif", "2024-01-01T10:30:00.tif", "s[1].tif"])
    def test_names_with_the_marks_of_addresses_and_patterns_are_names(self, here: Path, name: str) -> None:
        """silx-kit/fabio#212, opendatacube/datacube-core#608."""
        shutil.copy("scene.tif", name)
        np.testing.assert_array_equal(class_map(name), class_map("scene.tif"))


class TestVectors:
    def test_the_old_crs_member_of_geojson_counts(self, here: Path) -> None:
        whole = json.loads(gpd.read_file("osm.gpkg").to_json())
        whole["crs"] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
        (here / "a.geojson").write_text(json.dumps(whole))
        np.testing.assert_array_equal(drawn("a.geojson"), truth())
        del whole["crs"]
        (here / "b.geojson").write_text(json.dumps(whole))
        assert "degrees" in refusal("b.geojson")
        np.testing.assert_array_equal(drawn("b.geojson", "scene.tif", "--assume-crs", "EPSG:32631"), truth())

    def test_latitude_first_as_gml_writes_it_is_read_so(self, here: Path) -> None:
        """openlayers/openlayers#6944, r-spatial/sf#1033."""
        gpd.read_file("osm.gpkg").to_crs(4326).to_file("a.gml", driver="GML")
        np.testing.assert_array_equal(drawn("a.gml"), truth())

    def test_the_styles_that_qgis_keeps_beside_layers_are_no_layer(self, here: Path) -> None:
        """geofileops/geofileops#124."""
        styles = pd.DataFrame({"f_table_name": ["osm"], "styleQML": ["<qgis/>"]})
        pyogrio.write_dataframe(styles, "osm.gpkg", layer="layer_styles", driver="GPKG")
        np.testing.assert_array_equal(drawn("osm.gpkg"), truth())

    def test_parts_of_a_multipolygon_that_overlap_are_drawn_once(self, here: Path) -> None:
        """qgis/QGIS#42680: invalid polygons; repaired by parity, the overlap becomes a hole."""
        left, top = CORNER
        parts = [shapely.box(left + start, top - 20, left + start + 10, top - 10) for start in (10, 15)]
        gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.MultiPolygon(parts)], crs=32631).to_file("a.gpkg")
        assert (drawn("a.gpkg") == 1).sum() == 150

    def test_a_cap_about_the_pole_is_drawn_round(self, here: Path) -> None:
        """corteva/rioxarray#230: with only its corners reprojected, it has no area."""
        place = {"crs": "EPSG:3031", "transform": Affine(1000, 0, -50_000, 0, -1000, 50_000)}
        write_raster(here / "a.tif", image(shape=(100, 100)), **place)
        cap = shapely.box(-180, -90, 180, -89.8)
        gpd.GeoDataFrame({"building": ["yes"]}, geometry=[cap], crs=4326).to_file("a.gpkg")
        radius = shapely.get_y(gpd.GeoSeries([shapely.Point(0, -89.8)], crs=4326).to_crs(3031))[0] / 1000
        assert (drawn("a.gpkg", "a.tif") == 1).sum() == pytest.approx(math.pi * radius**2, rel=0.01)

    def test_lines_of_geojson_are_vectors_under_any_name(self, here: Path) -> None:
        features = json.loads(gpd.read_file("osm.gpkg").to_crs(4326).to_json())["features"]
        (here / "a.geojsons").write_text("".join(f"\x1e{json.dumps(one)}\n" for one in features))
        np.testing.assert_array_equal(drawn("a.geojsons"), truth())

    def test_of_a_packed_file_the_message_tells_to_unpack_it(self, here: Path) -> None:
        """microsoft/GlobalMLBuildingFootprints#41."""
        (here / "a.geojson.gz").write_bytes(b"\x1f\x8b")
        assert "gunzip" in refusal("a.geojson.gz")


class TestMasks:
    def test_a_nodata_value_that_is_a_class_is_asked_about(self, here: Path) -> None:
        """GispoCoding/eis_toolkit#496: tools that draw vectors declare the background as nodata."""
        write_raster(here / "a.tif", truth()[None], nodata=0)
        assert "unsetnodata" in refusal("a.tif")
        np.testing.assert_array_equal(
            drawn("a.tif", "scene.tif", "--unknown", "ignore"), np.where(truth() == 0, 255, truth())
        )
        result = run("evaluate", "drawn.tif", "--reference", "a.tif", "--classes", "classes.yaml")
        assert result.exit_code == 2

    def test_a_nodata_value_that_no_pixel_has_is_no_question(self, here: Path) -> None:
        ids = np.maximum(truth(), 1)
        np.testing.assert_array_equal(drawn(write_raster(here / "a.tif", ids[None], nodata=0)), ids)

    def test_masks_of_one_bit_and_of_floats_are_ids(self, here: Path) -> None:
        """OSGeo/grass#2905."""
        roads = (truth() == 1).astype(np.uint8)
        np.testing.assert_array_equal(drawn(write_raster(here / "a.tif", roads[None], nbits=1)), roads)
        np.testing.assert_array_equal(drawn(write_raster(here / "b.tif", truth()[None].astype(np.float32))), truth())

    def test_minus_one_is_unknown_where_it_is_declared_and_else_asked_about(self, here: Path) -> None:
        ids = truth()[None].astype(np.int16)
        ids[:, :5] = -1
        assert "-1" in refusal(write_raster(here / "a.tif", ids))
        np.testing.assert_array_equal(
            drawn(write_raster(here / "b.tif", ids, nodata=-1)), np.where(ids[0] < 0, 255, ids[0])
        )


def test_the_folder_of_the_output_is_asked_for_before_any_work(here: Path) -> None:
    result = run("predict", "scene.tif", "--model", "coarse.safetensors", "--out", "no/such/map.tif")
    assert result.exit_code == 2
    assert f"mkdir -p {here / 'no' / 'such'}" in result.stderr
    assert not os.path.lexists("no")
