"""Scenes as they come: odd ones are read right, errors for unusable ones name file, cause and remedy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from crispmap.errors import SceneError
from crispmap.files import dataset as module
from crispmap.files.dataset import DatasetPool, open_dataset
from crispmap.geo.grid import Block
from crispmap.raster.files import open_scene, read_grid
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.scene import read_whole

Maker = Callable[..., Path]


def noise(count: int, height: int, width: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, (count, height, width)).astype(dtype)


# --- odd, but right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3000, 3), (3, 3000)])
@pytest.mark.parametrize("tiled", [{}, {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}])
def test_a_scene_of_any_proportion_is_read(
    make_raster: Maker, shape: tuple[int, int], tiled: dict[str, object]
) -> None:
    array = noise(2, *shape)
    with open_scene(make_raster(array, **tiled)) as scene:
        assert scene.grid.shape == shape
        np.testing.assert_array_equal(read_whole(scene)[0], array)
        around = Block(-50, -40, shape[0] + 120, shape[1] + 90)
        np.testing.assert_array_equal(
            scene.read(around)[0], np.pad(array, [(0, 0), (50, 70), (40, 50)], mode="symmetric")
        )


@pytest.mark.parametrize("count", range(1, 14))
def test_one_to_thirteen_bands_are_read(make_raster: Maker, count: int) -> None:
    array = noise(count, 20, 30, "uint16")
    array[:, :5, :5] = 0
    array[0, 7, 7] = 0
    for interleave in ("pixel", "band"):
        with open_scene(make_raster(array, nodata=0, interleave=interleave)) as scene:
            image, valid = read_whole(scene)
        assert scene.band_count == count
        np.testing.assert_array_equal(image, array)
        assert (~valid).sum() == 25 + (count == 1)


def test_a_rotated_scene_is_read_where_it_lies(make_raster: Maker) -> None:
    transform = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(2, -2)
    with open_scene(make_raster(noise(1, 20, 30), transform=transform)) as scene:
        assert scene.grid.transform.almost_equals(transform)
        assert scene.grid.mean_gsd_m() == pytest.approx(2, rel=1e-3)


def test_values_that_are_not_finite_are_invalid_whatever_nodata_says(make_raster: Maker) -> None:
    array = noise(3, 30, 40, "float32")
    array[1, 3:7] = np.nan
    array[2, 10, 10] = np.inf
    with open_scene(make_raster(array, nodata=float("nan"))) as scene:
        image, valid = scene.read(Block(-2, -2, 20, 20))
    expected = np.pad(np.isfinite(array).all(axis=0), 2, mode="symmetric")[:20, :20]
    np.testing.assert_array_equal(valid, expected)
    assert (image[:, ~valid] == 0).all()


# --- several threads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"crs": None, "transform": None}])
def test_threads_read_with_handles_of_their_own(make_raster: Maker, options: dict[str, None]) -> None:
    array = noise(3, 300, 300)
    path = make_raster(array, tiled=True, blockxsize=64, blockysize=64, compress="deflate", **options)
    with open_scene(path, assume_gsd_m=1.0) as scene, ThreadPoolExecutor(6) as pool:
        blocks = list(scene.grid.blocks(50)) * 4
        for block, (image, _) in zip(blocks, pool.map(scene.read, blocks), strict=True):
            np.testing.assert_array_equal(image, array[:, *block.slices])


def test_handles_are_as_many_as_are_in_use_at_once(make_raster: Maker) -> None:
    pool = DatasetPool(str(make_raster(noise(1, 4, 4))))
    with pool.handle() as one:
        with pool.handle() as two:
            assert one is not two
        with pool.handle() as again:
            assert again is two
        pool.close()
        assert two.closed
        assert not one.closed
    assert one.closed
    pool.close()
    with pytest.raises(SceneError, match="is closed"), pool.handle():
        pass


def test_a_forked_process_opens_handles_of_its_own(make_raster: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DatasetPool(str(make_raster(noise(1, 4, 4))))
    with pool.handle() as parents:
        pass
    monkeypatch.setattr("os.getpid", lambda: -1)
    for _ in range(2):
        with pool.handle() as own:
            assert own is not parents
            first = own
        with pool.handle() as own:
            assert own is first
    pool.close()


def test_a_closed_scene_says_so(make_raster: Maker) -> None:
    scene = open_scene(make_raster(noise(1, 4, 4)))
    scene.close()
    scene.close()
    with pytest.raises(SceneError, match="is closed"):
        scene.read(Block(0, 0, 1, 1))


def test_the_cache_of_blocks_is_bounded_unless_a_person_bounds_it(make_raster: Maker) -> None:
    def cache_max() -> int:
        from rasterio.env import get_gdal_config

        return int(get_gdal_config("GDAL_CACHEMAX"))

    path = make_raster(noise(1, 4, 4))
    before = cache_max()
    try:
        for bound in (False, True):
            module._bound_cache.cache_clear()
            with rasterio.Env():
                rasterio.env.setenv(GDAL_CACHEMAX=500_000_000)
                if bound:
                    open_dataset(path).close()
                    assert cache_max() == 500_000_000
        module._bound_cache.cache_clear()
        open_dataset(path).close()
        assert cache_max() <= 256_000_000
    finally:
        with rasterio.Env():
            rasterio.env.setenv(GDAL_CACHEMAX=before)


# --- unusable -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(0, 0), (2, 1), (3, 3)])
def test_a_damaged_block_is_named_and_the_rest_is_read(make_raster: Maker, place: tuple[int, int]) -> None:
    array = noise(3, 256, 256)
    path = make_raster(array, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item(f"BLOCK_OFFSET_{place[1]}_{place[0]}", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 2000)
    damaged = Block(64 * place[0], 64 * place[1], 64, 64)
    with open_scene(path) as scene:
        for block in scene.grid.blocks(64):
            if block != damaged:
                np.testing.assert_array_equal(scene.read(block)[0], array[:, *block.slices])
        with pytest.raises(SceneError) as caught:
            scene.read(damaged)
    assert (
        f"scene.tif cannot be read at rows {damaged.row}..{damaged.row_stop - 1}, "
        f"columns {damaged.col}..{damaged.col_stop - 1}: "
    ) in caught.value.given
    assert caught.value.remedy


def test_a_file_cut_in_the_middle_is_read_up_to_there(make_raster: Maker) -> None:
    array = noise(1, 256, 256)
    path = make_raster(array, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.read(Block(0, 0, 64, 256))[0], array[:, :64])
        with pytest.raises(SceneError, match=r"rows 192\.\.255, columns 0\.\.255: .*(read|Read|TIFF)"):
            scene.read(Block(192, 0, 64, 256))


@contextmanager
def as_anybody() -> Iterator[None]:
    """Look at files as somebody who is not root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("opened", [open_scene, read_grid, lambda one: resolve_scenes([one])])
