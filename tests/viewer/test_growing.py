"""Maps that are being made: their finished blocks, and nothing else, in the pixels of the view."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasters_to_view import PLACE, SCHEMA, some_ids

from crispmap.geo.grid import Block, Grid
from crispmap.raster.block_store import BlockStore
from crispmap.raster.spec import class_map_spec, scores_spec
from crispmap.types import IGNORE
from crispmap.viewer import growing
from crispmap.viewer.growing import GrowingMaps
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.tiles import TileCache, TilePlace


def begun(folder: Path, shape: tuple[int, int], block_px: int, transform: Affine = PLACE) -> BlockStore:
    """Begin a map, of which scores are written too."""
    grid = Grid(CRS.from_epsg(32631), transform, shape)
    specs = [
        scores_spec(folder / "scores.tif", grid, SCHEMA.names, {}),
        class_map_spec(folder / "map.tif", grid, SCHEMA, {}),
    ]
    return BlockStore.open(specs, identity={}, block_px=block_px)


def finish(store: BlockStore, ids: np.ndarray, blocks: list[Block]) -> np.ndarray:
    """Write some blocks, and return the ids in them."""
    seen = np.full_like(ids, IGNORE)
    for block in blocks:
        part = ids[block.slices]
        empty = bool((part == IGNORE).all())
        store.write(block, None if empty else [None, part])
        seen[block.slices] = part
    return seen


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(40, 300), st.integers(40, 300)), block_px=st.sampled_from([16, 48, 64, 100, 400]),
    chosen=st.randoms(use_true_random=False), whole_px=st.sampled_from([32, 100, 2048]),
)  # fmt: skip
def test_finished_blocks_are_seen_on_every_level_and_no_others(shape, block_px, chosen, whole_px) -> None:
    """Whether pixels come from blocks or from what is kept to be seen from far."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "_WHOLE_PX", whole_px)
        patch.setattr(growing, "_LOOK_EVERY_S", 0.0)
        ids = some_ids(*shape, 3)
        with begun(Path(folder), shape, block_px) as store:
            every = list(store._specs[0].grid.blocks(block_px))
            seen = finish(store, ids, [one for one in every if chosen.random() < 0.5])
            maps = GrowingMaps(store.under_way)
            pyramid = Pyramid(Grid(CRS.from_epsg(32631), PLACE, shape))
            layer = maps.layer(Path(folder) / "map.tif", "map", pyramid, lambda: "l0")
            assert layer is not None
            assert maps.layer(Path(folder) / "scores.tif", "scores", pyramid, lambda: "l1") is None
            assert [one.name for one in layer.classes] == list(SCHEMA.names)
            for level in range(pyramid.levels + 1):
                step = 1 << level
                height, width = pyramid.shape(level)
                read, valid = layer.source.read(level, Block(0, 0, height, width))
                rows, cols = (((np.arange(count) + 0.5) * step).astype(int) for count in (height, width))
                inside = np.ix_(rows < shape[0], cols < shape[1])
                expected = np.full((height, width), IGNORE)
                expected[: (rows < shape[0]).sum(), : (cols < shape[1]).sum()] = seen[
                    np.ix_(rows[rows < shape[0]], cols[cols < shape[1]])
                ]
                assert inside is not None
                assert (read[0] == expected).all()
                assert (valid == (expected != IGNORE)).all()
            store.discard()


def test_a_map_of_other_pixels_lies_where_it_belongs(tmp_path: Path) -> None:
    ids = some_ids(60, 80, 5)
    coarser = PLACE @ Affine.scale(2.0, 2.0)
    with begun(tmp_path, ids.shape, 16, coarser) as store:
        finish(store, ids, list(store._specs[0].grid.blocks(16)))
        pyramid = Pyramid(Grid(CRS.from_epsg(32631), PLACE, (120, 160)))
        layer = GrowingMaps(store.under_way).layer(tmp_path / "map.tif", "map", pyramid, lambda: "l0")
        assert layer is not None
        read, _ = layer.source.read(0, Block(10, 20, 90, 100))
        assert (read[0] == ids.repeat(2, axis=0).repeat(2, axis=1)[10:100, 20:120]).all()


def test_a_tile_is_painted_anew_when_a_block_in_it_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_LOOK_EVERY_S", 0.0)
    ids = np.ones((300, 700), np.uint8)
    with begun(tmp_path, ids.shape, 64) as store:
        pyramid = Pyramid(store._specs[0].grid)
        layer = GrowingMaps(store.under_way).layer(tmp_path / "map.tif", "map", pyramid, lambda: "l0")
        assert layer is not None
        tiles = TileCache(pyramid)
        left, right = TilePlace(0, 0, 0), TilePlace(0, 2, 0)
        before = tiles.tile(layer, left), tiles.tile(layer, right)
        finish(store, ids, [Block(0, 0, 64, 64)])
        assert tiles.tile(layer, left) != before[0]
        assert tiles.tile(layer, right) is before[1]


def test_blocks_that_are_gone_are_not_seen_and_no_error(tmp_path: Path) -> None:
    ids = some_ids(100, 100)
    with begun(tmp_path, ids.shape, 50) as store:
        finish(store, ids, list(store._specs[0].grid.blocks(50)))
        maps = GrowingMaps(store.under_way)
        layer = maps.layer(tmp_path / "map.tif", "map", Pyramid(store._specs[0].grid), lambda: "l0")
        assert layer is not None
        store.discard()
    maps.blocks.look()
    assert not layer.source.read(0, Block(0, 0, 100, 100))[1].any()
