"""``refine`` with model files of refiners written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from small_place import SCHEMA, SHAPE, image, run, write_raster

from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling, scaled_input
from crispmap.refiners.bayes.refiner import BayesRefiner
from crispmap.refiners.crf.refiner import CrfRefiner
from crispmap.refiners.hand_written import HandWrittenRefiner
from whole_refined import every_iteration

REFINERS: dict[str, HandWrittenRefiner] = {
    "bayes": BayesRefiner(3, 3, window_px=5),
    "crf": CrfRefiner(3, 3, iterations=2, theta_alpha_px=1.5, theta_beta=1.0),
    **{
        name: one.build(classes=3, bands=3, iterations=2, substeps=2)
        for name, one in architectures("refiner").items()
        if one.learner == "grid-fit" and name not in ("bayes", "crf")
    },
}


@pytest.fixture(params=list(REFINERS))
def refiner(request: pytest.FixtureRequest) -> HandWrittenRefiner:
    return REFINERS[request.param]


@pytest.fixture
def place(tmp_path: Path, refiner: HandWrittenRefiner) -> Path:
    write_raster(tmp_path / "scene.tif", image())
    scores = np.random.default_rng(1).normal(0, 1, (3, *SHAPE)).astype(np.float32)
    write_raster(tmp_path / "scores.tif", scores)
    card = ModelCard(
        kind="refiner", architecture=refiner.architecture, arguments=refiner.arguments, schema=SCHEMA,
        band_names=("red", "green", "blue"), scaling=Scaling((127.0,) * 3, (64.0,) * 3), gsd_m=1.0,
        radius_px=refiner.radius_px, stride_px=1,
    )  # fmt: skip
    save_model(tmp_path / "refiner.safetensors", refiner, card)
    return tmp_path


def command(place: Path, *more: str | Path) -> list[str | Path]:
    scene, model = place / "scene.tif", place / "refiner.safetensors"
    return ["refine", place / "scores.tif", "--scene", scene, "--refiner", model, "--out", place / "map.tif", *more]


def test_the_command_writes_what_the_refiner_says_of_the_scene(place: Path, refiner: HandWrittenRefiner) -> None:
    result = run(*command(place, "--scores", place / "refined.tif"))
    assert result.exit_code == 0, result.output
    with rasterio.open(place / "scene.tif") as scene, rasterio.open(place / "scores.tif") as scores:
        pixels, valid = scene.read().astype(np.float32), scene.dataset_mask() > 0
        given = np.where(valid, scores.read(), np.float32(0))
    scaled = scaled_input(pixels, valid, Scaling((127.0,) * 3, (64.0,) * 3))
    expected = every_iteration(refiner, given, scaled)[-1]
    with rasterio.open(place / "refined.tif") as file:
        refined = file.read()
    # What cannot be tiled exactly is blended of tiles, and told from the whole by a little.
    tolerance = 1e-5 if refiner.radius_px is not None else 0.05
    assert np.abs(refined - expected)[:, valid].max() < tolerance
    with rasterio.open(place / "map.tif") as file:
        assert np.array_equal(file.read(1)[valid], refined.argmax(0)[valid])


def test_an_engine_that_cannot_take_it_is_refused(place: Path) -> None:
    result = run(*command(place, "--engine", "openvino"))
    assert result.exit_code == 2
    assert "cannot take a refiner of so many operations" in result.stderr
    assert not (place / "map.tif").exists()


def test_info_tells_the_numbers(place: Path, refiner: HandWrittenRefiner) -> None:
    result = run("info", place / "refiner.safetensors", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["architecture"] == refiner.architecture
    assert told["radius_px"] == refiner.radius_px


def test_a_model_file_with_a_bad_number_is_told(place: Path, refiner: HandWrittenRefiner) -> None:
    card = ModelCard(
        kind="refiner", architecture=refiner.architecture, schema=SCHEMA,
        arguments={**refiner.arguments, "iterations": 0},
        band_names=("red", "green", "blue"), scaling=Scaling((127.0,) * 3, (64.0,) * 3), gsd_m=1.0,
        radius_px=refiner.radius_px, stride_px=1,
    )  # fmt: skip
    save_model(place / "refiner.safetensors", torch.nn.Module(), card, force=True)
    result = run(*command(place))
    assert result.exit_code == 2
    assert "iterations is 0" in result.stderr
