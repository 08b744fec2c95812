"""Adding a kind of training data takes one file: here pairs of an image and a mask in memory train a whole project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from array_scene import ArrayScene
from block_area import area_of
from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.training_data import Piece, Role, learned_and_held_out
from crispmap.evaluation.readers import ArrayLabels
from crispmap.models.file import read_card
from crispmap.project.file import CoarseSection, Project, RefinerSection
from crispmap.project.preflight import TrainingPreflight
from crispmap.project.stages import train_stages
from crispmap.training.options import TrainingRun
from crispmap.types import LabelArray

SCHEMA = ClassSchema((ClassDef("background", "#cccccc"), ClassDef("building", "#d7191c")))


class PairData:
    """Images with a mask each; the last validates, whatever is trained."""

    schema = SCHEMA
    gsd_m = 1.0

    def __init__(self, pairs: Sequence[tuple[ArrayScene, LabelArray]]) -> None:
        self._pieces = [
            Piece(f"pair {number}", image, area_of(image.grid.block), ArrayLabels(mask))
            for number, (image, mask) in enumerate(pairs)
        ]

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        return self._pieces[-1:] if role.endswith("validation") else self._pieces[:-1]


def pair(seed: int, shape: tuple[int, int]) -> tuple[ArrayScene, LabelArray]:
    """Bright squares on dark ground, and where they are."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    for row, col in rng.integers(0, (shape[0] - 12, shape[1] - 12), (6, 2)):
        mask[row : row + 12, col : col + 12] = 1
    image = rng.normal(60, 10, (3, *shape)) + 90 * mask
    return ArrayScene(image.astype(np.float32)), mask


@pytest.fixture
def data() -> PairData:
    return PairData([pair(seed, shape) for seed, shape in enumerate([(64, 80), (70, 50), (64, 64)])])


def project_of(folder: Path) -> Project:
    coarse = CoarseSection.of("fcn-rnn", max_steps=60, batch=4, patch_px=16)
    refiner = RefinerSection.of("rnn", iterations=2, max_steps=20, batch=2, patch_px=16)
    return Project(folder / "project.yaml", "pairs", 0, (), None, SCHEMA, coarse, refiner, folder)


@pytest.mark.slow
def test_pieces_of_many_images_train_network_and_refiner(data: PairData, tmp_path: Path) -> None:
    project = project_of(tmp_path)
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("coarse", "refiner")}
    TrainingPreflight(data).check_refiner(project)
    train_stages(data, project, paths, TrainingRun(tmp_path / "training"), ["coarse", "refiner"])
    for path in paths.values():
        assert read_card(path).provenance["validation_mean_iou"] > 0.6  # all background has 0.4


def test_own_validation_images_keep_every_piece_whole(data: PairData) -> None:
    learned, held = learned_and_held_out(data, "coarse", gsd_m=1.0)
    assert [piece.scene for piece in learned] == ["pair 0", "pair 1"]
    assert [piece.scene for piece in held] == ["pair 2"]
    assert [piece.shape for piece in learned] == [(64, 80), (70, 50)]
