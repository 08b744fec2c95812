"""Validation data that lack a class: the weights that are chosen by their score are chosen blindly for it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from tiny import SCHEMA, TinyNetwork, coarse_settings, ground, train

from crispmap.data.patches import ArrayPatches
from crispmap.errors import CrispmapWarning, TrainingError
from crispmap.training.task import CoarseTask
from crispmap.types import IGNORE


def trained(folder: Path, labels: list[np.ndarray], **changes: object) -> None:
    """Two steps, validated on ground with these labels."""
    image = np.zeros((2, *labels[0].shape), np.float32)
    validation = [ArrayPatches(image, one.astype(np.uint8)) for one in labels]
    task = CoarseTask(TinyNetwork(), coarse_settings(max_steps=2, **changes), SCHEMA)
    train(task, [ground(0, with_scores=False)], validation, folder)


def test_a_class_that_the_validation_data_lack_is_named(tmp_path: Path) -> None:
    labels = np.full((20, 20), IGNORE)
    labels[:10] = 1
    with pytest.warns(CrispmapWarning) as found:
        trained(tmp_path, [labels])
    (text,) = [str(one.message) for one in found if issubclass(one.category, CrispmapWarning)]
    assert "coarse network" in text
    assert "field and house" in text
    assert "road" not in text


def test_nothing_is_said_where_all_pieces_together_have_all_classes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CrispmapWarning)
        trained(tmp_path, [np.full((20, 20), class_id) for class_id in range(3)])


def test_nothing_is_said_where_the_score_chooses_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CrispmapWarning)
        trained(tmp_path, [np.ones((20, 20))], keep_last=True)


def test_validation_data_without_a_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        trained(tmp_path, [np.full((20, 20), IGNORE)])
