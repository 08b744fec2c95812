"""Bands in files of their own: one scene, pixel by pixel that of one file with all of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from crispmap.errors import GeoreferenceWarning, GridError, SceneError
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import read_whole
from crispmap.raster.stack import gdal_source
from range_server import RangeServer

Maker = Callable[..., Path]


def ref_of(*paths: Path | str, **options: Any) -> SceneRef:
    return SceneRef("scene", tuple(str(path) for path in paths), **options)


@given(
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]),
    counts=st.lists(st.integers(1, 2), min_size=2, max_size=4),
    nodata=st.sampled_from([None, 0, 100, float("nan")]),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_of_bands_read_as_one_file_of_them(
    make_raster: Maker, dtype: str, counts: list[int], nodata: float | None, seed: int
) -> None:
    if nodata is not None and np.isnan(nodata) and not dtype.startswith("float"):
        nodata = None
    array = np.random.default_rng(seed).choice([0, 1, 7, 100], (sum(counts), 9, 14)).astype(dtype)
    # As plain bands: GDAL would take the fourth of four bands of bytes for alpha.
    whole = make_raster(array, "whole.tif", nodata=nodata, photometric="MINISBLACK")
    stops = np.cumsum(counts)
    files = [
        make_raster(array[stop - count : stop], f"{stop}.tif", nodata=nodata, photometric="MINISBLACK")
        for stop, count in zip(stops, counts, strict=True)
    ]
    order = [int(one) + 1 for one in np.random.default_rng(seed).permutation(len(array))]
    for bands in (None, order[:2]):
        with open_scene(whole, bands=bands) as one, open_scene(ref_of(*files), bands=bands) as stacked:
            assert stacked.grid == one.grid
            for mine, other in zip(read_whole(stacked), read_whole(one), strict=True):
                np.testing.assert_array_equal(mine, other)


def test_masks_alpha_and_names_of_the_files_count(make_raster: Maker) -> None:
    array = np.full((2, 3, 4), 9, np.uint8)

    def masked(dataset: Any) -> None:
        dataset.write_mask(np.arange(12).reshape(3, 4) > 0)

    def with_alpha(dataset: Any) -> None:
        assert dataset.colorinterp == (ColorInterp.gray, ColorInterp.alpha)
        dataset.set_band_description(1, "NIR")

    array[1, 2, 3] = 0
    files = (
        make_raster(array[:1], "B4.tif", after=masked),
        make_raster(array, "B8.tif", after=with_alpha, photometric="MINISBLACK", alpha="YES"),
    )
    with open_scene(ref_of(*files)) as scene:
        assert scene.band_names == ("B4", "NIR")
        valid = read_whole(scene)[1]
    assert (~valid).sum() == 2
    assert not valid[0, 0]
    assert not valid[2, 3]
    with open_scene(ref_of(*files, band_names=("red", "x", "y"))) as scene:
        assert scene.band_names == ("red", "NIR")


def test_bands_of_one_file_are_distinguished(make_raster: Maker) -> None:
    files = make_raster(np.ones((1, 3, 4), np.uint16), "B4.tif"), make_raster(np.ones((2, 3, 4), np.uint16), "x.tif")
    with open_scene(ref_of(*files)) as scene:
        assert scene.band_names == ("B4", "x_1", "x_2")


@pytest.mark.parametrize(
    "other",
    [
        {"transform": Affine(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_000_000.0)},
        {"transform": Affine(2.0, 0.0, 500_900.0, 0.0, -2.0, 5_000_000.0)},
        {"crs": "EPSG:32632"},
        {"crs": None},
    ],
)
def test_files_on_different_grids_are_both_named(make_raster: Maker, other: dict[str, Any]) -> None:
    array = np.ones((1, 4, 5), np.uint8)
    files = make_raster(array, "B4.tif"), make_raster(array, "B8.tif", **other)
    with pytest.raises(GridError, match=r"(?s)B4\.tif .*B8\.tif .*Remedy"):
        open_scene(ref_of(*files))


def test_files_of_different_shapes_are_both_named(make_raster: Maker) -> None:
    files = [make_raster(np.ones((1, size, 5), np.uint8), f"{size}.tif") for size in (4, 5)]
    with pytest.raises(GridError, match=r"4\.tif \(4 x 5 pixels .*5\.tif \(5 x 5 pixels"):
        open_scene(ref_of(*files))


def test_a_file_that_is_missing_or_cut_is_named(make_raster: Maker, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1, 200, 200)).astype(np.uint8)
    files = make_raster(noise, "B4.tif", compress="deflate"), make_raster(noise, "B8.tif", compress="deflate")
    with pytest.raises(SceneError, match=r"B9\.tif does not exist"):
        open_scene(ref_of(files[0], tmp_path / "B9.tif"))
    with files[1].open("r+b") as file:
        file.truncate(files[1].stat().st_size // 2)
    with open_scene(ref_of(*files)) as scene, pytest.raises(SceneError, match=r"B4\.tif, .*B8\.tif cannot be read at"):
        read_whole(scene)
    with pytest.raises(SceneError, match=r"B8\.tif has no band 3"):
        open_scene(ref_of(*files), bands=[3])


def test_files_without_georeference_warn_once(make_raster: Maker) -> None:
    files = [make_raster(np.ones((1, 4, 5), np.uint8), f"{n}.tif", crs=None, transform=None) for n in "ab"]
    with pytest.warns(GeoreferenceWarning) as caught:
        open_scene(ref_of(*files)).close()
    assert len(caught) == 1
    with open_scene(ref_of(*files, assume_gsd_m=0.5)) as scene:
        assert scene.grid.gsd_m() == (0.5, 0.5)


def test_files_of_odd_names_and_remote_ones_stack(make_raster: Maker, server: RangeServer) -> None:
    array = np.random.default_rng(0).integers(1, 9, (2, 30, 30)).astype(np.uint8)
    make_raster(array[:1], "a.tif")
    odd = make_raster(array[1:], "b <&'\"ü> #.tif")
    ref = ref_of(f"/vsicurl/{server.address}/a.tif?a=1&b=<2>", odd)
    with open_scene(ref) as scene:
        np.testing.assert_array_equal(read_whole(scene)[0], array)


def test_threads_read_a_stack_at_once(make_raster: Maker) -> None:
    array = np.random.default_rng(0).integers(1, 255, (3, 256, 256)).astype(np.uint8)
    tiled = {"compress": "deflate", "tiled": True, "blockxsize": 64, "blockysize": 64}
    files = [make_raster(array[band : band + 1], f"{band}.tif", **tiled) for band in range(3)]
    with open_scene(ref_of(*files)) as scene, ThreadPoolExecutor(4) as pool:
        blocks = list(scene.grid.blocks(40)) * 3
        for block, (image, _) in zip(blocks, pool.map(scene.read, blocks), strict=True):
            np.testing.assert_array_equal(image, array[:, *block.slices])


def test_a_scene_reference_survives_pickling(
    make_raster: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        make_raster(np.ones((1, 4, 5), np.uint8), f"{name}.tif")
    ref = ref_of("a.tif", "b.tif", "c.tif", "d.tif", bands=(2, 1))
    again = pickle.loads(pickle.dumps(ref))  # noqa: S301 - our own
    assert again == ref
    assert str(ref) == "a.tif, b.tif, c.tif and 1 more"
    assert ref.path == Path("a.tif")
    assert ref.choosing(bands=None, nodata=None) == ref
    assert ref.choosing(bands=[4], assume_gsd_m=2.0).bands == (4,)
    (tmp_path / "elsewhere").mkdir()
    far = again.absolute()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert far.paths == tuple(tmp_path / f"{name}.tif" for name in "abcd")
    with open_scene(far) as scene:
        assert scene.band_names == ("b", "a")
    assert SceneRef.of("https://host/a.tif").absolute().paths == ()


def test_one_file_is_opened_itself() -> None:
    assert gdal_source(SceneRef.of("scene.tif")) == "scene.tif"


@pytest.mark.realdata
def test_landsat_bands_are_one_scene_and_the_panchromatic_one_is_not_of_them(real_data: Path) -> None:
    bands = [real_data / f"landsat/corumba_after_L1TP_B{n}.tif" for n in (4, 3, 2)]
    with open_scene(ref_of(*bands)) as scene:
        assert scene.band_count == 3
        image, valid = read_whole(scene)
    with open_scene(bands[2]) as blue:
        np.testing.assert_array_equal(image[2][valid], read_whole(blue)[0][0][valid])
    momotombo = [real_data / f"landsat/momotombo_L1TP_B{n}.tif" for n in (4, 8)]
    with pytest.raises(GridError, match=r"B4.*B8"):
        open_scene(ref_of(*momotombo))
