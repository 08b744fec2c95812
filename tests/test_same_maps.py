"""The same project and seed give the same two maps, whatever is moved or renamed: hashes taken on 2026-11-28.

Trainings of a few steps, in float32 by PyTorch. The classes lie far enough apart that processors whose sums round
otherwise come to the same labels.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from typer.testing import CliRunner

from crispmap.cli.main import app

COARSE_SHA256 = "158aa17fdcea21a08b056281e4c6a1aa513d484beade84ec1993670f14a6e0f8"
REFINED_SHA256 = "006841c01e5249b7d68fdb5bdf0b59624d1f79c5528d7ec170b1b3d8e6bc4371"

PROJECT = """\
crispmap: 1
name: same
seed: 7
scene: {path: scene.tif}
classes:
- {name: background, colour: "#cccccc"}
- {name: building, colour: "#d7191c"}
- {name: road, colour: "#2b83ba"}
labels: {path: imprecise.tif}
reference: {path: precise.tif}
areas:
  coarse: [{window: [0, 0, 96, 160]}]
  refiner: [{window: [96, 0, 64, 80]}]
  test: [{window: [96, 80, 64, 80]}]
coarse: {network: fcn-rnn, steps: 12, batch: 4, patch_px: 32}
refiner: {variant: class-specific, steps: 5, training_steps: 8, batch: 4, patch_px: 32}
"""


def write(path: Path, bands: np.ndarray) -> None:
    profile = {"driver": "GTiff", "height": 160, "width": 160, "count": len(bands), "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=from_origin(5e5, 5e6, 1.0, 1.0), **profile) as file:
        file.write(bands)


def make_project(folder: Path) -> None:
    """Write a scene of bright blocks and dark roads, its exact labels, and the same labels shifted."""
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
    (folder / "project.yaml").write_text(PROJECT)


def map_hash(path: Path) -> str:
    with rasterio.open(path) as file:
        return hashlib.sha256(file.read(1).tobytes()).hexdigest()


def test_maps_are_those_of_the_version_before_the_rooms_were_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    for command in (["train", "."], ["predict", ".", "--engine", "torch", "--precision", "float32"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    found = map_hash(tmp_path / "same/coarse.tif"), map_hash(tmp_path / "same/refined.tif")
    assert found == (COARSE_SHA256, REFINED_SHA256)
