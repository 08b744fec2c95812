"""Scenes that are decoded block by block and kept: they read as the files do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from crispmap.errors import CrispmapWarning, SceneError
from crispmap.geo.grid import Block
from crispmap.raster import cached
from crispmap.raster.cached import BlockCache, CachedScene
from crispmap.raster.files import FileScene
from crispmap.raster.refs import SceneRef

BLOCKS = st.builds(Block, st.integers(-30, 60), st.integers(-30, 60), st.integers(1, 70), st.integers(1, 70))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with pixels without data."""
    path = tmp_path_factory.mktemp("cached") / "image.tif"
    values = np.random.default_rng(0).integers(0, 4000, (3, 50, 70)).astype(np.uint16)
    values[:, 10:30, 5:25] = 65535
    profile = {"count": 3, "height": 50, "width": 70, "dtype": "uint16", "nodata": 65535, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", driver="GTiff", transform=from_origin(5e5, 5e6, 1, 1), **profile) as file:
        file.write(values)
    return path


@pytest.mark.parametrize("whole_bytes", [1, 10**9])
@given(block=BLOCKS)
@settings(max_examples=25)
def test_a_cached_scene_reads_as_its_file(image: Path, whole_bytes: int, block: Block) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cached, "WHOLE_BYTES", whole_bytes)
        patched.setattr(cached, "_BLOCK_PX", 16)
        scene = CachedScene(SceneRef.of(image), BlockCache(20_000))
        with FileScene(image) as file:
            for _ in range(2):
                for found, expected in zip(scene.read(block), file.read(block), strict=True):
                    np.testing.assert_array_equal(found, expected)
            inside = block.intersection(file.grid.block)
            if not inside.is_empty:
                np.testing.assert_array_equal(scene.read_valid(inside), file.read(inside)[1])
            assert (scene.grid, scene.band_names, scene.dtype) == (file.grid, file.band_names, file.dtype)


def test_an_image_that_is_lost_meanwhile_is_an_error_or_has_no_data(image: Path, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    path.write_bytes(image.read_bytes())
    scene = CachedScene(SceneRef.of(path), BlockCache(10**6))
    skipping = CachedScene(SceneRef.of(path), BlockCache(10**6), skip=True)
    path.unlink()
    with pytest.raises(SceneError, match=r"image\.tif"):
        scene.read(scene.grid.block)
    with pytest.warns(CrispmapWarning, match=r"image\.tif"):
        values, valid = skipping.read(scene.grid.block)
    assert not values.any()
    assert not valid.any()
