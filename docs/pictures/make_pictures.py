"""Make the README's picture, and that of a refiner's steps, from a finished demo.

Usage: crispmap demo --out demo && python docs/pictures/make_pictures.py demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from crispmap.geo.grid import Block
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.vectors import read_vectors
from crispmap.models.file import load_model
from crispmap.raster.files import open_scene
from crispmap.raster.scores import open_scores
from crispmap.report.pictures.maps import class_rgb
from crispmap.report.pictures.photos import ByteArray, rgb_preview
from crispmap.report.pictures.strip import strip_png
from crispmap.synth.truth import TOWN_SCHEMA

PLACES = (Block(830, 1560, 192, 192), Block(960, 1980, 192, 192))
"""Two places on the demo's test area, in pixels of the scene."""
CLOSER = Block(880, 1590, 96, 96)
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


def step_rows(demo: Path) -> tuple[list[list[ByteArray]], list[str]]:
    """Return the probability of a building, and the map, after some steps of the demo's refiner; and headings."""
    refiner = load_model(demo / "results" / "refiner.safetensors", kind="refiner")
    with open_scene(demo / "scene.tif") as scene, open_scores(demo / "results" / "finetuned_scores.tif") as scores:
        steps = IterationMaps(scene, scores, refiner).over(CLOSER)
        whole = rgb_preview(scene.read(scene.grid.block)[0][:3])
        truth = class_rgb(open_labels(demo / "truth.tif", TOWN_SCHEMA, scene.grid).read(CLOSER), TOWN_SCHEMA)
    chosen = [0, 1, len(steps) // 2, len(steps) - 1]
    found: list[list[ByteArray]] = [[whole[:, *CLOSER.slices]], [truth]]
    for step in chosen:
        values, labels = steps[step]
        shares = np.exp(values - values.max(axis=0))
        grey = np.rint(255 * (1 - shares[1] / shares.sum(axis=0))).astype(np.uint8)
        found[0].append(np.stack([grey] * 3))
        found[1].append(class_rgb(labels, TOWN_SCHEMA))
    return found, ["image, and truth", *("before" if step == 0 else f"step {step}" for step in chosen)]


def main() -> None:
    """Write both beside this file."""
    demo, legend = Path(sys.argv[1]), [(one.name, one.rgb) for one in TOWN_SCHEMA]
    here = Path(__file__).parent
    (here / "town.png").write_bytes(strip_png(rows(demo), HEADINGS, legend, tile_px=192))
    steps, headings = step_rows(demo)
    (here / "steps.png").write_bytes(strip_png(steps, headings, legend, tile_px=192))


if __name__ == "__main__":
    main()
