"""Projects with each of the networks that are there for comparison, from file to figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import LabelError, ProjectError
from crispmap.evaluation.discontinuity import measure_discontinuity
from crispmap.models.file import load_model, read_card
from crispmap.project.results import COARSE, REFINED, evaluate_project
from crispmap.project.run import Products, predict_project, train_project
from crispmap.raster.scores import open_scores
from crispmap.refiners.wide.refiner import WideRefiner
from crispmap.training import svm

AS_GIVEN = "coarse: {kind: fcn-rnn, gsd_m: 1.0, max_steps: 12, batch: 4, patch_px: 32}"


def with_network(project: Path, coarse: str) -> Products:
    text = project.read_text()
    assert AS_GIVEN in text
    project.write_text(text.replace(AS_GIVEN, f"coarse: {{{coarse}}}"))
    return Products(project.parent / "results")


@pytest.fixture
def project(project: Path) -> Path:
    """The small town seen at 1 m."""
    text = project.read_text()
    assert "scene.tif}" in text
    project.write_text(text.replace("scene.tif}", "scene.tif, gsd_m: 1.0}"))
    return project


@pytest.fixture
def _few_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "COSTS", (1.0,))
    monkeypatch.setattr(svm, "WIDTHS", (1.0,))


@pytest.mark.slow
@pytest.mark.usefixtures("_few_choices")
@pytest.mark.parametrize("network", ["svm", "svm-texture"])
def test_a_machine_is_fitted_maps_and_is_scored(project: Path, network: str) -> None:
    products = with_network(project, f"kind: {network}, gsd_m: 2.0")
    train_project(project)
    loaded = load_model(products.coarse_model)
    model, card = loaded.network, loaded.card
    settings = card.provenance["settings"]
    assert (card.architecture, card.stride_px, card.radius_px) == (network, 1, 2 if network == "svm-texture" else 0)
    assert settings["pixels"] == {name: min(1000, count) for name, count in settings["pixels_available"].items()}
    assert settings["pixels"]["background"] == 1000
    assert settings["support_vectors"] == len(model.vectors)
    assert card.provenance["seed"] == 3
    assert 0 < card.provenance["validation_mean_iou"] < 1
    predict_project(project)
    results = evaluate_project(project)
    # Better than the best map of one class: something was learned from 3,000 imprecise pixels.
    reference = results.methods[COARSE].confusion.counts.sum(axis=1)
    assert results.methods[COARSE].mean_iou > reference.max() / reference.sum() / 3
    said = CliRunner().invoke(app, ["info", str(products.coarse_model), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["provenance"]["settings"] == settings
    before = products.coarse_model.read_bytes()
    train_project(project, stage="coarse", resume=True)
    assert products.coarse_model.read_bytes()[-4096:] == before[-4096:]


@pytest.mark.slow
def test_the_patch_network_learns_maps_and_jumps_at_its_borders(project: Path) -> None:
    products = with_network(project, "kind: mnih, max_steps: 40, batch: 2, patch_px: 32")
    train_project(project)
    predict_project(project)
    assert (read_card(products.coarse_model).stride_px, read_card(products.coarse_model).radius_px) == (16, 39)
    assert evaluate_project(project).methods[COARSE].confusion.valid_px == 160 * 100
    with open_scores(products.coarse_scores) as scores:
        assert measure_discontinuity(scores).ratio > 1.5
    with rasterio.open(products.coarse_map) as dataset:
        assert set(np.unique(dataset.read(1))) <= {0, 1, 2}


@pytest.mark.slow
def test_the_refiner_of_a_wider_view_learns_and_maps(project: Path) -> None:
    text = project.read_text()
    assert "refiner: {iterations: 2, " in text
    project.write_text(text.replace("refiner: {iterations: 2, ", "refiner: {kind: wide, iterations: 2, "))
    products = Products(project.parent / "results")
    train_project(project)
    card = read_card(products.refiner_model)
    assert (card.architecture, card.radius_px) == ("wide", WideRefiner(3, 4, iterations=2).radius_px)
    assert card.provenance["settings"]["loss"] == "cross-entropy+overlap"
    predict_project(project)
    assert evaluate_project(project).methods[REFINED].confusion.valid_px == 160 * 100


def test_patches_that_do_not_fit_the_squares_are_refused(project: Path) -> None:
    with_network(project, "kind: mnih, max_steps: 2, batch: 2, patch_px: 24")
    said = CliRunner().invoke(app, ["train", str(project), "--stage", "coarse"])
    assert said.exit_code == 2
    assert "multiple of the network's stride, 16" in said.stderr


def test_what_a_machine_cannot_use_is_refused_before_any_work(project: Path) -> None:
    products = with_network(project, "kind: svm, max_steps: 12")
    with pytest.raises(ProjectError, match=r"coarse\.max_steps"):
        train_project(project)
    assert not products.folder.exists()


def test_a_class_the_ground_lacks_is_told(project: Path) -> None:
    with_network(project, "kind: svm")
    text = project.read_text()
    project.write_text(text.replace("osm: building}", "osm: water}"))
    with pytest.raises(LabelError, match="no pixel of class 'building'"):
        train_project(project, stage="coarse")
