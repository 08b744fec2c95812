"""Adding a refiner takes one file: this one declares a refiner, and a project trains it and maps with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.models.architecture import Architecture, Preset
from crispmap.models.base import Refiner, crop
from crispmap.models.file import load_model
from crispmap.models.registry import register, unregister
from crispmap.models.settings import TrainingSettings
from crispmap.project.compare.methods import refiner_rows
from small_project import make_project


class ToyRefiner(Refiner):
    """Adds one convolution of image and scores to the scores."""

    architecture = "toy-refiner"

    def __init__(self, classes: int, bands: int) -> None:
        super().__init__()
        self.arguments = {"classes": classes, "bands": bands}
        self.classes, self.bands, self.iterations = classes, bands, 1
        self.margin_px = self.radius_px = 1
        self.update = nn.Conv2d(bands + classes, classes, 3)

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:
        start = crop(scores, 1)
        return [start, start + self.update(torch.cat([scores, image], dim=1))]


TOY = Architecture(
    name="toy-refiner",
    kind="refiner",
    summary="one convolution",
    builder=ToyRefiner,
    presets={
        "fast": Preset(TrainingSettings(optimizer="adamw", learning_rate=0.02, max_steps=40, batch=4, patch_px=32))
    },
)
PROJECT = """\
crispmap: 2
name: toy
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
coarse: {kind: fcn-rnn, max_steps: 5, batch: 2, patch_px: 32}
refiner: {kind: toy-refiner}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(TOY)
    yield
    unregister("toy-refiner")


def test_a_project_names_it_and_every_verb_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, PROJECT)
    monkeypatch.chdir(tmp_path)
    for command in (["train", "."], ["predict", ".", "--engine", "torch"], ["evaluate", "."]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "toy/refiner.safetensors", kind="refiner")
    assert isinstance(model.network, ToyRefiner)
    assert (tmp_path / "toy/report.html").exists()


def test_comparisons_have_rows_of_it() -> None:
    assert {"toy-refiner", "toy-refiner-corrected"} <= set(refiner_rows())
