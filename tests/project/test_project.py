"""A project from its file to models, maps, figures and report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from project_text import change
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import CrispmapError, LabelError, ModelError, OutputError, ProjectError, TrainingError
from crispmap.inference.job import GivenScores
from crispmap.inference.predict import Outputs, refine_scene
from crispmap.metrics import ConfusionMatrix
from crispmap.models.file import load_model, model_hash, read_card, save_model
from crispmap.project.results import COARSE, REFINED, RETHRESHOLDED, evaluate_project
from crispmap.project.run import Products, predict_project, train_project
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_the_models_tell_where_they_come_from(mapped_town: Path) -> None:
    products = Products(mapped_town / "results")
    coarse, refiner = read_card(products.coarse_model), read_card(products.refiner_model)
    assert (coarse.kind, coarse.architecture, coarse.gsd_m) == ("coarse", "fcn-rnn", 1.0)
    assert (refiner.kind, refiner.gsd_m, refiner.radius_px) == ("refiner", pytest.approx(0.5, rel=1e-3), 4)
    assert coarse.band_names == ("red", "green", "blue", "nir")
    assert coarse.scaling == refiner.scaling
    assert coarse.provenance["seed"] == 3
    assert coarse.provenance["settings"]["max_steps"] == 12
    assert len(refiner.provenance["class_biases"]) == 3


def test_maps_lie_on_the_scenes_grid_and_name_classes_and_models(mapped_town: Path) -> None:
    products = Products(mapped_town / "results")
    with rasterio.open(mapped_town / "scene.tif") as scene, rasterio.open(products.refined_map) as refined:
        assert (refined.transform, refined.crs, refined.shape) == (scene.transform, scene.crs, scene.shape)
        assert refined.nodata == IGNORE
        assert refined.colormap(1)[1][:3] == (0xD7, 0x19, 0x1C)
        assert refined.tags()["CRISPMAP_REFINER_SHA256"] == model_hash(products.refiner_model)
    schema = read_class_schema(products.refined_map)
    assert schema is not None
    assert schema.names == ("background", "building", "road")
    np.testing.assert_array_equal(pixels(products.coarse_scores).argmax(axis=0), pixels(products.coarse_map)[0])
    np.testing.assert_array_equal(pixels(products.refined_scores).argmax(axis=0), pixels(products.refined_map)[0])


def test_refining_the_saved_coarse_scores_gives_the_same_map(mapped_town: Path, tmp_path: Path) -> None:
    products = Products(mapped_town / "results")
    refine_scene(
        GivenScores(products.coarse_scores),
        resolve_scenes([mapped_town / "scene.tif"], bands=(1, 2, 3, 4)),
        refiner=products.refiner_model,
        outputs=Outputs(tmp_path / "again.tif", scores=tmp_path / "scores.tif"),
    )
    scores = pixels(products.refined_scores)
    np.testing.assert_allclose(pixels(tmp_path / "scores.tif"), scores, atol=1e-4)
    top = np.sort(scores, axis=0)
    clear = top[-1] - top[-2] > 1e-3  # ties may fall either way
    np.testing.assert_array_equal(pixels(tmp_path / "again.tif")[0][clear], pixels(products.refined_map)[0][clear])


def test_figures_are_those_of_the_maps_on_the_test_area(mapped_town: Path) -> None:
    products = Products(mapped_town / "results")
    results = evaluate_project(mapped_town, force=True)
    reference = pixels(mapped_town / "truth.tif")[0, :, 600:]
    for name, path in ((COARSE, products.coarse_map), (REFINED, products.refined_map)):
        expected = ConfusionMatrix(("background", "building", "road"))
        expected.update(pixels(path)[0, :, 600:], reference)
        assert results.methods[name].confusion == expected
    assert [len(results.steps), len(results.biases)] == [3, 3]
    assert results.steps[0] == results.methods[COARSE].confusion
    assert results.steps[-1] == results.methods[REFINED].confusion
    scores = pixels(products.coarse_scores)[:, :, 600:] + np.asarray(results.biases)[:, None, None]
    shifted = ConfusionMatrix(("background", "building", "road"))
    shifted.update(scores.argmax(axis=0).astype(np.uint8), reference)
    assert results.methods[RETHRESHOLDED].confusion == shifted


def test_test_areas_whose_boxes_overlap_are_counted_once(mapped_town: Path) -> None:
    text = (mapped_town / "project.yaml").read_text()
    with rasterio.open(mapped_town / "scene.tif") as scene:
        corners = [scene.transform @ position for position in ((600, 0), (800, 0), (800, 320), (600, 320))]
    a, b, c, d = ([round(x, 3), round(y, 3)] for x, y in corners)
    other = mapped_town / "triangles.yaml"
    other.write_text(
        text.replace("{window: [0, 600, 320, 200]}", f"{{polygon: {[a, b, c]}}}, {{polygon: {[a, c, d]}}}")
    )
    results = evaluate_project(other, force=True)
    assert results.steps[0] == results.methods[COARSE].confusion
    assert results.steps[-1] == results.methods[REFINED].confusion
    assert results.methods[COARSE].confusion.valid_px == 320 * 200


def test_the_report_and_the_figures_are_written(mapped_town: Path) -> None:
    results = evaluate_project(mapped_town, force=True)
    products = Products(mapped_town / "results")
    saved = json.loads(products.figures.read_text())
    assert saved["methods"][REFINED]["mean_iou"] == pytest.approx(results.methods[REFINED].mean_iou)
    page = products.report.read_text()
    assert "re-thresholded coarse map" in page
    assert "hamlet" in page


def test_a_report_that_is_there_is_kept_unless_forced(mapped_town: Path) -> None:
    evaluate_project(mapped_town, force=True)
    before = Products(mapped_town / "results").report.read_bytes()
    with pytest.raises(OutputError, match="force"):
        evaluate_project(mapped_town)
    assert Products(mapped_town / "results").report.read_bytes() == before


def test_the_verb_prints_figures_and_names_the_report(mapped_town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = CliRunner().invoke(app, ["evaluate", str(mapped_town / "project.yaml"), "--force", "--json"])
    assert said.exit_code == 0, said.output
    assert set(json.loads(said.stdout)["methods"]) == {COARSE, RETHRESHOLDED, REFINED}
    assert "report.html" in said.stderr
    monkeypatch.chdir(mapped_town)
    table = CliRunner().invoke(app, ["evaluate", "--force"])
    assert table.exit_code == 0, table.output
    assert RETHRESHOLDED in table.stdout


def test_models_and_maps_that_are_there_are_kept_unless_forced(mapped_town: Path) -> None:
    with pytest.raises(OutputError, match="resume=True"):
        train_project(mapped_town)
    with pytest.raises(OutputError, match="force=True"):
        predict_project(mapped_town)


def test_the_same_seed_gives_the_same_models_and_resuming_redoes_nothing(project: Path) -> None:
    change(project, ("max_steps: 12", "max_steps: 3"), ("max_steps: 20", "max_steps: 3"))
    products = Products(project.parent / "results")
    train_project(project)
    first = products.coarse_model.read_bytes(), products.refiner_model.read_bytes()
    train_project(project, resume=True)
    again = [read_card(path).provenance for path in (products.coarse_model, products.refiner_model)]
    assert [one["steps"] for one in again] == [3, 3]
    train_project(project, force=True)
    for before, path in zip(first, (products.coarse_model, products.refiner_model), strict=True):
        after = path.read_bytes()
        assert len(after) - len(before) in range(-8, 9)  # seconds differ in the card
        assert after[-4096:] == before[-4096:]  # weights do not


def test_scores_of_another_tool_take_the_place_of_the_coarse_network(mapped_town: Path, project: Path) -> None:
    given = Products(mapped_town / "results").coarse_scores
    change(
        project,
        (
            "coarse: {kind: fcn-rnn, gsd_m: 1.0, max_steps: 12, batch: 4, patch_px: 32}",
            f"coarse: {{scores: {{path: {given}}}}}",
        ),
        ("labels: ", "# labels: "),
        ("  coarse: [", "  # coarse: ["),
    )
    written = train_project(project)
    assert [path.name for path in written] == ["refiner.safetensors"]
    predict_project(project)
    products = Products(project.parent / "results")
    np.testing.assert_array_equal(pixels(products.coarse_map), pixels(Products(mapped_town / "results").coarse_map))
    assert evaluate_project(project).methods[REFINED].mean_iou > 0
    with pytest.raises(ProjectError, match="given"):
        train_project(project, stage="coarse")


def test_noise_is_simulated_on_good_labels(town: Path, project: Path) -> None:
    change(
        project,
        (
            f"labels: {{path: {town / 'osm.gpkg'}}}",
            f"labels: {{path: {town / 'truth.gpkg'}, layer: roads, noise: {{shift_m: 2, omission: 0.2}}}}",
        ),
    )
    # The layer carries no building, and a class without a pixel cannot be learned.
    with pytest.raises(LabelError, match="building"):
        train_project(project, stage="coarse")


@pytest.mark.parametrize(
    ("replacement", "error", "message"),
    [
        (("patch_px: 32", "patch_px: 640"), TrainingError, "patch"),
        (("window: [0, 600, 320, 200]", "window: [0, 590, 320, 200]"), ProjectError, "share"),
        (("window: [0, 600, 320, 200]", "window: [0, 700, 320, 200]"), ProjectError, "outside the scene"),
        (("  coarse: [{window: [0, 0, 320, 400]}]\n", ""), ProjectError, "coarse"),
    ],
)
def test_a_project_that_cannot_be_trained_says_why(
    project: Path, replacement: tuple[str, str], error: type[CrispmapError], message: str
) -> None:
    with pytest.raises(error, match=message):
        train_project(change(project, replacement))
    assert not (project.parent / "results" / "coarse.safetensors").exists()


@pytest.mark.parametrize(
    ("replacement", "error", "message"),
    [
        (("truth.tif}", "truth.gpkg, layer: buildings}"), LabelError, "no pixel of class 'road'"),
        (("patch_px: 24", "patch_px: 240"), TrainingError, "200 pixels is smaller than a patch of 240"),
        (("truth.tif}", "truth.gpkg, layer: streets}"), LabelError, "no layer 'streets'"),
    ],
)
def test_what_keeps_the_refiner_from_training_is_told_before_the_coarse_network_is_trained(
    project: Path, town: Path, replacement: tuple[str, str], error: type[CrispmapError], message: str
) -> None:
    with pytest.raises(error, match=message):
        train_project(change(project, replacement))
    assert not (project.parent / "results").exists()


def test_predict_before_train_and_evaluate_before_predict_say_what_to_run(project: Path) -> None:
    with pytest.raises(ModelError, match="crispmap train"):
        predict_project(project)
    with pytest.raises(ProjectError, match="crispmap predict"):
        evaluate_project(project)


def test_models_of_other_classes_are_refused(mapped_town: Path, project: Path) -> None:
    results = project.parent / "results"
    results.mkdir()
    for name in ("coarse.safetensors", "refiner.safetensors"):
        (results / name).write_bytes((mapped_town / "results" / name).read_bytes())
    with pytest.raises(ModelError, match="building, street"):
        predict_project(change(project, ("name: road", "name: street")))


def test_maps_of_models_that_were_trained_again_are_not_scored(mapped_town: Path, project: Path) -> None:
    results = project.parent / "results"
    shutil.copytree(mapped_town / "results", results)
    refiner = load_model(results / "refiner.safetensors", kind="refiner")
    provenance = {**refiner.card.provenance, "trained": "again"}
    card = replace(refiner.card, provenance=provenance)
    save_model(results / "refiner.safetensors", refiner.network, card, force=True)
    with pytest.raises(ProjectError, match=r"another model than .*refiner\.safetensors"):
        evaluate_project(project, force=True)


@pytest.mark.parametrize("module", ["crispmap.project.run", "crispmap.project.results"])
def test_to_map_and_to_score_a_project_loads_nothing_that_only_trainings_need(module: str) -> None:
    heavy = ("lightning", "lightning_fabric", "sklearn")
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_to_run_first_is_a_command_even_where_a_folder_has_a_space_in_its_name(project: Path) -> None:
    home = project.parent / "my town"
    home.mkdir()
    moved = project.rename(home / project.name)
    with pytest.raises(ProjectError) as caught:
        evaluate_project(moved)
    assert caught.value.remedy == f"run: crispmap predict '{moved}'"


def test_without_a_reference_only_the_coarse_map_is_made(project: Path) -> None:
    text = [line for line in project.read_text().splitlines() if not line.startswith(("reference", "refiner"))]
    text = [line for line in text if not line.startswith(("  refiner", "  test"))]
    project.write_text("\n".join(text).replace("max_steps: 12", "max_steps: 2"))
    train_project(project)
    (result,) = predict_project(project)
    assert [path.name for path in result.paths] == ["coarse.tif", "coarse_scores.tif"]
    with pytest.raises(ProjectError, match="reference"):
        evaluate_project(project)
    with pytest.raises(ProjectError, match="no refiner"):
        train_project(project, stage="refiner", force=True)


def test_own_validation_areas_take_the_place_of_the_strips(project: Path) -> None:
    change(
        project,
        (
            "  coarse: [{window: [0, 0, 320, 400]}]",
            "  coarse: [{window: [0, 0, 320, 300]}]\n  validation: [{window: [0, 300, 320, 100]}]",
        ),
        ("max_steps: 12", "max_steps: 2"),
        ("max_steps: 20", "max_steps: 2"),
    )
    train_project(project)
    card = read_card(Products(project.parent / "results").refiner_model)
    assert card.provenance["validation_mean_iou"] is not None
