"""The same project and seed give the same two maps, whatever is moved or renamed: hashes taken on 2026-11-28.

Trainings of a few steps, in float32 by PyTorch. The classes lie far enough apart that processors whose sums round
otherwise come to the same labels.
"""

import hashlib
from pathlib import Path

import pytest
import rasterio
from typer.testing import CliRunner

from crispmap.cli.main import app
from small_project import make_project

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


def map_hash(path: Path) -> str:
    with rasterio.open(path) as file:
        return hashlib.sha256(file.read(1).tobytes()).hexdigest()


def test_maps_are_those_of_the_version_before_the_rooms_were_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path, PROJECT)
    for command in (
        ["train", ".", "--precision", "float32"],
        ["predict", ".", "--engine", "torch", "--precision", "float32"],
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    found = map_hash(tmp_path / "same/coarse.tif"), map_hash(tmp_path / "same/refined.tif")
    assert found == (COARSE_SHA256, REFINED_SHA256)
