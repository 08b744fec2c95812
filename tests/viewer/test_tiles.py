"""Tiles beside plain reads of the rasters they show, and beside GDAL's own warp."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.warp import reproject
from rasters_to_view import PLACE, SCHEMA, class_map, some_ids, some_image, write

from crispmap.errors import GridError, SceneError
from crispmap.viewer.layers import Layer
from crispmap.viewer.pyramid import TILE_PX
from crispmap.viewer.run import ViewOptions, assemble
from crispmap.viewer.tiles import TileCache, TilePlace, painted
from crispmap.viewer.view import View

COLOURS = np.array([(*one.rgb, 255) for one in SCHEMA] + [(0, 0, 0, 0)], np.uint8)


def mosaic(view: View, layer: Layer, level: int = 0) -> NDArray[np.uint8]:
    """Return all tiles of a level as one picture (row, col, 4)."""
    rows, cols = view.pyramid.tiles(level)
    whole = np.zeros((rows * TILE_PX, cols * TILE_PX, 4), np.uint8)
    for row in range(rows):
        for col in range(cols):
            picture = painted(layer, view.pyramid, TilePlace(level, col, row))
            assert picture is not None
            pixels = np.asarray(Image.open(io.BytesIO(picture.content)).convert("RGBA"))
            assert pixels.shape == (TILE_PX, TILE_PX, 4)
            whole[row * TILE_PX : (row + 1) * TILE_PX, col * TILE_PX : (col + 1) * TILE_PX] = pixels
    height, width = view.pyramid.shape(level)
    if layer.kind != "image":  # which goes on there, where the page shows nothing
        assert not whole[height:, :, 3].any()
        assert not whole[:, width:, 3].any()
    return whole[:height, :width]


def coloured(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return COLOURS[np.minimum(ids, len(SCHEMA))]


def same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether two pictures look alike: colours do not count where nothing is shown."""
    return bool((one[..., 3] == other[..., 3]).all() and (one[other[..., 3] > 0] == other[other[..., 3] > 0]).all())


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 600), width=st.integers(1, 600), seed=st.integers(0, 100))
def test_all_tiles_together_are_the_map(height: int, width: int, seed: int, tmp_path: Path) -> None:
    ids = some_ids(height, width, seed)
    view = assemble([class_map(tmp_path / "map.tif", ids)])
    assert same(mosaic(view, view.layers[0]), coloured(ids))
    view.close()


def test_a_tile_further_out_is_a_window_of_the_overview(tmp_path: Path) -> None:
    path = class_map(tmp_path / "map.tif", some_ids(1030, 777), overviews=(2, 4), how="mode")
    view = assemble([path])
    for level, overview in ((1, 0), (2, 1)):
        with rasterio.open(path, overview_level=overview) as dataset:
            expected = dataset.read(1)
        assert same(mosaic(view, view.layers[0], level), coloured(expected))


def test_without_overviews_pixels_are_thinned(tmp_path: Path) -> None:
    ids = some_ids(1024, 512)
    view = assemble([class_map(tmp_path / "map.tif", ids)])
    picture = mosaic(view, view.layers[0], 2)
    # GDAL takes any one of the 4 x 4 pixels.
    candidates = [coloured(ids[row::4, col::4]) for row in range(4) for col in range(4)]
    assert any(same(picture, one) for one in candidates)


def test_a_large_map_without_overviews_is_thinned_from_one_reading(tmp_path: Path) -> None:
    ids = some_ids(64, 4200)
    view = assemble([class_map(tmp_path / "map.tif", ids)])
    assert any("overviews" in one for one in view.notes)
    picture = mosaic(view, view.layers[0], view.pyramid.levels - 1)
    assert picture.shape[1] == 132
    assert set(np.unique(picture[..., 3])) <= {0, 255}


def test_bytes_of_three_bands_are_shown_as_they_are(tmp_path: Path) -> None:
    image = some_image(300, 400)
    image[:, :40] = 0
    view = assemble([write(tmp_path / "image.tif", image, nodata=0)])
    picture = mosaic(view, view.layers[0])
    lossless = np.zeros((300, 400), bool)
    lossless[:256] = True  # tiles with nodata
    assert (picture[..., 3] == 255 * image.any(axis=0)).all()
    shown = lossless & image.any(axis=0)
    assert (picture[..., :3][shown] == image.transpose(1, 2, 0)[shown]).all()


