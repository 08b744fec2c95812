"""Make the README's picture from a finished demo.

Usage: crispmap demo --out demo && python docs/pictures/make_pictures.py demo
"""

from __future__ import annotations

import sys
from pathlib import Path

from crispmap.geo.grid import Block
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.vectors import read_vectors
from crispmap.raster.files import open_scene
from crispmap.report.pictures.maps import class_rgb
from crispmap.report.pictures.photos import ByteArray, rgb_preview
from crispmap.report.pictures.strip import strip_png
from crispmap.synth.truth import TOWN_SCHEMA

PLACES = (Block(830, 1560, 192, 192), Block(960, 1980, 192, 192))
"""Two places on the demo's test area, in pixels of the scene."""
HEADINGS = ("image", "imprecise labels", "coarse map", "best map", "reference")


def rows(demo: Path) -> list[list[ByteArray]]:
    """Return, for each place, the scene, the labels that were learned from, the maps and the truth."""
    with open_scene(demo / "scene.tif", bands=(1, 2, 3)) as scene:
        picture = rgb_preview(scene.read(scene.grid.block)[0])
        grid = scene.grid
    masks = [VectorLabels(read_vectors(demo / "osm.gpkg", TOWN_SCHEMA, grid=grid), grid, TOWN_SCHEMA)]
    files = ("results/coarse.tif", "results/refined.tif", "truth.tif")
    readers = [*masks, *(open_labels(demo / name, TOWN_SCHEMA, grid) for name in files)]
    return [
        [picture[:, *place.slices], *(class_rgb(one.read(place), TOWN_SCHEMA) for one in readers)] for place in PLACES
    ]


if __name__ == "__main__":
    legend = [(one.name, one.rgb) for one in TOWN_SCHEMA]
    target = Path(__file__).with_name("town.png")
    target.write_bytes(strip_png(rows(Path(sys.argv[1])), HEADINGS, legend, tile_px=192))
