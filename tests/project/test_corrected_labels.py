"""Refiners that learn from the coarse ground too, its labels set right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from project_text import change

from array_scene import ArrayScene
from block_area import area_of
from crispmap.data.patches import ArrayPatches
from crispmap.data.training_data import Piece, learned_and_held_out
from crispmap.errors import LabelError, ProjectError, TrainingError
from crispmap.evaluation.readers import AreaUnion, ArrayLabels
from crispmap.geo.areas import Area
from crispmap.geo.grid import Block
from crispmap.models.file import read_card
from crispmap.project import stages
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.methods import Method, default_methods, missing_for, own_method, project_of
from crispmap.project.compare.models import train_missing
from crispmap.project.file import RefinerSection, load_project
from crispmap.project.file.sections import ScoreSource
from crispmap.project.folds import FOLDS, FoldScores, loss_on, others
from crispmap.project.inputs import open_sources
from crispmap.project.run import Products, train_project
from crispmap.project.stages import CORRECTED_LABELS, initial_section
from crispmap.project.training import MOST_PASSES, ExtraTrainingData, refiner_settings
from crispmap.raster.scene import Scene
from crispmap.refiners.wide import FAST
from crispmap.training.options import TrainerOptions
from crispmap.types import IGNORE, BoolArray, LabelArray

CORRECTED = ("refiner: {", "refiner: {corrected_labels: true, ")


def constant(shape: tuple[int, int], value: float, valid: BoolArray | None = None) -> ArrayScene:
    """Scores of two classes that are one number everywhere."""
    return ArrayScene(np.full((2, *shape), value, np.float32), valid)


def piece_of(image: ArrayScene, area: Area, labels: LabelArray) -> Piece:
    """A piece of an image with labels in memory."""
    return Piece("town", image, area, ArrayLabels(labels))  # type: ignore[arg-type]


class Given(CoarseScores):
    """The same scores for every image."""

    def __init__(self, scores: Scene) -> None:
        self.card, self._scores = None, scores

    def on(self, image: Scene, given: Scene | None) -> Scene:
        return self._scores


@given(st.integers(0, 50), st.integers(0, 50), st.integers(4, 90), st.integers(4, 90), st.integers(1, 4))
def test_bands_share_no_pixel_and_leave_none_out(row: int, col: int, height: int, width: int, count: int) -> None:
    whole = area_of(Block(row, col, height, width))
    bands = whole.bands(count)
    everything = Block(0, 0, 150, 150)
    np.testing.assert_array_equal(sum(band.mask(everything).astype(int) for band in bands), whole.mask(everything))
    sizes = [band.block.height if height >= width else band.block.width for band in bands]
    assert max(sizes) - min(sizes) <= 1


def test_no_network_learns_on_the_part_it_scores() -> None:
    areas = [area_of(Block(0, 0, 40, 100)), area_of(Block(60, 0, 80, 30))]
    box = Block(0, 0, 150, 120)
    pieces = [piece_of(constant((150, 120), 0), one, np.zeros((150, 120), np.uint8)) for one in areas]
    for index in range(FOLDS):
        learned = AreaUnion([one.area for one in others(index, pieces)]).mask(box)
        scored = AreaUnion([one.bands(FOLDS)[index] for one in areas]).mask(box)
        assert not (learned & scored).any()
        np.testing.assert_array_equal(learned | scored, AreaUnion(areas).mask(box))


def test_scores_of_each_part_are_its_own_and_elsewhere_the_first() -> None:
    left = np.arange(30) < np.full((20, 1), 15)
    parts = [(AreaUnion([area_of(Block(0, 0, 10, 10))]), constant((20, 30), 1)),
             (AreaUnion([area_of(Block(10, 0, 10, 20))]), constant((20, 30), 2, left))]  # fmt: skip
    scores = FoldScores(constant((20, 30), 7), parts)
    values, valid = scores.read(Block(5, 5, 10, 20))
    expected = np.full((10, 20), 7.0)
    expected[:5, :5], expected[5:, :10], expected[5:, 10:15] = 1, 2, 0  # 0 where not valid
    np.testing.assert_array_equal(values[0], expected)
    assert valid[:5].all()
    assert valid[5:, :10].all()
    assert not valid[5:, 10:15].any()
    assert valid[5:, 15:].all()


def test_where_parts_cover_a_block_the_first_scores_are_not_computed() -> None:
    parts = [(AreaUnion([area_of(Block(0, 0, 20, 15))]), constant((20, 30), 1)),
             (AreaUnion([area_of(Block(0, 15, 20, 15))]), constant((20, 30), 2))]  # fmt: skip
    first = constant((20, 30), 7)
    values, valid = FoldScores(first, parts).read(Block(5, 5, 10, 20))
    np.testing.assert_array_equal(values[0], np.tile(np.repeat([1.0, 2.0], 10), (10, 1)))
    assert valid.all()
    assert not first.blocks_read


@pytest.fixture(params=[0.0, np.inf], ids=["learned by heart", "not learned by heart"])
def overfitted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let coarse ground count as learned by heart always, or never; return which."""
    monkeypatch.setattr(stages, "OVERFITTED", request.param)
    return bool(request.param == 0)


