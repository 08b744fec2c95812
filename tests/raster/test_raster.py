from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from crispmap.errors import GeoreferenceWarning, GridError, SceneError
from crispmap.geo.grid import Block
from crispmap.raster.files import FileScene, open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import has_valid, read_whole

Maker = Callable[..., Path]
TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"]


def ramp(count: int, height: int, width: int, dtype: str = "uint8") -> Any:
    return (np.arange(count * height * width) % 100 + 1).reshape(count, height, width).astype(dtype)


def valid_of(path: Path, **options: Any) -> Any:
    with open_scene(path, **options) as scene:
        image, valid = read_whole(scene)
    assert (image[:, ~valid] == 0).all()
    assert np.isfinite(image).all()
    return valid


# --- values and bands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_type_and_band_count_is_read_as_float32(make_raster: Maker, dtype: str, count: int) -> None:
    array = ramp(count, 6, 7, dtype)
    with open_scene(make_raster(array)) as scene:
        image, valid = read_whole(scene)
        assert scene.band_count == count
        assert isinstance(scene, FileScene)
        assert scene.dtype == dtype
    assert image.dtype == np.float32
    assert valid.all()
    np.testing.assert_array_equal(image, array.astype(np.float32))


def test_negative_values_stay_negative(make_raster: Maker) -> None:
    with open_scene(make_raster(np.full((1, 2, 2), -7, np.int8))) as scene:
        np.testing.assert_array_equal(scene.read(Block(0, 0, 2, 2))[0], -7)


@pytest.mark.parametrize("bands", [(1,), (3, 1), (2, 2), [3, 2, 1]])
def test_bands_come_in_the_order_asked(make_raster: Maker, bands: list[int]) -> None:
    array = ramp(3, 4, 5)
    with open_scene(make_raster(array), bands=bands) as scene:
        image, _ = scene.read(Block(-1, 0, 3, 9))
    padded = np.pad(array, [(0, 0), (1, 0), (0, 4)], mode="symmetric")[:, :3]
    np.testing.assert_array_equal(image, padded[[band - 1 for band in bands]])


def test_names_are_descriptions_else_colours_else_numbers(make_raster: Maker) -> None:
    def describe(dataset: Any) -> None:
        dataset.set_band_description(1, "B8A")

    with open_scene(make_raster(ramp(3, 2, 2), after=describe, photometric="RGB")) as scene:
        assert scene.band_names == ("B8A", "green", "blue")
    with open_scene(make_raster(ramp(3, 2, 2, "int16"), "b.tif"), bands=[3, 1]) as scene:
        assert scene.band_names == ("band_3", "band_1")


@pytest.mark.parametrize("bands", [(0,), (4,), (-1, 1), (1, 99)])
def test_a_band_out_of_range_is_named(make_raster: Maker, bands: tuple[int, ...]) -> None:
    with pytest.raises(SceneError, match=r"has no band (0|4|-1|99)\.\nExpected: band numbers 1\.\.3"):
        open_scene(make_raster(ramp(3, 2, 2)), bands=bands)


def test_no_band_is_an_error(make_raster: Maker) -> None:
    with pytest.raises(SceneError, match="no band"):
        open_scene(make_raster(ramp(3, 2, 2)), bands=[])


def test_complex_values_are_an_error(make_raster: Maker) -> None:
    with pytest.raises(SceneError, match="complex"):
        open_scene(make_raster(np.ones((1, 2, 2), np.complex64)))


# --- valid pixels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_nodata_zero_is_invalid_where_all_bands_hold_it(make_raster: Maker, dtype: str) -> None:
    array = ramp(3, 4, 4, dtype)
    array[0, 0, 0] = 0  # a dark pixel
    array[:, 1, 1] = 0  # no data
    valid = valid_of(make_raster(array, nodata=0))
    assert not valid[1, 1]
    assert valid.sum() == 15
    assert not valid_of(make_raster(array, nodata=0), bands=[1])[0, 0]  # here it is all selected bands


