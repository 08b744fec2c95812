"""Make the README's picture from a finished demo.

Usage: crispmap demo --out demo && python docs/pictures/make_pictures.py demo
"""

from __future__ import annotations

import sys
from pathlib import Path

from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import open_labels
from crispmap.raster.files import open_scene
from crispmap.report.pictures.photos import rgb_preview
from crispmap.report.pictures.strip import compare_strip
from crispmap.report.pictures.views import Crop
from crispmap.synth.truth import TOWN_SCHEMA
from crispmap.types import LabelArray

CROPS = (Block(830, 1560, 240, 240), Block(960, 1980, 240, 240))
"""Two places on the demo's test ground, in pixels of the scene."""


def labels(path: Path, grid: Grid, block: Block) -> LabelArray:
    """Return the class ids of a block of a class map."""
    return open_labels(path, TOWN_SCHEMA, grid).read(block)


def crop(demo: Path, block: Block) -> Crop:
    """Return a place of the demo with its maps."""
    with open_scene(demo / "scene.tif", bands=(1, 2, 3)) as scene:
        picture = rgb_preview(scene.read(scene.grid.block)[0])
        grid = scene.grid
    maps = [labels(demo / "results" / name, grid, block) for name in ("coarse.tif", "refined.tif")]
    return Crop("", picture[:, *block.slices], labels(demo / "truth.tif", grid, block), maps)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    crops = [crop(folder, block) for block in CROPS]
    target = Path(__file__).with_name("town.png")
    compare_strip(target, crops, TOWN_SCHEMA, force=True, tile_px=300)