def test_the_loss_of_scores_is_their_mean_cross_entropy_with_what_is_known() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3, (2, 40, 60)).astype(np.float32)
    valid = rng.random((40, 60)) < 0.9
    labels = rng.choice(np.array([0, 1, IGNORE], np.uint8), (40, 60))
    areas = [area_of(Block(3, 4, 20, 30)), area_of(Block(25, 40, 15, 20))]
    terms = [
        np.log(np.exp(values[:, row, col].astype(float)).sum()) - values[labels[row, col], row, col]
        for one in areas
        for row in range(one.block.row, one.block.row_stop)
        for col in range(one.block.col, one.block.col_stop)
        if valid[row, col] and labels[row, col] != IGNORE
    ]
    image = constant((40, 60), 0)
    pieces = [piece_of(image, one, labels) for one in areas]
    scores = Given(ArrayScene(values, valid))
    assert loss_on(scores, pieces) == pytest.approx(np.mean(terms), rel=1e-5)
    labels[:] = IGNORE
    assert loss_on(scores, pieces) == 0


def ground_of(*shape: int) -> ArrayPatches:
    return ArrayPatches(np.zeros((1, *shape), np.float32), np.zeros(shape, np.uint8))


@given(st.integers(1, 40), st.integers(1, 400), st.booleans())
def test_precise_ground_is_half_of_all_beside_doubtful_ground_alone(height: int, width: int, doubtful: bool) -> None:
    precise, other = ground_of(9, 7), ground_of(height, width)
    found = ExtraTrainingData([other], doubtful).beside([precise])
    assert found[-1] is other
    assert all(one is precise for one in found[:-1])
    pixels, wanted = 63 * (len(found) - 1), height * width
    assert abs(pixels - wanted) <= 63 / 2 or (len(found) == 2 and (not doubtful or wanted < 63))


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 8), st.integers(1, 64))
def test_no_ground_is_seen_too_often(height: int, width: int, batch: int, patch_px: int) -> None:
    settings = FAST.but(batch=batch, patch_px=patch_px)
    bounded = ExtraTrainingData([ground_of(height, width)]).bounded(settings, [ground_of(7, 9)])
    area_px, step_px = height * width + 63, batch * patch_px**2
    assert bounded.max_steps * step_px <= max(MOST_PASSES * area_px, step_px)
    if bounded.max_steps < settings.max_steps:
        assert (bounded.max_steps + 1) * step_px > MOST_PASSES * area_px
    assert bounded.but(max_steps=settings.max_steps) == settings


@pytest.mark.slow
def test_training_goes_on_ground_whose_labels_lie_better_than_before(project: Path, overfitted: bool) -> None:
    change(project, CORRECTED, ("max_steps: 20", "max_steps: 120"), ("max_steps: 12", "max_steps: 60"))
    train_project(project)
    products = Products(load_project(project).output_folder)
    card = read_card(products.refiner_model)
    folder = products.training / "correction"
    told = card.provenance["corrected_labels"]
    assert told["folds"] == (FOLDS if overfitted else 0)
    assert 0 < told["coarse_loss_learned"] < 2
    folders = sorted(path.parent for path in products.training.glob("folds/*/coarse.safetensors"))
    assert [path.name for path in folders] == (["1", "2", "3"] if overfitted else [])
    parts = [read_card(path / "coarse.safetensors") for path in folders]
    first = read_card(folder / "refiner.safetensors")
    learned_for = read_card(products.coarse_model).provenance["best_step"]
    assert all(part.provenance["best_step"] == learned_for for part in parts)
    spent = sum(part.provenance["seconds"] for part in (*parts, first))
    assert card.provenance["seconds"] > spent  # its own training comes on top
    with rasterio.open(folder / CORRECTED_LABELS) as dataset:
        moved = dataset.read(1)
    with open_sources(load_project(project)) as sources:
        (scene,) = sources.scenes
        grid = scene.image.grid
        ground = grid.block
        imprecise, truth = scene.labels(grid).read(ground), scene.reference(grid).read(ground)
        learned, _ = learned_and_held_out(sources, "coarse", gsd_m=sources.gsd_m)
        inside = AreaUnion([piece.area for piece in learned]).mask(ground)
    assert (moved[~inside] == IGNORE).all()
    known = inside & (moved != IGNORE)
    assert known.sum() > 0.5 * inside.sum()
    assert (moved[known] == truth[known]).mean() > (imprecise[known] == truth[known]).mean()


@pytest.mark.slow
def test_a_resumed_training_makes_none_of_its_parts_again(project: Path, overfitted: bool) -> None:
    change(project, CORRECTED)
    train_project(project)
    products = Products(load_project(project).output_folder)
    before = read_card(products.refiner_model)
    histories = {path: path.read_bytes() for path in products.training.rglob("history.csv")}
    assert len(histories) == (6 if overfitted else 3)  # coarse network, first refiner, refiner, and three parts
    products.refiner_model.unlink()
    train_project(project, resume=True)
    assert {path: path.read_bytes() for path in products.training.rglob("history.csv")} == histories
    assert read_card(products.refiner_model) == before