def test_nodata_255_of_8_bit_imagery_is_invalid_where_all_bands_hold_it(make_raster: Maker) -> None:
    array = ramp(3, 4, 4)
    array[0, 0, 0] = 255
    array[:, 1, 1] = 255
    valid = valid_of(make_raster(array, nodata=255))
    assert (~valid).sum() == 1
    assert not valid[1, 1]


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("int16", -9999), ("uint16", 65535), ("float32", -9999.0), ("float64", -1.7976931348623157e308)],
)
def test_a_sentinel_is_invalid_in_any_band(make_raster: Maker, dtype: str, nodata: float) -> None:
    array = ramp(2, 3, 3, dtype)
    array[0, 0, 0] = nodata
    array[1, 2, 2] = nodata
    valid = valid_of(make_raster(array, nodata=nodata))
    assert sorted(zip(*np.nonzero(~valid), strict=True)) == [(0, 0), (2, 2)]


def test_the_least_float32_is_found_though_the_file_stores_it_as_text(make_raster: Maker) -> None:
    lowest = float(np.finfo(np.float32).min)
    array = ramp(1, 2, 2, "float32")
    array[0, 0, 1] = lowest
    assert (~valid_of(make_raster(array, nodata=lowest))).sum() == 1


def test_nan_and_infinity_are_always_invalid(make_raster: Maker) -> None:
    array = ramp(2, 3, 3, "float64")
    array[0, 0, 0], array[1, 0, 1], array[1, 0, 2] = np.nan, np.inf, -np.inf
    array[0, 1, 0] = 1e300  # infinite as float32
    for options in ({}, {"nodata": float("nan")}, {"nodata": -1.0}):
        valid = valid_of(make_raster(array, **options))
        assert (~valid).sum() == 4
        assert valid[1, 1:].all()


def test_alpha_is_a_mask_and_a_band_only_when_asked_for(make_raster: Maker) -> None:
    array = ramp(4, 3, 3)
    array[3] = [[0, 255, 1], [255, 255, 255], [255, 255, 255]]

    def tell(dataset: Any) -> None:
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)

    path = make_raster(array, after=tell)
    with open_scene(path) as scene:
        assert scene.band_names == ("red", "green", "blue")
        _, valid = read_whole(scene)
    assert (~valid).sum() == 1
    assert not valid[0, 0]
    with open_scene(path, bands=[4, 1]) as scene:
        assert scene.band_names == ("alpha", "red")
        image, valid = read_whole(scene)
    assert valid.all()  # a band of the image now, whose darkest value is a value
    np.testing.assert_array_equal(image[0], array[3])


def test_alpha_and_nodata_both_count(make_raster: Maker) -> None:
    array = ramp(2, 2, 2)
    array[1] = [[0, 255], [255, 255]]
    array[0, 1, 1] = 0
    valid = valid_of(make_raster(array, nodata=0, photometric="MINISBLACK", alpha="YES"))
    np.testing.assert_array_equal(valid, [[False, True], [True, False]])


def test_a_raster_of_nothing_but_alpha_has_no_band(make_raster: Maker) -> None:
    def tell(dataset: Any) -> None:
        dataset.colorinterp = (ColorInterp.alpha,)

    with pytest.raises(SceneError, match="besides alpha"):
        open_scene(make_raster(ramp(1, 2, 2), after=tell))


def test_the_mask_band_counts(make_raster: Maker) -> None:
    mask = np.array([[0, 255, 255], [255, 255, 0]], np.uint8)
    path = make_raster(ramp(3, 2, 3), after=lambda dataset: dataset.write_mask(mask))
    np.testing.assert_array_equal(valid_of(path), mask > 0)
    np.testing.assert_array_equal(valid_of(path, bands=[2]), mask > 0)


def test_masks_of_single_bands_count_for_the_bands_read(make_raster: Maker, tmp_path: Path) -> None:
    first = make_raster(ramp(1, 2, 3), "one.tif", after=lambda d: d.write_mask(np.array([[0, 1, 1], [1, 1, 1]]) > 0))
    make_raster(ramp(1, 2, 3), "two.tif", after=lambda d: d.write_mask(np.array([[1, 1, 1], [1, 1, 0]]) > 0))
    bands = "".join(
        f"""<VRTRasterBand dataType="Byte" band="{i}"><SimpleSource>
        <SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
        <MaskBand><VRTRasterBand dataType="Byte"><SimpleSource>
        <SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>mask,1</SourceBand></SimpleSource>
        </VRTRasterBand></MaskBand></VRTRasterBand>"""
        for i, name in ((1, "one.tif"), (2, "two.tif"))
    )
    path = tmp_path / "both.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="3" rasterYSize="2"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>{bands}</VRTDataset>"
    )
    assert first.exists()
    np.testing.assert_array_equal(valid_of(path), [[False, True, True], [True, True, False]])
    np.testing.assert_array_equal(valid_of(path, bands=[2]), [[True, True, True], [True, True, False]])


