"""A coarse network that goes on with the precise piece, and one that starts from a trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from crispmap.data.training_data import learned_and_held_out
from crispmap.errors import InputError, ModelError, OutputError, ProjectError
from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.metrics import ConfusionMatrix
from crispmap.models.file import load_model, model_hash, read_card
from crispmap.project.compare.methods import Method, default_methods, missing_for, own_method, parse_methods, project_of
from crispmap.project.file import FinetuneSection, load_project
from crispmap.project.finetuning_check import FinetuningCheck, check_finetuning
from crispmap.project.inputs import open_sources
from crispmap.project.results import RETHRESHOLDED, evaluate_project
from crispmap.project.run import COARSE, FINETUNED, REFINED, Products, predict_project, train_project
from crispmap.project.training import coarse_settings, finetuning_settings
from small_project import PROJECT, make_project

AREAS = PROJECT.replace(
    "coarse: [{window: [0, 0, 160, 80]}]",
    "coarse: [{window: [0, 0, 160, 56]}]\n  validation: [{window: [0, 56, 160, 24]}]",
)
NETWORK = "coarse: {kind: fcn-rnn, max_steps: 6, batch: 2, patch_px: 16, label_smoothing: 0.1}\n"
STEPS = NETWORK + "finetune: {max_steps: 4}\nrefiner: {iterations: 1, max_steps: 4, batch: 2, patch_px: 16}\n"


def project_in(folder: Path, text: str) -> Path:
    make_project(folder, AREAS + text)
    return folder


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project_in(tmp_path_factory.mktemp("hamlet"), STEPS)
    train_project(folder)
    predict_project(folder)
    return folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(path).network.state_dict())


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def test_it_goes_on_from_the_coarse_network_with_half_of_the_steps_at_a_fifth_of_the_rate(finetuned: Path) -> None:
    products = Products(finetuned / "hamlet")
    coarse, card = read_card(products.coarse_model), read_card(products.finetuned_model)
    assert card.provenance["finetuned_from"] == model_hash(products.coarse_model)
    assert (card.scaling, card.gsd_m, card.arguments) == (coarse.scaling, coarse.gsd_m, coarse.arguments)
    first, after = coarse.provenance["settings"], card.provenance["settings"]
    assert after["learning_rate"] == pytest.approx(first["learning_rate"] / 5)
    assert (after["max_steps"], after["label_smoothing"]) == (4, 0.1)
    assert len(card.provenance["class_biases"]) == 3
    assert load_project(finetuned).finetune == FinetuneSection(max_steps=4)
    assert FinetuneSection().settings(load_project(finetuned).coarse, 0).max_steps == 3


def test_before_and_after_are_compared_on_the_held_out_ground(finetuned: Path) -> None:
    products, project = Products(finetuned / "hamlet"), load_project(finetuned)
    models = products.coarse_model, products.finetuned_model
    with open_sources(project) as data:
        found = check_finetuning(data, project, models, "cpu")
        same = check_finetuning(data, project, (models[0], models[0]), "cpu")
        _, held = learned_and_held_out(data, "refiner", gsd_m=data.gsd_m)
        expected = []
        for model in models:
            matrix = ConfusionMatrix(project.schema.names)
            for piece in held:
                network = ScoreModels(load_model(model, kind="coarse"))
                raster = score_raster(piece.image, network, None, engine=EngineChoice("torch", device="cpu"))
                scores, _ = raster.read(piece.area.block)
                ids = np.where(piece.area.mask(piece.area.block), piece.labels.read(piece.area.block), 255)
                matrix.update(scores.argmax(axis=0).astype(np.uint8), ids.astype(np.uint8))
            expected.append(matrix.mean_iou)
    assert found is not None
    assert same is not None
    assert (found.before, found.after) == pytest.approx(tuple(expected))
    assert same.before == same.after == found.before


def test_a_network_made_worse_is_said_loudly() -> None:
    assert FinetuningCheck(0.72, 0.62).text.startswith("WARNING")
    assert "72.0 before, 62.0 after" in FinetuningCheck(0.72, 0.62).text
    assert "WARNING" not in FinetuningCheck(0.72, 0.72).text


def test_every_map_is_scored_and_the_refiner_works_on_the_fine_tuned_scores(finetuned: Path) -> None:
    products = Products(finetuned / "hamlet")
    results = evaluate_project(finetuned, force=True)
    assert list(results.methods) == [COARSE, RETHRESHOLDED, FINETUNED, REFINED]
    for name, path in products.files.items():
        expected = ConfusionMatrix(("background", "building", "road"))
        expected.update(pixels(path)[0, :, 120:], pixels(finetuned / "precise.tif")[0, :, 120:])
        assert results.methods[name].confusion == expected
    assert results.steps[0] == results.methods[FINETUNED].confusion
    assert results.steps[-1] == results.methods[REFINED].confusion
    with rasterio.open(products.finetuned_map) as one, rasterio.open(products.refined_map) as other:
        assert {file.tags()["CRISPMAP_COARSE_SHA256"] for file in (one, other)} == {
            model_hash(products.finetuned_model)
        }
    page = products.report.read_text()
    assert "Fine-tuning, then refinement," in page
    assert "Confusion matrix of the refined map" in page


def test_the_same_seed_gives_the_same_network_and_what_is_finished_is_not_trained_again(
    finetuned: Path, tmp_path: Path
) -> None:
    again = project_in(tmp_path, STEPS)
    train_project(again, stage="coarse")
    with pytest.raises(ModelError):
        train_project(again, stage="refiner")  # the fine-tuned network is not there yet
    train_project(again, stage="finetuned")
    one, other = (weights(Products(folder / "hamlet").finetuned_model) for folder in (finetuned, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(OutputError):
        train_project(again, stage="finetuned")
    train_project(again, stage="finetuned", resume=True)


def test_maps_of_another_network_are_not_scored(tmp_path: Path) -> None:
    project = project_in(tmp_path, NETWORK + "finetune: true\n")
    train_project(project)
    predict_project(project)
    assert list(evaluate_project(project).methods) == [COARSE, RETHRESHOLDED, FINETUNED]
    (project / "project.yaml").write_text(AREAS + NETWORK + "finetune: {max_steps: 2}\n")
    train_project(project, stage="finetuned", force=True)
    with pytest.raises(ProjectError, match="was made with another model"):
        evaluate_project(project, force=True)


def test_it_is_the_default_where_the_preset_says_how(tmp_path: Path) -> None:
    def loaded(text: str, base: str = AREAS) -> tuple[bool, bool]:
        make_project(tmp_path, base + text)
        project = load_project(tmp_path)
        return project.finetune is not None, project.refiner is not None

    lite0 = "coarse: {kind: unet-lite0}\n"
    assert loaded(lite0) == (True, False)
    assert loaded(lite0 + "refiner: {kind: rnn}\n") == (True, True)
    assert loaded(lite0 + "finetune: false\n") == (False, True)
    assert loaded(NETWORK) == (False, True)
    assert loaded(NETWORK + "finetune: true\n") == (True, False)
    labels_alone = AREAS.replace("reference: {path: precise.tif}\n", "").replace(
        "  refiner: [{window: [0, 80, 160, 40]}]\n  test: [{window: [0, 120, 160, 40]}]\n", ""
    )
    assert loaded(lite0, labels_alone) == (False, False)
    scored_alone = AREAS.replace("  refiner: [{window: [0, 80, 160, 40]}]\n", "")
    assert loaded(lite0, scored_alone) == (False, False)  # a reference to score against
    for section in ("finetune: true\n", "refiner: {kind: rnn}\n"):
        with pytest.raises(ProjectError):
            loaded(lite0 + section, scored_alone)


@pytest.mark.parametrize(
    "text",
    [
        "coarse: {kind: svm}\nfinetune: true\n",
        "coarse: {scores: {path: imprecise.tif}}\nfinetune: true\n",
        "finetune: {steps: 3}\n",
        "finetune: 3\n",
        "finetune: {max_steps: 0}\n",
        "coarse: {kind: fcn-rnn, encoder_rate: 0.1}\n",
        "coarse: {kind: unet-lite0, encoder_rate: 0}\n",
        "coarse: {kind: unet-lite0, frozen_steps: -1}\n",
        "coarse: {kind: unet-lite0, weights: imagenet-lite1}\n",
        "coarse: {kind: smp, encoder: resnet5}\n",
        "coarse: {kind: smp, decoder: unet}\n",
        "coarse: {kind: fcn-rnn, start: nowhere.safetensors}\n",
    ],
)
def test_what_cannot_be_is_refused_before_any_work(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProjectError):
        load_project(project_in(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("{learning_rat: 1}", "finetune.learning_rat is not a known key", "learning_rate"),
        ("3", "finetune is 3", "true, false, or a mapping of settings"),
        ("{precision: half}", "finetune.precision is 'half'", "bfloat16"),
    ],
)
def test_the_error_names_the_key_as_it_is_in_the_file(tmp_path: Path, text: str, given: str, expected: str) -> None:
    with pytest.raises(ProjectError) as error:
        load_project(project_in(tmp_path, NETWORK + f"finetune: {text}\n"))
    assert error.value.given.endswith(f"{given}.")
    assert expected in error.value.expected


def test_refiners_take_no_precision(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        load_project(project_in(tmp_path, NETWORK + "refiner: {precision: bfloat16}\n"))


def test_a_precision_that_is_given_is_that_of_both_coarse_trainings(tmp_path: Path) -> None:
    train_project(project_in(tmp_path, STEPS), precision="float32")
    products = Products(tmp_path / "hamlet")
    for path in (products.coarse_model, products.finetuned_model):
        provenance = read_card(path).provenance
        assert (provenance["precision"], provenance["settings"]["precision"]) == ("float32", "float32")
    (tmp_path / "given").mkdir()
    given = "coarse: {scores: {path: imprecise.tif}}\nrefiner: {max_steps: 1}\n"
    with pytest.raises(InputError):
        train_project(project_in(tmp_path / "given", given), precision="float32")


def test_a_training_starts_from_a_trained_network(finetuned: Path, tmp_path: Path) -> None:
    model = Products(finetuned / "hamlet").coarse_model
    slow = NETWORK.replace("max_steps: 6", "max_steps: 1, learning_rate: 1e-9")
    project = project_in(tmp_path, slow)
    train_project(project, stage="coarse", start=model)
    started = Products(project / "hamlet").coarse_model
    assert read_card(started).provenance["started_from"] == model_hash(model)
    one, other = weights(model), weights(started)
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


@pytest.mark.parametrize("change", [("kind: fcn-rnn", "kind: fcn-igarss"), ("- {name: road", "- {name: path")])
def test_a_network_of_another_kind_or_other_classes_is_no_start(
    finetuned: Path, tmp_path: Path, change: tuple[str, str]
) -> None:
    make_project(tmp_path, (AREAS + NETWORK).replace(*change))
    with pytest.raises(ModelError):
        train_project(tmp_path, stage="coarse", start=Products(finetuned / "hamlet").coarse_model)


class TestComparison:
    """Methods with fine-tuning in their names."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        return project_in(tmp_path, "coarse: {kind: unet-lite0}\n")

    def test_names_are_read_back(self, project: Path) -> None:
        loaded = load_project(project)
        names = ["unet-lite0", "finetune", "unet+finetune", "finetune+rnn", "fcn-rnn+finetune+crf", "rnn", "unet+rnn"]
        methods = parse_methods(names, loaded)
        assert methods == [
            Method("unet-lite0"),
            Method("unet-lite0", None, True),
            Method("unet", None, True),
            Method("unet-lite0", "rnn", True),
            Method("fcn-rnn", "crf", True),
            Method("unet-lite0", "rnn"),
            Method("unet", "rnn"),
        ]
        assert parse_methods([one.name for one in methods], loaded) == methods
        for wrong in ("finetune+finetune", "rnn+finetune", "unet+", "finetune+unet", "+"):
            with pytest.raises(InputError):
                parse_methods([wrong], loaded)

    def test_the_own_method_is_the_projects_and_the_default_has_the_strongest_alternatives(self, project: Path) -> None:
        loaded = load_project(project)
        assert own_method(loaded) == Method("unet-lite0", None, True)
        for method in default_methods(loaded):
            mine = project_of(method, loaded)
            assert (mine.finetune is not None) == method.finetuned
        assert {
            "unet-lite0",
            "unet-lite0+finetune",
            "unet-lite0+rnn",
            "unet-lite0+finetune+rnn",
            "unet-lite0+bayes",
        } <= {one.name for one in default_methods(loaded)}

    def test_a_method_needs_those_it_goes_on_from(self) -> None:
        method = Method("unet", "rnn", True)
        assert [one.name for one in method.needs] == ["unet", "unet+finetune"]
        assert Method("unet").needs == []

    def test_what_is_fitted_at_once_is_not_fine_tuned(self, project: Path) -> None:
        assert "cannot be fine-tuned" in missing_for(Method("svm", None, True), load_project(project))


