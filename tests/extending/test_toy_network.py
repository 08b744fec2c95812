"""Adding a network takes one file: this one declares a padded network, trains it, maps with it, tiles it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from typer.testing import CliRunner

from array_scene import ArrayScene
from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.plan import Cut
from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset
from crispmap.models.base import CoarseNetwork
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model
from crispmap.models.model import Model
from crispmap.models.registry import register, unregister
from crispmap.models.scaling import Scaling
from crispmap.models.settings import TrainingSettings
from crispmap.raster.scene import read_whole
from small_project import make_project


class ToyNetwork(CoarseNetwork):
    """Two padded convolutions, the first of stride 2, and a deconvolution back: zeros at every border it is shown."""

    architecture = "toy"

    def __init__(self, bands: int, classes: int, width: int = 8) -> None:
        super().__init__()
        self.arguments = {"bands": bands, "classes": classes, "width": width}
        self.bands, self.classes = bands, classes
        self.stride_px, self.train_margin_px, self.halo_px, self.radius_px = 2, 0, 4, 4
        self.down = nn.Conv2d(bands, width, 3, stride=2, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.up = nn.ConvTranspose2d(width, classes, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.up(torch.relu(self.middle(torch.relu(self.down(image)))))


class ToyOptions(ArchitectureOptions):
    width: int = Field(8, description="a whole number above 0: maps of each layer")


TOY = Architecture(
    name="toy",
    kind="coarse",
    summary="a small padded network",
    builder=ToyNetwork,
    options=ToyOptions,
    presets={
        "fast": Preset(TrainingSettings(optimizer="adamw", learning_rate=0.02, max_steps=60, batch=8, patch_px=32))
    },
    patch_multiple=2,
)
PROJECT = """\
crispmap: 2
name: toy
scene: {path: scene.tif}
classes:
- {name: background, colour: "#cccccc"}
- {name: building, colour: "#d7191c"}
- {name: road, colour: "#2b83ba"}
labels: {path: precise.tif}
areas: {coarse: [{window: [0, 0, 96, 160]}]}
coarse: {kind: toy, width: 6}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(TOY)
    yield
    unregister("toy")


def network_of(seed: int = 0) -> ToyNetwork:
    torch.manual_seed(seed)
    return ToyNetwork(2, 3).double().eval()


def test_what_padding_invents_reaches_no_further_than_the_declared_radius() -> None:
    network = network_of()
    module = network.for_inference()
    image = torch.rand(1, 2, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        plain = module(image)
        assert plain.shape == (1, 3, 32, 32)
        reach = 0
        for row, col in ((19, 20), (20, 19), (21, 22)):
            touched = image.clone()
            touched[..., row, col] += 10
            changed = (module(touched) != plain).any(dim=1)[0].nonzero() + network.halo_px
            reach = max(reach, int((changed - torch.tensor([row, col])).abs().max()))
    assert reach == network.radius_px


@pytest.mark.parametrize("tile_px", [8, 22, 64])
def test_it_is_tiled_exactly(tile_px: int) -> None:
    network = network_of().float()
    image = np.random.default_rng(0).normal(0, 1, (2, 61, 47)).astype(np.float32)
    schema = ClassSchema(tuple(ClassDef(name, f"#00000{index}") for index, name in enumerate("abc")))
    scaling = Scaling((0.0, 0.0), (1.0, 1.0))
    card = ModelCard("coarse", "toy", network.arguments, schema, ("a", "b"), scaling, 1.0, 4, 2)
    scores, valid = read_whole(coarse_scores(ArrayScene(image), Model(network, card), cut=Cut(tile_px)))
    halo = network.halo_px
    padded = np.pad(image, ((0, 0), (halo, halo + 3), (halo, halo + 1)), mode="symmetric")
    with torch.no_grad():
        whole = network.for_inference()(torch.from_numpy(padded)[None])[0, :, :61, :47].numpy()
    assert valid.all()
    np.testing.assert_allclose(scores, whole, atol=1e-5)


def test_a_project_names_it_trains_it_and_maps_alike_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, PROJECT)
    monkeypatch.chdir(tmp_path)
    commands = [["train", "."], ["predict", ".", "--block", "64", "--engine", "torch"]]
    commands.append(
        ["predict", "scene.tif", "--model", "toy/coarse.safetensors", "--out", "map.tif", "--engine", "torch"]
    )
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "toy/coarse.safetensors", kind="coarse")
    assert isinstance(model.network, ToyNetwork)
    assert model.card.arguments["width"] == 6
    assert model.card.provenance["validation_mean_iou"] > 0.4  # chance is below 0.3
    assert CliRunner().invoke(app, ["info", "map.tif"]).exit_code == 0
    import rasterio

    with rasterio.open(tmp_path / "map.tif") as one, rasterio.open(tmp_path / "toy/coarse.tif") as other:
        assert np.array_equal(one.read(1), other.read(1))


def test_an_option_of_another_network_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path, PROJECT.replace("kind: toy, width", "kind: fcn-rnn, width"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "."])
    assert result.exit_code == 2
    assert "coarse.width" in result.stderr
    assert "toy" in result.stderr
