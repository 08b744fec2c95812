"""A coarse network and a refiner of a few weights, and ground they learn at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.patches import ArrayPatches
from crispmap.models.base import CoarseNetwork, Refiner, crop
from crispmap.models.settings import TrainingSettings
from crispmap.training import run
from crispmap.training.options import TrainerOptions, TrainingRun
from crispmap.training.task import CoarseTask, RefinerTask

SCHEMA = ClassSchema((ClassDef("field", "#808080"), ClassDef("road", "#ff0000"), ClassDef("house", "#0000ff")))


class TinyNetwork(CoarseNetwork):
    """One convolution, and dropout, so that randomness in the network is tested too."""

    def __init__(self, bands: int = 2, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.architecture, self.arguments = "tiny", {}
        self.bands, self.classes, self.stride_px = bands, classes, 2
        self.train_margin_px = self.halo_px = self.radius_px = 1
        self.convolution = nn.Conv2d(bands, classes, 3)
        self.dropout = nn.Dropout(0.2)

    def forward(self, image: Tensor) -> Tensor:
        return self.convolution(self.dropout(image))


class TinyRefiner(Refiner):
    """Adds a convolution of the image to the scores, at every step."""

    architecture = "tiny"

    def __init__(self, classes: int = 3, bands: int = 2, iterations: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.arguments = {}
        self.classes, self.bands, self.iterations = classes, bands, iterations
        self.margin_px = self.radius_px = iterations
        self.update = nn.Conv2d(bands, classes, 3)

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:
        steps = [crop(scores, self.margin_px)]
        for _ in range(self.iterations):
            steps.append(steps[-1] + crop(self.update(image), self.margin_px - 1))
        return steps


def ground(seed: int, shape: tuple[int, int] = (60, 50), bands: int = 2, with_scores: bool = True) -> ArrayPatches:
    """Blocks of classes, each class with a brightness of its own in each band; blurred, misplaced scores."""
    rng = np.random.default_rng(seed)
    rows, cols = (-(-side // 6) for side in shape)
    labels = np.kron(rng.integers(0, 3, (rows, cols)), np.ones((6, 6))).astype(np.uint8)[: shape[0], : shape[1]]
    brightness = np.random.default_rng(99).normal(0, 1, (bands, 3))
    image = (brightness[:, labels] + rng.normal(0, 0.2, (bands, *shape))).astype(np.float32)
    scores = np.stack([np.roll(labels, 2, axis=1) == k for k in range(3)]).astype(np.float32)
    return ArrayPatches(image, labels, scores if with_scores else None)


def train(task, pieces, validation, folder, *, options=TrainerOptions(), **more):
    """Train in a folder."""
    return run.train(task, pieces, validation, TrainingRun(folder, trainer=options, **more))


def coarse_settings(**changes: object) -> TrainingSettings:
    base = TrainingSettings(
        optimizer="adamw",
        learning_rate=0.01,
        schedule="one-cycle",
        max_steps=50,
        batch=2,
        patch_px=16,
        sampling="balanced",
        class_weights="inverse-sqrt",
        validate_every=20,
        validate_tile_px=32,
        log_every=10,
        gradient_clip=1.0,
        seed=3,
    )
    return base.but(**changes)


def refiner_settings(**changes: object) -> TrainingSettings:
    return coarse_settings(deep_supervision=0.3).but(**changes)


def coarse_task(**changes: object) -> CoarseTask:
    return CoarseTask(TinyNetwork(), coarse_settings(**changes), SCHEMA)


def refiner_task(**changes: object) -> RefinerTask:
    return RefinerTask(TinyRefiner(), refiner_settings(**changes), SCHEMA)
