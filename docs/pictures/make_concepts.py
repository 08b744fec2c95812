"""Make the pictures of the page on concepts from a generated town; nothing is trained.

Usage: python docs/pictures/make_concepts.py FOLDER, where the town of the demo is, or is written
"""

from __future__ import annotations

import sys
from pathlib import Path

from crispmap.classes import ClassSchema
from crispmap.geo.grid import Block, Grid
from crispmap.labels.align.features import aligned_features
from crispmap.labels.align.objects import AlignRules
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.vectors import read_vectors
from crispmap.raster.files import open_scene
from crispmap.report.pictures.maps import class_rgb
from crispmap.report.pictures.photos import ByteArray, rgb_preview
from crispmap.report.pictures.strip import strip_png
from crispmap.synth.truth import TOWN_SCHEMA
from crispmap.synth.write import write_town

PLACES = (Block(300, 300, 170, 170), Block(840, 1600, 170, 170))
"""Two places of the town, in pixels of the scene."""
HEADINGS = ("scene", "labels as given", "labels aligned", "truth")
TOWN_PX = (1600, 2400)  # as the demo's


def error_rgb(ids: ByteArray, truth: ByteArray, schema: ClassSchema) -> ByteArray:
    """Return labels in the colours of their classes, darkened where they differ from the truth."""
    picture = class_rgb(ids, schema)
    wrong = ids != truth
    picture[:, wrong] = (picture[:, wrong] * 0.6).astype(picture.dtype)
    return picture


def rows(town: Path) -> list[list[ByteArray]]:
    """Return, for each place, the scene, the labels as given and aligned, and the truth."""
    with open_scene(town / "scene.tif", bands=(1, 2, 3)) as scene:
        grid: Grid = scene.grid
        whole = rgb_preview(scene.read(grid.block)[0])
        features = read_vectors(town / "osm.gpkg", TOWN_SCHEMA, grid=grid)
        moved, _ = aligned_features(features, scene, AlignRules())
    readers = [VectorLabels(one, grid, TOWN_SCHEMA) for one in (features, moved)]
    truth = open_labels(town / "truth.tif", TOWN_SCHEMA, grid)
    found = []
    for block in PLACES:
        true = truth.read(block)
        maps = [error_rgb(one.read(block), true, TOWN_SCHEMA) for one in readers]
        found.append([whole[:, *block.slices], *maps, class_rgb(true, TOWN_SCHEMA)])
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if not (folder / "scene.tif").exists():
        write_town(folder, size_px=TOWN_PX, seed=0)
    legend = [(one.name, one.rgb) for one in TOWN_SCHEMA]
    target = Path(__file__).with_name("labels.png")
    target.write_bytes(strip_png(rows(folder), HEADINGS, legend, tile_px=170))
