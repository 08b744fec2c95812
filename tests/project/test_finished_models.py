"""A project that maps another scene with finished models: neither labels nor areas are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import InputError, ModelError, ProjectError
from crispmap.inference.options import PredictOptions
from crispmap.models.file import read_card
from crispmap.project.compare.comparison import compare_methods
from crispmap.project.file import load_project
from crispmap.project.results import RETHRESHOLDED, evaluate_project
from crispmap.project.run import Products, predict_project, train_project

TEXT = """\
crispmap: 2
name: elsewhere
scene: {path: SCENE}
classes:
  - {name: background, colour: "#f2efe9"}
  - {name: building, colour: "#d7191c"}
  - {name: road, colour: "#fdae61"}
models: {coarse: COARSE, refiner: REFINER}
"""


@pytest.fixture
def elsewhere(mapped_town: Path, tmp_path: Path) -> Path:
    """A project file that names a scene and finished models, and no more."""
    products = Products(mapped_town / "results")
    files = {"SCENE": mapped_town / "scene.tif", "COARSE": products.coarse_model, "REFINER": products.refiner_model}
    text = TEXT
    for name, path in files.items():
        text = text.replace(name, str(path))
    path = tmp_path / "project.yaml"
    path.write_text(text)
    return path


def changed(path: Path, **changes: object) -> Path:
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(values | changes))
    return path


def map_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_a_scene_is_mapped_with_models_alone(mapped_town: Path, elsewhere: Path) -> None:
    there, here = Products(mapped_town / "results"), Products.of(load_project(elsewhere))
    predict_project(elsewhere)
    for name in ("coarse_map", "refined_map"):
        assert getattr(here, name).parent == elsewhere.parent / "elsewhere"
        np.testing.assert_array_equal(map_of(getattr(here, name)), map_of(getattr(there, name)))
    with pytest.raises(ProjectError):  # there is nothing to score against
        evaluate_project(elsewhere)


def test_its_figures_hold_the_recalibrated_coarse_map_by_the_cards_biases(mapped_town: Path, elsewhere: Path) -> None:
    changed(
        elsewhere, reference={"path": str(mapped_town / "truth.tif")},
        areas={"test": [{"window": [0, 600, 320, 200]}]},
    )  # fmt: skip
    assert CliRunner().invoke(app, ["predict", str(elsewhere)]).exit_code == 0
    result = CliRunner().invoke(app, ["evaluate", str(elsewhere), "--json"])
    assert result.exit_code == 0, result.output
    found, there = json.loads(result.stdout), evaluate_project(mapped_town, force=True)
    assert found["methods"][RETHRESHOLDED]["mean_iou"] == there.methods[RETHRESHOLDED].mean_iou
    biases = read_card(Products(mapped_town / "results").refiner_model).class_biases
    assert tuple(found["class_biases"]) == biases
    assert (elsewhere.parent / "elsewhere" / "report.html").exists()


def test_nothing_of_it_is_trained_or_compared(elsewhere: Path) -> None:
    for work in (train_project, compare_methods):
        with pytest.raises(ProjectError):
            work(elsewhere)


def test_scores_may_stand_in_the_place_of_the_coarse_network(mapped_town: Path, elsewhere: Path) -> None:
    products = Products(mapped_town / "results")
    changed(
        elsewhere, models={"refiner": str(products.refiner_model)},
        coarse={"scores": {"path": str(products.coarse_scores)}},
    )  # fmt: skip
    predict_project(elsewhere)
    found = map_of(Products.of(load_project(elsewhere)).refined_map)
    assert (found == map_of(products.refined_map)).mean() > 0.999


def test_a_pixel_size_for_models_does_not_go_with_a_project(elsewhere: Path) -> None:
    with pytest.raises(InputError):
        predict_project(elsewhere, options=PredictOptions(gsd_m=1.0))


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"models": {}}, "models"),
        ({"models": {"refiner": "REFINER"}}, "models.coarse"),
        ({"models": {"coarse": "absent.safetensors"}}, "absent.safetensors"),
        ({"models": {"fine": "x"}}, "fine"),
        ({"models": "coarse.safetensors"}, "models"),
        ({"labels": {"path": "REFINER"}}, "labels"),
        ({"refiner": {"kind": "rnn"}}, "refiner"),
        ({"coarse": {"kind": "fcn-rnn"}}, "coarse.kind"),
        ({"areas": {"coarse": [{"window": [0, 0, 64, 64]}]}}, "areas.coarse"),
        ({"areas": {"test": [{"window": [0, 0, 64, 64]}]}}, "areas.test"),
        ({"reference": {"path": "REFINER"}}, "areas.test"),
    ],
)
def test_what_does_not_fit_is_named(elsewhere: Path, changes: dict[str, object], at: str) -> None:
    refiner = yaml.safe_load(elsewhere.read_text())["models"]["refiner"]
    changed(elsewhere, **json.loads(json.dumps(changes).replace("REFINER", refiner)))
    with pytest.raises(ProjectError) as failure:
        load_project(elsewhere)
    assert at in str(failure.value)


def test_models_of_other_classes_are_refused(elsewhere: Path) -> None:
    changed(elsewhere, classes=[{"name": "land", "colour": "#000000"}, {"name": "sea", "colour": "#0000ff"}])
    with pytest.raises(ModelError):
        predict_project(elsewhere)