def test_a_nodata_value_no_pixel_can_hold_is_harmless(make_raster: Maker, tmp_path: Path) -> None:
    make_raster(np.array([[[0, 1, 241]]], np.uint8), "bytes.tif")
    for text in ("-9999", "0.5", "nan"):  # -9999 wraps to 241 in 8 bits
        path = tmp_path / "odd.vrt"
        path.write_text(
            '<VRTDataset rasterXSize="3" rasterYSize="1"><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>'
            f'<VRTRasterBand dataType="Byte" band="1"><NoDataValue>{text}</NoDataValue><SimpleSource>'
            '<SourceFilename relativeToVRT="1">bytes.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
            "</VRTRasterBand></VRTDataset>"
        )
        assert valid_of(path).all()


def test_has_valid_is_false_for_an_empty_scene(make_raster: Maker) -> None:
    array = np.zeros((2, 5, 5), np.uint16)
    with open_scene(make_raster(array, nodata=0)) as scene:
        assert not has_valid(scene)
    array[1, 4, 4] = 9
    with open_scene(make_raster(array, nodata=0)) as scene:
        assert has_valid(scene)


# --- where it lies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4326, 3857, 32631, 2056, 3035])
def test_crs_and_transform_are_those_of_the_file(make_raster: Maker, code: int) -> None:
    transform = Affine(0.5, 0.1, 10.0, 0.2, -0.7, 40.0)  # rotated, not square
    with open_scene(make_raster(ramp(1, 3, 4), crs=f"EPSG:{code}", transform=transform)) as scene:
        assert scene.grid.crs == CRS.from_epsg(code)
        assert scene.grid.transform.almost_equals(transform)
        assert scene.grid.shape == (3, 4)


def test_a_crs_without_a_code_is_kept(make_raster: Maker) -> None:
    text = "+proj=laea +lat_0=12 +lon_0=34 +ellps=GRS80 +units=m"
    with open_scene(make_raster(ramp(1, 3, 4), crs=text)) as scene:
        assert scene.grid.crs is not None
        assert "Azimuthal" in scene.grid.crs.to_wkt()
        assert scene.grid.gsd_m() == pytest.approx((2, 2), rel=0.2)


def test_no_georeference_warns_and_counts_pixels(tmp_path: Path) -> None:
    Image.fromarray(ramp(1, 4, 6)[0]).save(tmp_path / "plain.png")
    with pytest.warns(GeoreferenceWarning, match=r"plain\.png has no georeference.*assume_gsd_m.*gdal_edit") as caught:
        scene = open_scene(tmp_path / "plain.png")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert scene.grid.crs is None
    assert scene.grid.transform == Affine.identity()
    assert scene.grid.gsd_m() == (1.0, 1.0)
    scene.close()


def test_an_assumed_distance_places_a_plain_image(tmp_path: Path) -> None:
    Image.fromarray(ramp(1, 4, 6)[0]).save(tmp_path / "plain.png")
    with open_scene(tmp_path / "plain.png", assume_gsd_m=0.5) as scene:
        assert scene.grid.transform == Affine.scale(0.5, -0.5)
        assert scene.grid.gsd_m() == (0.5, 0.5)
    with open_scene(tmp_path / "plain.png", assume_gsd_m=0.5, gsd_m=1.0) as scene:
        assert scene.grid.shape == (2, 3)


def test_an_assumed_distance_does_not_override_the_file(make_raster: Maker) -> None:
    with open_scene(make_raster(ramp(1, 4, 6)), assume_gsd_m=77) as scene:
        assert scene.grid.transform.a == 2


def test_a_world_file_in_degrees_is_suspected(make_raster: Maker) -> None:
    transform = Affine(1e-6, 0, 85.0, 0, -1e-6, 27.0)
    with pytest.warns(GeoreferenceWarning, match="probably degrees") as caught:
        open_scene(make_raster(ramp(1, 4, 6), crs=None, transform=transform)).close()
    assert caught[0].filename == __file__
    with open_scene(make_raster(ramp(1, 4, 6), crs=None)) as scene:  # metres: nothing to say
        assert scene.grid.crs is None
        assert scene.grid.gsd_m() == (2.0, 2.0)


