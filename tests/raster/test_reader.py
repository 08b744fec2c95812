from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from crispmap.geo.grid import Block
from crispmap.raster.scene import SceneReader, has_valid, read_whole, reflected_indices


def scene_of(height: int, width: int, seed: int = 0) -> ArrayScene:
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) > 0.3
    image = rng.normal(size=(2, height, width)).astype(np.float32) * valid
    return ArrayScene(image, valid)


@given(start=st.integers(-60, 60), count=st.integers(0, 60), size=st.integers(1, 12))
@settings(deadline=None, max_examples=200)
def test_reflected_indices_are_numpys_symmetric_padding(start: int, count: int, size: int) -> None:
    padded = np.pad(np.arange(size), 200, mode="symmetric")
    np.testing.assert_array_equal(reflected_indices(start, count, size), padded[200 + start : 200 + start + count])


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    row=st.integers(-30, 30),
    col=st.integers(-30, 30),
    rows=st.integers(0, 30),
    cols=st.integers(0, 30),
)
@settings(deadline=None, max_examples=200)
def test_a_block_anywhere_is_a_window_of_the_reflected_scene(
    height: int, width: int, row: int, col: int, rows: int, cols: int
) -> None:
    scene = scene_of(height, width)
    image, valid = scene.read(Block(row, col, rows, cols))
    pad = 70
    window = np.s_[pad + row : pad + row + rows, pad + col : pad + col + cols]
    edges = [(pad, pad), (pad, pad)]
    np.testing.assert_array_equal(valid, np.pad(scene.valid, edges, mode="symmetric")[window])
    padded = np.pad(scene.image, [(0, 0), *edges], mode="symmetric")
    np.testing.assert_array_equal(image, padded[:, *window])
    assert image.dtype == np.float32
    assert valid.dtype == np.bool_


def test_a_block_inside_is_read_as_it_is_and_a_halo_reads_nothing_twice() -> None:
    scene = scene_of(40, 50)
    scene.read(Block(3, 4, 5, 6))
    scene.read(Block(0, 0, 20, 20).padded(5))
    assert scene.blocks_read == [Block(3, 4, 5, 6), Block(0, 0, 25, 25)]


def test_read_whole_is_the_whole() -> None:
    scene = scene_of(7, 5)
    reader: SceneReader = scene
    image, valid = read_whole(reader)
    np.testing.assert_array_equal(image, scene.image)
    np.testing.assert_array_equal(valid, scene.valid)


@pytest.mark.parametrize("place", [None, (0, 0), (1100, 3)])
def test_has_valid_finds_one_pixel_and_stops(place: tuple[int, int] | None) -> None:
    valid = np.zeros((2100, 5), bool)
    if place is not None:
        valid[place] = True
    scene = ArrayScene(np.zeros((1, 2100, 5), np.float32), valid)
    assert has_valid(scene) is (place is not None)
    assert len(scene.blocks_read) == {None: 3, (0, 0): 1, (1100, 3): 2}[place]


def test_a_scene_closes_on_leaving_with() -> None:
    with scene_of(2, 2) as scene:
        assert scene.band_count == 2
    assert scene.closed
