"""Scenes that are computed when read, written: the same bytes for any block, resumed after an end at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from array_scene import ArrayScene
from crispmap.errors import OutputError, SceneError
from crispmap.files.address import shown
from crispmap.geo.grid import Block, Grid
from crispmap.raster.block_store import store_folder
from crispmap.raster.files import open_scene
from crispmap.raster.scene import read_whole
from crispmap.raster.scene_file import scene_spec, stored_values, write_scene
from crispmap.raster.write_computed import ComputeOptions, Written
from crispmap.types import BoolArray, FloatArray


class WholeNumbers(ArrayScene):
    """A scene of a type, which may fail after some blocks."""

    kind = np.dtype(np.uint16)
    fails_after = 10**9

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.kind

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        if len(self.blocks_read) >= self.fails_after:
            raise KeyboardInterrupt
        return super()._read_inside(block)


def scene(kind: str = "uint16", height: int = 150, width: int = 200) -> WholeNumbers:
    rng = np.random.default_rng(0)
    values = rng.uniform(-5, 300, (2, height, width)).astype(np.float32)
    values[:, :9] = 0.2
    grid = Grid(CRS.from_epsg(32633), Affine(2.0, 0, 500_000, 0, -2.0, 5_000_000), (height, width))
    made = WholeNumbers(values, rng.random((height, width)) > 0.1, grid=grid, names=("red", "green"))
    made.kind = np.dtype(kind)
    return made


def write(made: WholeNumbers, path: Path, dtype: Any = "same", **options: Any) -> Written:
    how = ComputeOptions(**options)
    return write_scene(made, scene_spec(made, path, dtype, {"MADE": "here"}), {"scene": "one"}, how)


@pytest.mark.parametrize(
    ("kind", "dtype", "stored"),
    [
        ("uint8", "same", "uint8"), ("uint16", "same", "uint16"), ("int16", "same", "int16"),
        ("uint16", "float32", "float32"), ("float64", "same", "float32"),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(kind: str, dtype: Any, stored: str, tmp_path: Path) -> None:
    made = scene(kind)
    write(made, tmp_path / "out.tif", dtype=dtype)
    image, valid = read_whole(made)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.dtypes == (stored, stored)
        assert dataset.descriptions == ("red", "green")
        assert dataset.tags()["MADE"] == "here"
        assert dataset.transform == made.grid.transform
    with open_scene(tmp_path / "out.tif") as back:
        again, known = read_whole(back)
    np.testing.assert_array_equal(known, valid)
    if stored == "float32":
        np.testing.assert_array_equal(again, image)
        return
    limits = np.iinfo(stored)
    expected = np.clip(np.rint(image), limits.min, limits.max)
    expected[:, (expected == 0).all(axis=0) & valid] = 1
    np.testing.assert_array_equal(again, expected)


@given(
    st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=8),
    st.sampled_from(["uint8", "uint16", "int16", "int32"]),
)
@settings(deadline=None, max_examples=60)
def test_whole_numbers_are_the_nearest_of_their_type_but_nodata(values: list[float], kind: str) -> None:
    image = np.array(values, np.float32)[None, None]
    two = stored_values(np.concatenate([image, np.ones_like(image)]), np.ones(image.shape[1:], bool), np.dtype(kind))
    assert ((two[0] == 0) == (np.rint(np.clip(image[0].astype(float), np.iinfo(kind).min, None)) == 0)).all()
    found = stored_values(image, np.ones(image.shape[1:], bool), np.dtype(kind)).ravel()
    limits = np.iinfo(kind)
    for value, one in zip(values, found.tolist(), strict=True):
        nearest = min(max(round(float(np.float32(value))), limits.min), limits.max)
        assert one == (nearest or 1)
    assert not stored_values(image, np.zeros(image.shape[1:], bool), np.dtype(kind)).any()


def test_any_block_gives_the_same_bytes(tmp_path: Path) -> None:
    made = scene()
    written = [write(made, tmp_path / f"{side}.tif", block_px=side).paths[0].read_bytes() for side in (64, 96, 1024)]
    assert written[0] == written[1] == written[2]


def test_a_run_that_ended_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    made = scene()
    write(made, tmp_path / "whole.tif", block_px=64)
    ending = scene()
    ending.fails_after = 6
    with pytest.raises(KeyboardInterrupt) as caught:
        write(ending, tmp_path / "out.tif", block_px=64)
    assert "goes on" in "".join(caught.value.__notes__)
    assert not (tmp_path / "out.tif").exists()
    result = write(made, tmp_path / "out.tif", block_px=64)
    assert 0 < result.resumed < result.blocks == 12
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert sorted(shown(str(path.name)) for path in tmp_path.iterdir()) == ["out.tif", "whole.tif"]


def test_nothing_is_left_where_nothing_was_finished_or_nothing_is_valid(tmp_path: Path) -> None:
    ending = scene()
    ending.fails_after = 0
    with pytest.raises(KeyboardInterrupt):
        write(ending, tmp_path / "out.tif")
    blank = scene()
    blank.valid[:] = False
    with pytest.raises(SceneError, match="no valid pixel"):
        write(blank, tmp_path / "out.tif")
    assert list(tmp_path.iterdir()) == []


def test_files_and_unfinished_runs_of_others_are_not_replaced(tmp_path: Path) -> None:
    made, path = scene(), tmp_path / "out.tif"
    write(made, path)
    with pytest.raises(OutputError, match="exists"):
        write(made, path)
    write(made, path, force=True)
    path.unlink()
    ending = scene()
    ending.fails_after = 6
    with pytest.raises(KeyboardInterrupt):
        write(ending, path, block_px=64)
    assert store_folder(path).exists()
    with pytest.raises(OutputError, match="other inputs"):
        write_scene(made, scene_spec(made, path, "same", {}), {"scene": "two"})
    assert write(made, path, restart=True).resumed == 0