def test_ground_control_points_alone_are_refused(make_raster: Maker) -> None:
    points = [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 4), (4, 0))]
    path = make_raster(ramp(1, 4, 4), transform=None, gcps=points)
    with pytest.raises(SceneError, match=r"(?s)ground control points.*gdalwarp"):
        open_scene(path)
    with open_scene(path, assume_gsd_m=2) as scene:
        assert scene.grid.crs is None


def test_a_crs_not_tied_to_the_earth_has_no_distance(make_raster: Maker) -> None:
    path = make_raster(ramp(1, 4, 4), crs='LOCAL_CS["site",UNIT["metre",1]]')
    with open_scene(path) as scene:
        assert scene.grid.crs is not None
    with pytest.raises(GridError, match="not tied to the earth"):
        open_scene(path, gsd_m=1)


# --- another distance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gsd_m", "resampled"), [(None, False), (2.0, False), (2.01, False), (2.1, True), (1, True)])
def test_another_distance_resamples_and_its_own_does_not(
    make_raster: Maker, gsd_m: float | None, resampled: bool
) -> None:
    path = make_raster(ramp(2, 20, 30), transform=Affine(2.0, 0, 500_000, 0, -2.0, 0))
    with open_scene(path, gsd_m=gsd_m) as scene:
        assert isinstance(scene, ResampledScene) is resampled
        assert scene.band_names == ("band_1", "band_2")
        assert scene.path == path
        if gsd_m:
            assert scene.grid.mean_gsd_m() == pytest.approx(gsd_m, rel=0.01)


def test_pixels_that_are_not_square_become_square(make_raster: Maker) -> None:
    path = make_raster(ramp(1, 20, 30), crs="EPSG:4326", transform=Affine(1e-5, 0, 10, 0, -1e-5, 60))
    with open_scene(path, gsd_m=1.0) as scene:
        assert scene.grid.gsd_m() == pytest.approx((1, 1), rel=1e-3)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_distance_out_of_range_is_an_error(make_raster: Maker, value: float) -> None:
    path = make_raster(ramp(1, 2, 2))
    with pytest.raises(SceneError, match="gsd_m is"):
        open_scene(path, gsd_m=value)
    with pytest.raises(SceneError, match="assume_gsd_m is"):
        open_scene(path, assume_gsd_m=value)


# --- files that cannot be used ------------------------------------------------------------------------------