def test_patches_of_a_padded_network_fit_in_the_smallest_piece(tmp_path: Path) -> None:
    def sides(text: str, shapes: list[tuple[int, int]]) -> tuple[int, int]:
        project = load_project(project_in(tmp_path, text))
        first = coarse_settings(project, shapes)
        assert first is not None
        return first.patch_px, finetuning_settings(project, shapes).patch_px

    lite0 = "coarse: {kind: unet-lite0}\n"
    assert sides(lite0, [(500, 400)]) == (192, 192)
    assert sides(lite0, [(500, 400), (300, 170)]) == (160, 160)
    assert sides(lite0, [(20, 400)]) == (32, 32)  # refused by the check of the piece
    assert sides("coarse: {kind: unet-lite0, patch_px: 96}\nfinetune: {patch_px: 64}\n", [(40, 40)]) == (96, 64)
    assert sides(NETWORK.replace(", patch_px: 16", "") + "finetune: true\n", [(40, 40)]) == (64, 64)


def test_patches_of_squares_stay_as_large_as_a_square(tmp_path: Path) -> None:
    project = load_project(project_in(tmp_path, "coarse: {kind: timm, square_px: 224, label: majority}\n"))
    settings = coarse_settings(project, [(250, 250)])
    assert settings is not None
    assert settings.patch_px == 224


