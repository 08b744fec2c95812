"""A project on a scene of 160 x 160 pixels, made in milliseconds."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

HEAD = """\
crispmap: 2
name: hamlet
scene: {path: scene.tif}
classes:
- {name: background, colour: "#cccccc"}
- {name: building, colour: "#d7191c"}
- {name: road, colour: "#2b83ba"}
labels: {path: imprecise.tif}
"""
"""What is mapped, and the imprecise labels; areas and the rest are added by tests."""
PROJECT = f"""\
{HEAD}\
reference: {{path: precise.tif}}
areas:
  coarse: [{{window: [0, 0, 160, 80]}}]
  refiner: [{{window: [0, 80, 160, 40]}}]
  test: [{{window: [0, 120, 160, 40]}}]
"""
"""All areas and labels, trained by default."""


def write(path: Path, bands: np.ndarray) -> None:
    profile = {"driver": "GTiff", "height": 160, "width": 160, "count": len(bands), "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=from_origin(5e5, 5e6, 1.0, 1.0), **profile) as file:
        file.write(bands)


def make_project(folder: Path, text: str) -> None:
    """Write a scene of bright blocks and dark roads, its exact labels, the same labels shifted, and a project file."""
    rng = np.random.default_rng(11)
    labels = np.zeros((160, 160), np.uint8)
    for row in range(4, 150, 40):
        for col in range(4, 150, 30):
            top, left = row + rng.integers(8), col + rng.integers(6)
            labels[top : top + rng.integers(12, 22), left : left + rng.integers(10, 18)] = 1
    labels[:, 60:68] = labels[116:124] = 2
    colours = np.array([[90, 120, 70], [200, 150, 130], [70, 70, 80]])[labels].transpose(2, 0, 1)
    image = np.clip(colours + rng.normal(0, 12, (3, 160, 160)), 0, 255).astype(np.uint8)
    write(folder / "scene.tif", image)
    write(folder / "precise.tif", labels[None])
    write(folder / "imprecise.tif", np.roll(labels, (3, -2), (0, 1))[None])
    (folder / "project.yaml").write_text(text)
