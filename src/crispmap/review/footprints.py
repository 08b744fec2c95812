"""Footprints of the buildings that scores see, with the mean confidence of each."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pyogrio

from crispmap.errors import SceneError
from crispmap.events import SILENT, Events, progress
from crispmap.inference.products import class_map
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.writer import class_map_writer, scores_writer
from crispmap.review.scores import ReviewScores

BLOCK_PX = 1024


def seen_footprints(
    scores: ReviewScores, folder: Path, *, block_px: int = BLOCK_PX, events: Events = SILENT
) -> gpd.GeoDataFrame:
    """Return the footprints of a class in scores: columns area_m2, confidence, geometry; none overlaps another.

    They are those of ``vectorize_file`` with the preset buildings, and depend neither on ``block_px`` nor on how the
    map is read.

    Args:
        folder: For the map and its scores while they are drawn.

    Raises:
        SceneError: If no pixel of the scores is valid.
    """
    grid, schema = scores.scene.grid, scores.schema
    map_path, scores_path, shapes_path = (folder / name for name in ("map.tif", "scores.tif", "seen.gpkg"))
    with (
        class_map_writer(map_path, grid, schema) as classes,
        scores_writer(scores_path, grid, schema.names) as logits,
        progress(events, "review", grid.height * grid.width) as running,
    ):
        known = False
        for block in grid.blocks(block_px):
            values, valid = scores.scene.read(block)
            classes.write(block, class_map(values, valid))
            known |= bool(valid.any())
            values[:, ~valid] = float("nan")
            logits.write(block, values)
            running.advance(block.height * block.width)
    if not known:
        raise SceneError(
            f"{scores.scene.path} has no valid pixel where the scene has.", expected="scores of what the scene shows",
            remedy="check nodata values and masks of both with gdalinfo",
        )  # fmt: skip
    rules = PolygonRules(classes=(scores.class_name,), preset="buildings", scores=scores_path, confidence=scores_path)
    vectorize_file(map_path, shapes_path, rules, events=events)
    found = pyogrio.read_dataframe(shapes_path, layer=shapes_path.stem, columns=["area_m2", "confidence"])
    return found.set_crs(grid.crs, allow_override=True) if grid.crs is not None else found