def test_another_network_of_a_comparison_starts_from_its_own_weights(finetuned: Path, tmp_path: Path) -> None:
    model = Products(finetuned / "hamlet").coarse_model
    project = load_project(project_in(tmp_path, f"coarse: {{kind: unet-lite0, start: {model}}}\n"))
    others = [project_of(Method(name), project).coarse for name in ("fcn-rnn", "unet-resnet50", "unet-lite0")]
    assert [one.start for one in others] == [None, None, model]
    assert [getattr(one, "weights", None) for one in others] == [None, "random", "imagenet-lite0"]


def test_a_start_is_refused_where_no_coarse_network_is_trained(finetuned: Path) -> None:
    with pytest.raises(InputError):
        train_project(finetuned, stage="refiner", start=Products(finetuned / "hamlet").coarse_model)


@pytest.mark.slow
def test_the_card_tells_what_the_encoder_started_from_and_the_fine_tuned_one_what_it_goes_on_from(
    tmp_path: Path,
) -> None:
    steps = "{max_steps: 1, batch: 1, patch_px: 32}"
    text = f"coarse: {{kind: unet-lite0, depth: 3, {steps[1:-1]}}}\nfinetune: {steps}\n"
    train_project(project_in(tmp_path, text))
    coarse, after = (read_card(tmp_path / f"hamlet/{name}.safetensors") for name in ("coarse", "finetuned"))
    told = coarse.provenance["encoder"]
    assert (told["weights"], told["weights_used"] > 50) == ("imagenet-lite0", True)
    assert "encoder" not in after.provenance
