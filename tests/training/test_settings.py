"""Settings: the papers' numbers, and refusals of what cannot be trained with."""

from __future__ import annotations

import math

import pytest

from crispmap.errors import TrainingError
from crispmap.training.settings import (
    CoarseSettings,
    RefinerSettings,
    fast_coarse,
    fast_refiner,
    paper_coarse,
    paper_refiner,
)


def test_the_published_trainings():
    igarss = paper_coarse("fcn-igarss")
    assert (igarss.optimizer, igarss.learning_rate, igarss.momentum, igarss.weight_decay) == ("sgd", 1e-4, 0.9, 2e-4)
    assert (igarss.training_steps, igarss.batch, igarss.patch_px) == (30_000, 64, 16)
    rnn = paper_coarse("fcn-rnn")
    assert (rnn.optimizer, rnn.learning_rate, rnn.momentum, rnn.weight_decay) == ("sgd", 1e-2, 0.9, 2e-4)
    assert (rnn.batch, rnn.patch_px) == (64, 64)
    refiner = paper_refiner()
    assert (refiner.optimizer, refiner.learning_rate, refiner.training_steps) == ("adagrad", 1e-2, 50_000)
    assert refiner.deep_supervision == 0
    for paper in (igarss, rnn, refiner):
        assert (paper.schedule, paper.balance, paper.class_weights) == ("constant", "uniform", "none")
    with pytest.raises(TrainingError, match="'unet'"):
        paper_coarse("unet")


@pytest.mark.parametrize("preset", [fast_coarse, fast_refiner, paper_refiner, lambda: paper_coarse("fcn-rnn")])
def test_settings_come_back_from_plain_values(preset):
    settings = preset()
    assert type(settings)(**settings.to_dict()) == settings
    plan = settings.patch_plan(10, 4)
    assert (plan.patch_px, plan.margin_px, plan.stride_px) == (settings.patch_px, 10, 4)
    assert (plan.balance, plan.seed, plan.symmetries) == (settings.balance, settings.seed, settings.symmetries)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "lion"},
        {"schedule": "linear"},
        {"balance": "fair"},
        {"class_weights": "some"},
        {"precision": "float16"},
        {"precision": "bfloat16"},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"learning_rate": math.nan},
        {"training_steps": 0},
        {"stop_after": 0},
        {"stop_after": 10**6},
        {"batch": 1.5},
        {"patch_px": -1},
        {"validate_every": 0},
        {"momentum": -0.1},
        {"weight_decay": math.nan},
        {"gradient_clip": -1.0},
        {"min_labelled": 1.5},
        {"seed": -1},
        {"deep_supervision": 1.1},
        {"steps": 5},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(change):
    with pytest.raises(TrainingError, match=next(iter(change))):
        fast_refiner().but(**change)


def test_the_two_kinds_are_told_apart():
    assert isinstance(fast_coarse().but(batch=4), CoarseSettings)
    assert isinstance(fast_refiner().but(batch=4), RefinerSettings)
    with pytest.raises(TrainingError, match="deep_supervision"):
        fast_coarse().but(deep_supervision=0.5)
