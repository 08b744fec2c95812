"""A refiner of seconds, on a real tile: one half teaches it to sharpen the published coarse map of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.patches import ArrayPatches
from crispmap.metrics import ConfusionMatrix
from crispmap.models.scaling import paper_scaling
from crispmap.refiners.rnn import FAST
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.training.task import RefinerTask

SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))


def halves(folder: Path) -> list[ArrayPatches]:
    image = np.asarray(Image.open(folder / "fullyconv_image.png"), np.float32).transpose(2, 0, 1)
    labels = (np.asarray(Image.open(folder / "fullyconv_reference.png")) > 127).astype(np.uint8)
    probability = (np.asarray(Image.open(folder / "fullyconv_softClassif.png"), np.float32) + 0.5) / 256
    logit = np.log(probability / (1 - probability))
    scores = np.stack([-logit / 2, logit / 2])
    scaled = paper_scaling(3).apply(image)
    middle = labels.shape[1] // 2
    return [ArrayPatches(scaled[..., s], labels[:, s], scores[..., s]) for s in (slice(0, middle), slice(middle, None))]


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.usefixtures("one_thread")
def test_a_refiner_sharpens_the_published_coarse_map_of_boston(real_data, tmp_path):
    learned, held_out = halves(real_data / "boston3")
    coarse = ConfusionMatrix(SCHEMA.names)
    coarse.update(held_out.scores.argmax(axis=0).astype(np.uint8), held_out.labels)
    torch.manual_seed(0)
    settings = FAST.but(max_steps=80, batch=4, patch_px=48, validate_every=40, learning_rate=5e-3)
    task = RefinerTask(RecurrentRefiner(2, 3), settings, SCHEMA)
    result = tiny.train(task, [learned], [held_out], tmp_path)
    assert result.best_score > coarse.mean_iou + 0.005
