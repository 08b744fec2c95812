"""Scores of a classifier of squares on the grid of its squares, one pixel a square."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from crispmap.errors import SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.squares import Squares
from crispmap.inference.coarse import gsd_ratio
from crispmap.inference.engines import EngineChoice
from crispmap.inference.plan import Cut
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.tiled import Pixels
from crispmap.inference.work import Layer, ScoreWork
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import BoolArray, FloatArray


class SquareScores:
    """A work's scores, one for each square of its pixels; see ``ScoreWork``.

    A square is valid where any of its pixels is. The last squares may reach beyond the scene, where a network sees the
    image's reflection.
    """

    def __init__(self, work: ScoreWork, squares: Squares) -> None:
        self._work, self._squares = work, squares
        self.grid = squares.grid(work.grid)
        self.layers: tuple[Layer, ...] = work.layers
        self.tile_px, self.square_px, self.classes = work.tile_px // squares.side_px, squares.side_px, work.classes
        self.engine, self.blended = work.engine, work.blended

    def compute(self, block: Block, pool: Executor) -> list[Pixels] | None:  # noqa: D102 - as the protocol
        pixels = self._squares.block_of_pixels(block).intersection(self._work.grid.block)
        layers = self._work.compute(pixels, pool)
        return None if layers is None else [self._by_square(*layer) for layer in layers]

    def _by_square(self, scores: FloatArray, valid: BoolArray) -> Pixels:
        """Return the scores of whole or cut squares: those of any valid pixel, as all pixels of a square have them."""
        rows, cols = (np.arange(0, length, self._squares.side_px) for length in valid.shape)
        known = np.logical_or.reduceat(np.logical_or.reduceat(valid, rows, axis=0), cols, axis=1)
        hidden = np.where(valid, scores, np.float32(-np.inf))
        highest = np.maximum.reduceat(np.maximum.reduceat(hidden, rows, axis=1), cols, axis=2)
        return np.where(known, highest, np.float32(0)), known


def map_work(
    image: Scene,
    models: ScoreModels,
    given: SceneReader | None = None,
    *,
    engine: EngineChoice = EngineChoice(),
    cut: Cut = Cut(),
) -> ScoreWork:
    """Return the scores that a map is made of: of pixels, see ``score_work``, or of a classifier's squares.

    The scene is then read at the model's pixel size, of which squares are whole numbers.

    Raises:
        SceneError: If not one whole square fits on the scene; else as ``score_work``.
    """
    squares, coarse = models.squares, models.coarse
    if squares is None or coarse is None:
        return score_work(image, models, given, engine=engine, cut=cut)
    models.check(image, given)
    ratio = gsd_ratio(image, coarse.card.gsd_m)
    seen = image if ratio == (1.0, 1.0) else ResampledScene(image, *ratio)
    _check_size(seen.grid, squares)
    return SquareScores(score_work(seen, models, engine=engine, cut=cut), squares)


def _check_size(grid: Grid, squares: Squares) -> None:
    """Raise SceneError where not one whole square fits on a scene."""
    if min(grid.shape) < squares.side_px:
        raise SceneError(
            f"The scene is {grid.height} x {grid.width} pixels at the model's pixel size, less than one of its squares "
            f"of {squares.side_px} pixels.",
            expected=f"a scene of at least {squares.side_px} x {squares.side_px} pixels",
            remedy="map a larger scene, or train a classifier of smaller squares with square_px",
        )
