"""Scores brought to the grid of a scene, with pixels of any size."""

from __future__ import annotations

from affine import Affine

from crispmap.errors import GridError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turn_to
from crispmap.inference.tiled import Pixels
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene, SceneReader

_CORNER_PX = 0.5  # how far the origins of scores and scene may be apart, in pixels of the scene


class ScoresOnScene(Scene):
    """Scores with the pixels of a scene, cut to its grid and valid only where the scene is.

    Scores with larger pixels are interpolated linearly between pixel centres, those with smaller ones averaged by
    area, by global coordinates (``ResampledScene``). Scores are float32, 0 where invalid. ``ratio`` is the (y, x) size
    of their pixels in pixels of the scene; the corners of their first pixels are the same.
    """

    def __init__(self, scores: SceneReader, image: SceneReader, ratio: tuple[float, float], engine: str = "") -> None:
        self.image, self.engine, self.grid = image, engine, image.grid
        self.band_names, self.path = scores.band_names, scores.path
        self._scores = scores if ratio == (1.0, 1.0) else ResampledScene(scores, 1 / ratio[0], 1 / ratio[1])

    def _read_inside(self, block: Block) -> Pixels:
        values, known = self._scores.read(block)
        valid = known & self.image.read(block)[1]
        values[:, ~valid] = 0.0
        return values, valid

    def close(self) -> None:
        """Do nothing: the caller closes scores and scene."""


def scores_on_scene(scores: SceneReader, image: SceneReader) -> ScoresOnScene:
    """Return scores on a scene's grid, valid where scores and scene are.

    Scores without georeference are taken to start at the scene's corner and to have pixels of a whole number of the
    scene's; scores with one, of a scene without and of its shape, to be its pixels.

    Raises:
        GridError: If scores and scene do not cover the same area, to a pixel of either.
    """
    if isinstance(scores, ScoresOnScene) and scores.image is image:
        return scores
    to_scene = _to_scene(scores.grid, image.grid)
    if to_scene is None or not _fits(to_scene, scores.grid, image.grid):
        raise GridError(
            f"The scores do not cover the scene's area.\n"
            f"  scores: {_described(scores.grid)}\n  scene: {_described(image.grid)}",
            expected="scores in the scene's coordinate system, from corner to corner, with pixels of any size",
            remedy=_remedy(scores.grid, image.grid),
        )
    same = scores.grid.shape == image.grid.shape
    return ScoresOnScene(scores, image, (1.0, 1.0) if same else (to_scene.e, to_scene.a))


def _remedy(scores: Grid, scene: Grid) -> str:
    """Return what brings scores onto a scene: where only one has a coordinate system, warping cannot."""
    if scores.is_placed and scene.is_placed and (scores.crs is None) != (scene.crs is None):
        lacking = "scores" if scores.crs is None else "scene"
        return f"assign the {lacking} the coordinate system of the other: gdal_edit.py -a_srs EPSG:..."
    return "warp the scores to the scene's bounds, for example with gdalwarp -te -t_srs -r bilinear"


def _to_scene(scores: Grid, scene: Grid) -> Affine | None:
    """Return the map from pixel positions of the scores to those of the scene; None where there is none."""
    if not scene.is_placed and scores.shape == scene.shape:
        return Affine.identity()
    if not scores.is_placed:
        # One whole ratio for both axes: a map cut along its borders must not be stretched over the whole scene.
        return Affine.scale(max(1, round(scene.width / scores.width)))
    if scores.crs != scene.crs:
        return None
    turn = turn_to(scores.transform.c, scene.transform.c, scene.crs)
    to_scene: Affine = ~scene.transform @ Affine.translation(turn, 0.0) @ scores.transform
    return to_scene


def _fits(to_scene: Affine, scores: Grid, scene: Grid) -> bool:
    """Return whether the scores start at the scene's corner, upright, and end at the other to a pixel of either."""
    if to_scene.a <= 0 or to_scene.e <= 0:
        return False
    if max(abs(to_scene.b) * scores.height, abs(to_scene.d) * scores.width) > _CORNER_PX:
        return False
    if max(abs(to_scene.c), abs(to_scene.f)) > _CORNER_PX:
        return False
    right, bottom = to_scene @ (scores.width, scores.height)
    return abs(right - scene.width) <= max(1.0, to_scene.a) and abs(bottom - scene.height) <= max(1.0, to_scene.e)


def _described(grid: Grid) -> str:
    """Return a grid in words: shape, pixel size, coordinate system, bounds."""
    x, y = grid.gsd_m()
    name = "no coordinate system" if grid.crs is None else grid.crs.name
    bounds = ", ".join(f"{value:.10g}" for value in grid.bounds)
    return f"{grid.height} x {grid.width} pixels of {y:.3g} x {x:.3g} m, {name}, bounds ({bounds})"
