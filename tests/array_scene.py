"""A scene held in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from crispmap.geo.grid import Block, Grid
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray


class ArrayScene(Scene):
    """Bands held in memory, 0 where invalid; what is read inside is remembered.

    Args:
        image: (band, row, col).
        valid: (row, col); everywhere by default.
        grid: Where the pixels lie; by default what the next three say.
        gsd: Height and width of a pixel.
        transform: In place of ``gsd``.
        crs: None for none.
        names: Of the bands.
    """

    def __init__(
        self,
        image: FloatArray,
        valid: BoolArray | None = None,
        *,
        grid: Grid | None = None,
        gsd: tuple[float, float] = (1.0, 1.0),
        transform: Affine | None = None,
        crs: CRS | None = None,
        names: tuple[str, ...] | None = None,
    ) -> None:
        self.image = np.asarray(image, np.float32)
        self.valid = np.ones(self.image.shape[1:], bool) if valid is None else valid
        self.image = np.where(self.valid, self.image, np.float32(0))
        transform = Affine.scale(gsd[1], -gsd[0]) if transform is None else transform
        self.grid = grid or Grid(crs, transform, self.image.shape[1:])
        self.band_names = names or tuple(f"band_{i}" for i in range(len(self.image)))
        self.path = Path("memory.tif")
        self.blocks_read: list[Block] = []
        self.closed = False

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        assert not block.is_empty
        assert block.intersection(self.grid.block) == block
        self.blocks_read.append(block)
        return self.image[:, *block.slices].copy(), self.valid[block.slices].copy()

    def close(self) -> None:
        self.closed = True