def test_sixteen_bits_are_stretched_from_the_2nd_to_the_98th_percentile(tmp_path: Path) -> None:
    image = some_image(200, 200, 1, "uint16")
    image[0, 0] = 0  # what has nodata is not compressed with loss
    view = assemble([write(tmp_path / "image.tif", image, nodata=0)])
    picture = mosaic(view, view.layers[0])[..., 0].astype(float)
    low, high = np.percentile(image[image > 0], (2, 98))
    expected = np.clip((image[0] - low) / (high - low) * 255, 0, 255)
    assert np.abs(picture - expected)[1:].max() <= 1


def test_another_grid_is_warped_as_gdal_does(tmp_path: Path) -> None:
    view_of = write(tmp_path / "image.tif", some_image(300, 300))
    ids = some_ids(150, 150)
    other = class_map(tmp_path / "map.tif", ids, transform=PLACE @ Affine.translation(20, 30) @ Affine.scale(1.7))
    view = assemble([view_of, other])
    expected = np.full((300, 300), 255, np.uint8)
    with rasterio.open(other) as dataset:
        reproject(rasterio.band(dataset, 1), expected, dst_transform=PLACE, dst_crs=dataset.crs, dst_nodata=255,
                  resampling=Resampling.nearest)  # fmt: skip
    layer = next(one for one in view.layers if one.kind == "classes")
    assert same(mosaic(view, layer), coloured(expected))


@pytest.mark.parametrize("transform", [Affine(0.5, 0, 5e5, 0, 0.5, 5e6), Affine(0, 0.5, 5e5, 0.5, 0, 5e6)])
def test_a_raster_stored_in_another_order_is_shown_north_up(transform: Affine, tmp_path: Path) -> None:
    ids = some_ids(260, 300)
    view = assemble([class_map(tmp_path / "map.tif", ids, transform=transform)])
    turned = ids[::-1] if transform.e else ids.T[::-1]
    assert same(mosaic(view, view.layers[0]), coloured(turned))


def test_a_rotated_raster_is_shown_in_its_own_pixels(tmp_path: Path) -> None:
    ids = some_ids(100, 120)
    view = assemble([class_map(tmp_path / "map.tif", ids, transform=PLACE @ Affine.rotation(20))])
    assert same(mosaic(view, view.layers[0]), coloured(ids))


@pytest.mark.filterwarnings("ignore::crispmap.errors.GeoreferenceWarning")
def test_without_a_coordinate_system_pixels_lie_on_pixels(tmp_path: Path) -> None:
    ids = some_ids(100, 120)
    image = write(tmp_path / "image.tif", some_image(100, 120), crs=None, transform=Affine.identity())
    view = assemble([image, class_map(tmp_path / "map.tif", ids)])
    assert same(mosaic(view, next(one for one in view.layers if one.kind == "classes")), coloured(ids))
    other = class_map(tmp_path / "other.tif", some_ids(50, 50))
    with pytest.raises(GridError) as caught:
        assemble([image, other])
    assert str(other) in caught.value.given


def test_a_map_made_anew_is_shown_anew_and_one_that_is_gone_is_named(tmp_path: Path) -> None:
    path = class_map(tmp_path / "map.tif", np.zeros((50, 50), np.uint8))
    view = assemble([path])
    cache, place, (layer,) = TileCache(view.pyramid), TilePlace(0, 0, 0), view.layers
    before = cache.tile(layer, place)
    class_map(tmp_path / "new.tif", np.ones((50, 50), np.uint8)).replace(path)
    after = cache.tile(layer, place)
    assert before is not None
    assert after is not None
    assert before.content != after.content
    path.unlink()
    with pytest.raises(SceneError) as caught:
        cache.tile(layer, place)
    assert str(path) in caught.value.given


def test_a_reference_shows_errors(tmp_path: Path) -> None:
    mapped, reference = some_ids(200, 300, 1), some_ids(200, 300, 2)
    paths = class_map(tmp_path / "map.tif", mapped), class_map(tmp_path / "reference.tif", reference)
    view = assemble([paths[0]], ViewOptions(reference=paths[1]))
    layer = next(one for one in view.layers if one.kind == "errors")
    picture = mosaic(view, layer)
    colours = {one.name: tuple(int(one.colour[i : i + 2], 16) for i in (1, 3, 5)) for one in layer.classes}
    known = (mapped != 255) & (reference != 255)
    expected = {
        "missed": known & (mapped == 0) & (reference > 0), "false": known & (mapped > 0) & (reference == 0),
        "wrong class": known & (mapped > 0) & (reference > 0) & (mapped != reference),
        "right": known & (mapped == reference),
    }  # fmt: skip
    assert (picture[..., 3] == 255 * known).all()
    for name, where in expected.items():
        assert ((picture[..., :3] == colours[name]).all(axis=-1) & (picture[..., 3] > 0) == where).all()
