"""Rasters whose bands are not what they seem: refused, never guessed at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from crispmap.errors import CrispmapWarning
from crispmap.raster.files import FileScene, open_scene, read_grid
from crispmap.raster.scene import read_whole
from crispmap.raster.scores import open_scores

Maker = Callable[..., Path]
COLOURS = {value: (value, 255 - value, 0, 255) for value in range(256)}


def four_bands(fourth: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(1, 255, (3, *fourth.shape)), fourth[None]]).astype(np.uint8)


def told(path: Path, **options: object) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        open_scene(path, **options).close()
    assert all(one.filename == __file__ for one in caught)
    assert all(one.category is CrispmapWarning for one in caught)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("shape", [(300, 200), (20, 1000), (3, 3)])
def test_near_infrared_that_gdal_takes_for_transparency_is_reported(make_raster: Maker, shape: tuple[int, int]) -> None:
    fourth = np.random.default_rng(1).integers(0, 256, shape)
    path = make_raster(four_bands(fourth))
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3].name == "alpha"
    (message,) = told(path)
    assert f"Band 4 of {path}" in message
    assert "bands=1,2,3,4" in message
    assert "bands: [1, 2, 3, 4]" in message
    assert "gdal_edit.py -colorinterp_4 undefined" in message  # align and others take no bands


def test_a_band_that_the_file_declares_as_no_transparency_is_read(make_raster: Maker) -> None:
    path = make_raster(four_bands(np.random.default_rng(1).integers(0, 256, (30, 20))))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], rasterio.enums.ColorInterp.undefined]
    assert not told(path)
    with open_scene(path) as scene:
        assert scene.band_count == 4


@pytest.mark.parametrize("bands", [[1, 2, 3], [1, 2, 3, 4]])
def test_what_a_person_chose_is_not_doubted(make_raster: Maker, bands: list[int]) -> None:
    assert not told(make_raster(four_bands(np.random.default_rng(1).integers(0, 256, (30, 20)))), bands=bands)


def test_asked_for_by_number_such_a_band_masks_nothing(make_raster: Maker) -> None:
    fourth = np.random.default_rng(1).integers(0, 5, (30, 20))
    with open_scene(make_raster(four_bands(fourth)), bands=[1, 2, 3, 4]) as scene:
        image, valid = read_whole(scene)
    assert valid.all()
    np.testing.assert_array_equal(image[3], fourth)


def soft_edge() -> np.ndarray:
    """A disc with a rim that fades out over some pixels."""
    distance = np.hypot(*np.mgrid[-100:100, -100:100])
    return np.clip((80 - distance) * 25, 0, 255)


@pytest.mark.parametrize(
    "fourth",
    [
        pytest.param(np.full((200, 200), 255), id="opaque"),
        pytest.param(np.zeros((200, 200)), id="clear"),
        pytest.param(np.full((200, 200), 128), id="half-clear"),
        pytest.param(np.where(np.indices((200, 200)).sum(axis=0) < 200, 0, 255), id="cut"),
        pytest.param(soft_edge(), id="soft-edge"),
    ],
)
def test_true_transparency_is_not_doubted(make_raster: Maker, fourth: np.ndarray) -> None:
    assert not told(make_raster(four_bands(fourth)))


def test_transparency_that_is_no_whole_number_is_not_doubted(make_raster: Maker) -> None:
    fourth = np.random.default_rng(1).random((30, 20))
    assert not told(make_raster(four_bands(fourth).astype(np.float32), photometric="RGB", alpha="YES"))


def test_a_file_cut_short_is_left_to_the_reading(make_raster: Maker) -> None:
    path = make_raster(four_bands(np.random.default_rng(1).integers(0, 256, (300, 200))))
    path.write_bytes(path.read_bytes()[:2000])
    assert not told(path)


def test_a_colour_table_is_reported_where_an_image_is_wanted(make_raster: Maker) -> None:
    path = make_raster(np.ones((1, 9, 9), np.uint8), after=lambda dataset: dataset.write_colormap(1, COLOURS))
    (message,) = told(path)
    assert f"{path} has a colour table" in message
    assert f"gdal_translate -expand rgb {path} rgb.tif" in message
    assert len(told(path, bands=[1])) == 1


def test_a_colour_table_is_as_it_should_be_elsewhere(make_raster: Maker) -> None:
    mask = (np.indices((9, 9)).sum(axis=0) % 2 * 255).astype(np.uint8)[None]
    path = make_raster(mask, after=lambda dataset: dataset.write_colormap(1, COLOURS))
    with FileScene(path) as scene:
        assert read_grid(path) == scene.grid
    with open_scores(path, kind="probability") as scores:
        assert scores.band_count == 2


def test_the_grid_of_a_raster_without_georeference(make_raster: Maker) -> None:
    path = make_raster(np.ones((1, 4, 6), np.uint8), crs=None, transform=None)
    assert read_grid(path, assume_gsd_m=0.5).gsd_m() == (0.5, 0.5)
