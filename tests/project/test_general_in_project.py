"""The shipped refiner in a project: as it is without a precise piece, trained on where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
import torch

from crispmap.models.file import load_model, read_card
from crispmap.project.results import evaluate_project
from crispmap.project.run import Products, predict_project, train_project
from crispmap.refiners.general.network import GeneralRefiner
from recorder import Recorder
from small_project import HEAD, make_project

NETWORK = "coarse: {kind: fcn-rnn, max_steps: 6, batch: 2, patch_px: 16, label_smoothing: 0.1}\n"
WITHOUT = HEAD + "areas:\n  coarse: [{window: [0, 0, 160, 160]}]\n" + NETWORK + "refiner: {kind: general}\n"
AREAS = """\
reference: {path: precise.tif}
areas:
  coarse: [{window: [0, 0, 160, 56]}]
  validation: [{window: [100, 56, 60, 64]}]
  refiner: [{window: [0, 56, 100, 64]}]
  test: [{window: [0, 120, 160, 40]}]
"""
WITH = HEAD + AREAS + NETWORK + "refiner: {kind: general, max_steps: 3, batch: 2, patch_px: 16}\n"


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


def test_without_a_precise_piece_the_shipped_one_is_taken_and_said_so(tmp_path: Path) -> None:
    make_project(tmp_path, WITHOUT)
    events = Recorder()
    train_project(tmp_path, events=events)
    products = Products(tmp_path / "hamlet")
    assert isinstance(load_model(products.refiner_model).network, GeneralRefiner)
    assert any("shipped refiner" in note for note in events.notes)
    predict_project(tmp_path)
    with rasterio.open(products.refined_map) as file:
        assert file.shape == (160, 160)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder, events = tmp_path_factory.mktemp("hamlet"), Recorder()
    make_project(folder, WITH)
    train_project(folder, events=events)
    return folder, events.notes


def test_with_one_the_best_on_held_out_pieces_is_kept(trained: tuple[Path, list[str]]) -> None:
    folder, notes = trained
    card = read_card(Products(folder / "hamlet").refiner_model)
    (note,) = [one for one in notes if "held-out" in one and "kept" in one]
    reached = card.provenance["held_out_mean_iou"]
    assert set(reached) == {"trained", "as shipped", "recalibrated coarse map"}
    assert reached[card.provenance["kept"]] == max(reached.values())
    assert str(card.provenance["kept"]) in note


def test_a_project_so_trained_is_mapped_and_scored(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    predict_project(folder)
    results = evaluate_project(folder)
    assert len(results.methods) >= 2


def test_the_same_seed_gives_the_same_refiner(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    make_project(tmp_path, WITH)
    train_project(tmp_path)
    one, other = (weights(Products(folder / "hamlet").refiner_model) for folder in (trained[0], tmp_path))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