@pytest.mark.slow
def test_refiners_that_are_compared_share_the_parts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "OVERFITTED", 0.0)
    short = RefinerSection.of("rnn", iterations=2, max_steps=5, batch=2, patch_px=24)
    monkeypatch.setattr(stages, "initial_section", lambda _: short)  # by default its training takes a minute
    loaded = load_project(project)
    train_missing(Method("fcn-rnn", "rnn-corrected"), loaded, tmp_path / "compare", TrainerOptions("cpu"))
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.safetensors") if "folds" in path.parts}
    assert len(parts) == FOLDS
    train_missing(Method("fcn-rnn", "wide-corrected"), loaded, tmp_path / "compare", TrainerOptions("cpu"))
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("last.safetensors") if "folds" in path.parts}
    assert again == parts


def test_given_scores_leave_nothing_to_align_with(project: Path) -> None:
    change(project, CORRECTED, ("coarse: {kind: fcn-rnn, gsd_m: 1.0, max_steps: 12, batch: 4, patch_px: 32}",
                              "coarse: {scores: {path: " + str(project.parent / "scene.tif") + "}}"))  # fmt: skip
    with pytest.raises(ProjectError, match="corrected_labels: true, but the coarse scores are given"):
        load_project(project, check_files=False)


def test_coarse_ground_that_is_too_small_to_cut_is_told_before_any_training(project: Path) -> None:
    change(project, CORRECTED, ("patch_px: 32", "patch_px: 120"))
    with pytest.raises(TrainingError, match=r"Labels cannot be corrected on areas: coarse: .* smaller than a patch"):
        train_project(project)
    assert not Products(load_project(project).output_folder).folder.exists()


def test_a_class_that_one_part_lacks_is_told_before_any_training(project: Path) -> None:
    change(project, CORRECTED, ("coarse: [{window: [0, 0, 320, 400]}]",
                              "coarse: [{window: [0, 0, 320, 200]}, {window: [0, 200, 320, 200]}]"))  # fmt: skip
    with open_sources(load_project(project)) as sources:
        (scene,) = sources.scenes
        grid = scene.image.grid
        labels = scene.labels(grid).read(grid.block)
    bare = np.where(labels == 1, 0, labels)
    bare[215:, :400] = labels[215:, :400]
    mask = project.parent / "mask.tif"
    with rasterio.open(mask, "w", driver="GTiff", height=grid.height, width=grid.width, count=1, dtype="uint8",
                       crs=grid.crs, transform=grid.transform) as dataset:  # fmt: skip
        dataset.write(bare, 1)
    text = project.read_text()
    start = text.index("labels: {")
    project.write_text(text[:start] + f"labels: {{path: {mask}}}" + text[text.index("\n", start) :])
    with pytest.raises(LabelError, match=r"Labels cannot be corrected .* no pixel of class 'building'"):
        train_project(project)


def test_the_first_refiner_is_the_projects_rnn_or_the_default_one(project: Path) -> None:
    own = load_project(change(project, CORRECTED)).refiner
    assert own is not None
    assert initial_section(own) == own.model_copy(update={"corrected_labels": False})
    wide = own.as_kind("wide", augmentation="none")
    assert initial_section(wide).chosen() == {"kind": "rnn", "iterations": 2, "augmentation": "none"}


def test_patches_of_ground_with_aligned_labels_are_not_turned_unless_the_project_says_so(project: Path) -> None:
    change(project, ("refiner: {", "refiner: {kind: wide, "))
    assert refiner_settings(load_project(project)).augmentation == "flips-and-rotations"
    change(project, ("kind: wide, ", "kind: wide, corrected_labels: true, "))
    assert refiner_settings(load_project(project)).augmentation == "none"
    change(project, ("kind: wide, ", "kind: wide, augmentation: flips-and-rotations, "))
    assert refiner_settings(load_project(project)).augmentation == "flips-and-rotations"


def test_comparisons_know_the_methods(project: Path) -> None:
    loaded = load_project(project)
    assert own_method(loaded) == Method("fcn-rnn", "rnn")
    method = Method("fcn-rnn", "wide-corrected")
    assert method in default_methods(loaded)
    mine = project_of(method, loaded).refiner
    assert mine is not None
    assert (mine.kind, mine.corrected_labels) == ("wide", True)
    assert own_method(project_of(method, loaded)) == method
    assert own_method(load_project(change(project, CORRECTED))) == Method("fcn-rnn", "rnn-corrected")
    # Without given scores it is these that are missing; with them, a network of the project's own.
    assert "gives no coarse scores" in missing_for(Method("given", "rnn-corrected"), loaded)
    scene = replace(loaded.scenes[0], scores=ScoreSource.model_construct(path=Path("scores.tif")))
    reason = missing_for(Method("given", "rnn-corrected"), replace(loaded, scenes=(scene,)))
    assert "needs a coarse network that crispmap trains" in reason
