"""Work: the scores of one block at a time, from a scene and its models, the same for any block.

There are two ways. ``DirectScores`` runs network and refiner as one graph on canonical tiles of the scene, each from
the pixels around it alone, where the network works at the scene's own pixel size. ``StackedScores`` reads rasters that
are computed when read, tile by tile, in all other cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block, Grid
from crispmap.inference.engines import EngineChoice, KeptEngines
from crispmap.inference.network import MapNetwork, reflected_places
from crispmap.inference.plan import TILE_PX, Cut, TilePlan
from crispmap.inference.tiled import Pixels
from crispmap.models.scaling import scaled_input
from crispmap.raster.scene import SceneReader
from crispmap.types import BoolArray, FloatArray

Layer = Literal["refined", "coarse"]
"""Which scores of a map: after the refiner, or before it."""


class ScoreWork(Protocol):
    """The scores of a scene, block by block."""

    grid: Grid
    layers: tuple[Layer, ...]  # which scores ``compute`` gives, in its order
    tile_px: int  # blocks whose sides and origins are multiples of it cost no pixel twice
    square_px: int  # pixels a model sees that one pixel of the grid is wide: 1, or the side of its squares
    classes: int  # number of score maps of every layer
    engine: str  # what computes them, in words
    blended: str  # why they are not those of the models on the whole scene, or empty where they are

    def compute(self, block: Block, pool: Executor) -> list[Pixels] | None:
        """Return scores and valid pixels of a block, one pair a layer, or None where no pixel is valid.

        Scores are float32 (class, row, col), 0 where invalid, and depend on the pixel alone. Several threads may
        compute at once; each leaves the arithmetic to the pool's.
        """


class DirectScores:
    """Scores from one network, image to map, tile by tile; the sides of the tiles are multiples of its stride.

    ``scores``, on the image's grid, are given where the network only refines.
    """

    square_px = 1

    def __init__(
        self,
        image: SceneReader,
        scores: SceneReader | None,
        network: MapNetwork,
        choice: EngineChoice,
        cut: Cut = Cut(),
        engines: KeptEngines | None = None,
    ) -> None:
        self.grid, self.classes, self.blended = image.grid, network.classes, ""
        self.tile_px = max(1, (cut.tile_px or TILE_PX) // network.stride_px) * network.stride_px
        self.layers: tuple[Layer, ...] = ("coarse",) if network.refiner is None else ("refined", "coarse")
        self._image, self._scores, self._network = image, scores, network
        plan = TilePlan(self.grid.shape, (self.tile_px, self.tile_px))
        self._plan = plan.shifted(network.stride_px) if cut.shifted else plan
        source = replace(network.source, smallest=self._example(network.stride_px))
        self._engine = (engines or KeptEngines()).open(source, self._example(self.tile_px), choice)
        self.engine = self._engine.text

    def _example(self, tile_px: int) -> tuple[NDArray[np.generic], ...]:
        side = tile_px + 2 * self._network.margin_px
        image = np.zeros((self._image.band_count, side, side), np.float32)
        scores = np.zeros((self.classes, side, side), np.float32)
        return self._inputs(Block(0, 0, tile_px, tile_px), image, scores, np.ones((side, side), np.bool_))

    def compute(self, block: Block, pool: Executor) -> list[Pixels] | None:  # noqa: D102 - as the protocol
        tiles = list(self._plan.over(block))
        region = Block(tiles[0].row, tiles[0].col, tiles[-1].row_stop - tiles[0].row, tiles[-1].col_stop - tiles[0].col)
        window = region.padded(self._network.margin_px)
        image, scores, valid = self._read(window)
        core = valid[block.relative_to(window).slices]
        if not core.any():
            return None
        results = [np.zeros((self.classes, *block.shape), np.float32) for _ in self.layers]
        margin = self._network.margin_px

        def run(tile: Block) -> None:
            shared = tile.intersection(block)
            if not core[shared.relative_to(block).slices].any():
                return
            around = tile.padded(margin).relative_to(window).slices
            given = None if scores is None else scores[:, *around]
            outputs = self._engine.run(*self._inputs(tile, image[:, *around], given, valid[around]))
            if given is not None:
                outputs.append(given[None, :, *Block(margin, margin, *tile.shape).slices])
            for result, output in zip(results, outputs, strict=True):
                result[:, *shared.relative_to(block).slices] = output[0][:, *shared.relative_to(tile).slices]

        for _ in pool.map(run, tiles):
            pass
        for result in results:
            result[:, ~core] = 0.0
        return [(result, core) for result in results]

    def _read(self, window: Block) -> tuple[FloatArray, FloatArray | None, BoolArray]:
        """Return the scaled image, the scores if they are given, and the valid pixels of a window."""
        pixels, valid = self._image.read(window)
        scores = None
        if self._scores is not None:
            scores, known = self._scores.read(window)
            valid = valid & known
            scores[:, ~valid] = 0.0
        return scaled_input(pixels, valid, self._network.scaling), scores, valid

    def _inputs(
        self, tile: Block, image: FloatArray, scores: FloatArray | None, valid: BoolArray
    ) -> tuple[NDArray[np.generic], ...]:
        """Return what the network takes for a tile, from arrays cut around it."""
        picture = np.ascontiguousarray(image)[None]
        if self._network.coarse is None:
            return np.ascontiguousarray(scores, np.float32)[None], picture
        if self._network.refiner is None:
            return (picture,)
        margin, halo = self._network.margin_px, self._network.halo_px
        inner = slice(margin - halo, valid.shape[0] - margin + halo)
        rows, cols = reflected_places(tile, halo, self.grid.shape)
        return picture, np.ascontiguousarray(valid[inner, inner], np.float32)[None, None], rows, cols


class StackedScores:
    """Scores read from rasters on one grid that are computed when they are read, ``tile_px`` pieces in parallel."""

    square_px = 1

    def __init__(
        self, layers: Sequence[tuple[Layer, SceneReader]], tile_px: int, engine: str, blended: str = ""
    ) -> None:
        self.layers = tuple(layer for layer, _ in layers)
        self._rasters = [raster for _, raster in layers]
        self.grid, self.classes = self._rasters[0].grid, self._rasters[0].band_count
        self.tile_px, self.engine, self.blended = tile_px, engine, blended

    def compute(self, block: Block, pool: Executor) -> list[Pixels] | None:  # noqa: D102 - as the protocol
        plan = TilePlan(self.grid.shape, (self.tile_px, self.tile_px))
        pieces = [tile.intersection(block) for tile in plan.over(block)]
        results: list[Pixels] = []
        for raster in self._rasters:
            scores = np.empty((raster.band_count, *block.shape), np.float32)
            valid = np.empty(block.shape, np.bool_)
            for piece, (values, known) in zip(pieces, pool.map(raster.read, pieces), strict=True):
                inside = piece.relative_to(block).slices
                scores[:, *inside], valid[inside] = values, known
            results.append((scores, valid))
        return results if any(valid.any() for _, valid in results) else None
