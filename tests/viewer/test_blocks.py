from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from crispmap.geo.grid import Block, Grid
from crispmap.types import BoolArray
from crispmap.viewer.blocks import SharedBlocks
from crispmap.viewer.pyramid import Pyramid

SIZE = 1100, 1300


class Counted:
    """Pixels that are numbers of their place, and which blocks were read."""

    def __init__(self) -> None:
        self.asked: list[Block] = []

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        self.asked.append(block)
        rows, cols = np.indices(block.shape)
        values = (block.row + rows) * 10_000 + block.col + cols
        return values[None], values % 7 > 0

    def close(self) -> None:
        pass


def test_tiles_asked_for_at_once_are_those_of_the_source_each_block_read_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("as it is")
    pyramid, source = Pyramid(Grid(None, Affine.identity(), SIZE)), Counted()
    shared = SharedBlocks(source, path, pyramid, 512)
    rows, cols = pyramid.tiles(0)
    tiles = [tile for row in range(rows) for col in range(cols) if (tile := pyramid.tile(0, col, row)) is not None]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda tile: shared.read(0, tile), tiles))
    assert sorted(source.asked) == sorted(Block(0, 0, *SIZE).pieces(512))
    for tile, (values, valid) in zip(tiles, found, strict=True):
        expected, known = Counted().read(0, tile)
        assert (values == expected).all()
        assert (valid == known).all()
    path.write_text("written anew")
    shared.read(0, tiles[0])
    assert source.asked[-1] == Block(0, 0, 512, 512)
    point = Block(600, 700, 1, 1)
    assert shared.read(0, point)[0] == 6_000_700
    assert source.asked[-1] == point  # of which no block need be decoded