def test_a_file_one_may_not_read_is_reported(make_raster: Maker, opened: Callable[[Path], object]) -> None:
    scene = make_raster(noise(1, 4, 4)).read_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "locked").mkdir()
        for path in (folder / "secret.tif", folder / "locked/scene.tif"):
            path.write_bytes(scene)
        (folder / "secret.tif").chmod(0)
        (folder / "locked").chmod(0)
        folder.chmod(0o755)
        try:
            for path in (folder / "secret.tif", folder / "locked/scene.tif"):
                with as_anybody(), pytest.raises(SceneError, match=rf"{path} cannot be read: Permission") as caught:
                    opened(path)
                assert "permissions" in caught.value.remedy
        finally:
            (folder / "locked").chmod(0o700)


@pytest.mark.parametrize("opened", [open_scene, read_grid, open_dataset])
def test_a_file_that_is_not_a_raster_is_refused_everywhere(tmp_path: Path, opened: Callable[[Path], object]) -> None:
    (tmp_path / "text.tif").write_text("no raster\n" * 100)
    (tmp_path / "empty.tif").touch()
    (tmp_path / "folder.tif").mkdir()
    for name, said in (
        ("text.tif", "cannot be opened as a raster"),
        ("empty.tif", "it is empty"),
        ("folder.tif", "is a folder"),
        ("nowhere.tif", "does not exist"),
        ("text.tif/x.tif", "does not exist"),
    ):
        with pytest.raises(SceneError, match=said) as caught:
            opened(tmp_path / name)
        assert str(tmp_path / name) in caught.value.given
        assert caught.value.expected
        assert caught.value.remedy