def test_a_missing_file_a_folder_and_a_text_are_distinguished(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.tif does not exist"):
        open_scene(tmp_path / "nowhere.tif")
    with pytest.raises(SceneError, match="is a folder"):
        open_scene(tmp_path)
    (tmp_path / "notes.tif").write_text("hello")
    with pytest.raises(SceneError, match="cannot be opened as a raster"):
        open_scene(str(tmp_path / "notes.tif"))
    (tmp_path / "empty.tif").touch()
    with pytest.raises(SceneError, match="cannot be opened as a raster"):
        open_scene(tmp_path / "empty.tif")


def test_vectors_in_place_of_a_raster_are_guessed(tmp_path: Path) -> None:
    for name, guessed in (("osm.gpkg", True), ("OSM.GeoJSON", True), ("scene.tif", False)):
        path = tmp_path / name
        path.write_text("no raster")
        with pytest.raises(SceneError, match="cannot be opened") as caught:
            open_scene(path)
        assert ("These seem to be vectors" in caught.value.remedy) is guessed


def test_a_container_without_bands_lists_what_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Container:
        count = 0
        subdatasets = ("HDF5:x:red", "HDF5:x:nir")

        def close(self) -> None: ...

    path = tmp_path / "x.h5"
    path.write_text("a container")
    monkeypatch.setattr(rasterio, "open", lambda *_: Container())
    with pytest.raises(SceneError, match=r"has no bands[\s\S]*HDF5:x:red, HDF5:x:nir"):
        open_scene(path)


def test_a_truncated_tiff_names_file_and_block(make_raster: Maker) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1, 512, 512)).astype(np.uint8)
    path = make_raster(noise, compress="deflate", tiled=True, blockxsize=256, blockysize=256)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with open_scene(path) as scene:
        scene.read(Block(0, 0, 10, 10))
        with pytest.raises(SceneError, match=r"scene\.tif cannot be read at rows 300\.\.309, columns 400\.\.419"):
            scene.read(Block(300, 400, 10, 20))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_picture_is_an_error_not_noise(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with open_scene(path, assume_gsd_m=1) as scene, pytest.raises(SceneError, match="cannot be read"):
        read_whole(scene)


def test_a_crs_that_makes_no_sense_is_an_error(make_raster: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyproj.exceptions import CRSError

    def refuse(_: object) -> CRS:
        raise CRSError("no such thing")

    monkeypatch.setattr(CRS, "from_epsg", refuse)
    with pytest.raises(SceneError, match=r"CRS of .* cannot be understood"):
        open_scene(make_raster(ramp(1, 2, 2)))


def test_a_file_whose_georeference_lies_beside_it(make_raster: Maker, tmp_path: Path) -> None:
    Image.fromarray(np.moveaxis(ramp(3, 16, 16), 0, 2)).save(tmp_path / "tile.tif", format="JPEG")
    (tmp_path / "tile.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>85.5, 1.3e-6, 0, 27.6, 0, -1.2e-6</GeoTransform></PAMDataset>"
    )
    with open_scene(tmp_path / "tile.tif") as scene:
        assert scene.grid.crs == CRS.from_epsg(4326)
        assert scene.grid.transform.a == 1.3e-6


def test_threads_may_share_a_scene(make_raster: Maker) -> None:
    array = ramp(3, 128, 128)
    with open_scene(make_raster(array, compress="deflate")) as scene, ThreadPoolExecutor(8) as pool:
        blocks = list(scene.grid.blocks(16)) * 4
        for block, (image, _) in zip(blocks, pool.map(scene.read, blocks), strict=True):
            np.testing.assert_array_equal(image, array[:, *block.slices])


# --- real files ---------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "shape", "bands", "code", "gsd_m"),
    [
        ("banepa/banepa_rgb.tif", (4096, 2048), ("red", "green", "blue"), 4326, 0.132),
        ("banepa/raw_tiles/OAM-386690-220241-19.tif", (512, 512), ("red", "green", "blue"), 4326, 0.132),
        ("kampala/A_z19_rgb.tif", (512, 768), ("red", "green", "blue"), 3857, 0.298),
        ("spacenet/RGB-PanSharpen_AOI_2_Vegas_img0.tif", (1300, 1300), ("red", "green", "blue"), 4326, 0.27),
        ("spacenet/rotterdam_ms1.tif", (300, 300), ("band_1", "band_2", "band_3", "band_4"), 32631, 1.0),
        ("landsat/corumba_after_L1TP_B5.tif", (901, 667), ("band_1",), 32621, 30.0),
        ("cbers4a/MULTISPECTRAL.tif", (44, 89), ("band_1", "band_2", "band_3"), 32720, 8.0),
        ("cbers4a/PANSHARP.tif", (180, 360), ("band_1", "band_2", "band_3"), 32720, 2.0),
        ("boston3/fullyconv_image.png", (931, 1248), ("red", "green", "blue"), None, 1.0),
        ("deepglobe/10901_sat.jpg", (2448, 1632), ("red", "green", "blue"), None, 0.5),
    ],
)
def test_real_files_open(
    real_data: Path, name: str, shape: tuple[int, int], bands: tuple[str, ...], code: int | None, gsd_m: float
) -> None:
    with open_scene(real_data / name, assume_gsd_m=gsd_m) as scene:
        assert scene.grid.shape == shape
        assert scene.band_names == bands
        assert scene.grid.crs == (None if code is None else CRS.from_epsg(code))
        assert scene.grid.mean_gsd_m() == pytest.approx(gsd_m, rel=0.02)
        block = Block(-40, shape[1] - 60, 100, 100)
        image, valid = scene.read(block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(real_data / name) as dataset:
            whole = dataset.read(list(range(1, len(bands) + 1))).astype(np.float32)
    padded = np.pad(whole, [(0, 0), (40, 60), (0, 40)], mode="symmetric")
    np.testing.assert_array_equal(image[:, valid], padded[:, :100, shape[1] - 60 :][:, valid])
    assert valid.mean() > 0.9


@pytest.mark.realdata
def test_a_truncated_real_png_is_an_error(real_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    shutil.copyfile(real_data / "boston3/fullyconv_image.png", path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with open_scene(path, assume_gsd_m=1) as scene, pytest.raises(SceneError, match="cannot be read"):
        read_whole(scene)
