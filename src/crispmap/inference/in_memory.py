"""Maps by models in memory, computed in this process and not resumed: of arrays, and with networks of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from crispmap.evaluation.readers import ArrayLabels
from crispmap.geo.grid import Block
from crispmap.inference.engines import EngineChoice
from crispmap.inference.exactness import blended_tags, halo_tags
from crispmap.inference.familiarity import warn_of_strange_file, warn_of_strange_map, warn_of_strange_scene
from crispmap.inference.plan import BLOCK_PX
from crispmap.inference.products import class_map
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.squares import map_work
from crispmap.inference.work import ScoreWork
from crispmap.raster.pipeline import available_cores
from crispmap.raster.scene import Scene
from crispmap.raster.targets import check_paths
from crispmap.raster.writer import class_map_writer
from crispmap.types import IGNORE, BoolArray, FloatArray, LabelArray


def map_in_memory(
    scene: Scene, models: ScoreModels, given: Scene | None = None, *, device: str = "auto", with_scores: bool = False
) -> tuple[LabelArray, FloatArray | None]:
    """Return class ids uint8 (row, col), 255 where invalid, and the scores (class, row, col) where wanted, NaN there.

    They are on the image's pixels, those of a classifier of squares too.
    The last of the models gives the result. ``given`` are scores in the place of a coarse network.

    Raises:
        ModelError: If a model was made for other bands or classes.
        SceneError: If the image's pixels are far from the models' in size.
        GridError: If scores and image do not cover the same area.
    """
    labels = np.full(scene.grid.shape, IGNORE, np.uint8)
    scores = np.full((len(models.all[0].classes), *scene.grid.shape), np.nan, np.float32) if with_scores else None
    work, _ = _work(score_work, scene, models, given, device)
    for block, values, valid in _computed(work):
        labels[block.slices] = class_map(values, valid)
        if scores is not None:
            scores[:, *block.slices] = np.where(valid, values, np.float32(np.nan))
    warn_of_strange_map("The map", ArrayLabels(labels), scene.grid.block, models)
    return labels, scores


def write_map(scene: Scene, models: ScoreModels, out: Path, *, device: str = "auto", force: bool = False) -> Path:
    """Write the class map of a scene block by block, and return its path; errors are those of ``map_in_memory``.

    Raises:
        OutputError: If the file is the scene's, exists and ``force`` is not given, or cannot be written.
    """
    check_paths([out], [scene.path])
    work, tags = _work(map_work, scene, models, None, device)
    tags |= models.squares_tag
    with class_map_writer(out, work.grid, models.all[0].classes, tags=tags, force=force) as writer:
        for block, values, valid in _computed(work):
            writer.write(block, class_map(values, valid))
    warn_of_strange_file(out, models)
    return out


def _work(
    work_of: Callable[..., ScoreWork], scene: Scene, models: ScoreModels, given: Scene | None, device: str
) -> tuple[ScoreWork, dict[str, str]]:
    """Return the work, and what the tags of its map have to say; warnings say the same."""
    warn_of_strange_scene(scene, models)
    engine = EngineChoice(device=device, threads=available_cores())
    work = work_of(scene, models, given, engine=engine)
    return work, {**blended_tags(work), **halo_tags(scene, models, given, work, engine)}


def _computed(work: ScoreWork) -> Iterator[tuple[Block, FloatArray, BoolArray]]:
    """Yield scores and valid pixels block by block; blocks without a valid pixel are left out."""
    side = -(-BLOCK_PX // (work.square_px * work.tile_px)) * work.tile_px
    with ThreadPoolExecutor(available_cores()) as pool:
        for block in work.grid.blocks(side):
            layers = work.compute(block, pool)
            if layers is not None:
                yield block, *layers[0]
