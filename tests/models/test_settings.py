"""Settings and presets: the papers' numbers, and refusals of what cannot be trained with."""

from __future__ import annotations

import math

import pytest

from crispmap.data.sampling import PatchPlan
from crispmap.errors import TrainingError
from crispmap.models.registry import architectures
from crispmap.models.settings import TrainingSettings

TRAINED = [
    (name, preset)
    for name, one in architectures().items()
    for preset, how in one.presets.items()
    if how.settings is not None
]


def settings_of(name: str, preset: str) -> TrainingSettings:
    settings = architectures()[name].presets[preset].settings
    assert settings is not None
    return settings


def test_the_published_trainings() -> None:
    igarss, rnn, refiner = (settings_of(name, "paper") for name in ("fcn-igarss", "fcn-rnn", "rnn"))
    assert (igarss.optimizer, igarss.learning_rate, igarss.momentum, igarss.weight_decay) == ("sgd", 1e-4, 0.9, 2e-4)
    assert (igarss.max_steps, igarss.batch, igarss.patch_px) == (30_000, 64, 16)
    assert settings_of("mnih", "paper") == igarss
    assert (rnn.optimizer, rnn.learning_rate, rnn.momentum, rnn.weight_decay) == ("sgd", 1e-2, 0.9, 2e-4)
    assert (rnn.batch, rnn.patch_px) == (64, 64)
    assert (refiner.optimizer, refiner.learning_rate, refiner.max_steps) == ("adagrad", 1e-2, 50_000)
    assert refiner.deep_supervision == 0
    for paper in (igarss, rnn, refiner):
        assert (paper.schedule, paper.sampling, paper.class_weights) == ("constant", "uniform", "none")
        assert paper.augmentation == "none"


@pytest.mark.parametrize(("name", "preset"), TRAINED)
def test_settings_come_back_from_plain_values_and_say_how_patches_are_drawn(name: str, preset: str) -> None:
    settings = settings_of(name, preset)
    assert TrainingSettings(**settings.to_dict()) == settings
    plan = PatchPlan.of(settings, 10, 4)
    assert (plan.patch_px, plan.margin_px, plan.stride_px) == (settings.patch_px, 10, 4)
    assert (plan.sampling, plan.seed) == (settings.sampling, settings.seed)
    assert plan.augmentation == settings.augmentation


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "lion"},
        {"schedule": "linear"},
        {"loss": "hinge"},
        {"loss": ""},
        {"loss": "dice+dice"},
        {"loss": "0*dice"},
        {"loss": "nan*dice"},
        {"loss": "x*dice"},
        {"label_smoothing": 1.0},
        {"sampling": "fair"},
        {"augmentation": "mirrors"},
        {"augmentation": ""},
        {"augmentation": "none+blur"},
        {"augmentation": "blur+noise+blur"},
        {"class_weights": "some"},
        {"precision": "float16"},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"learning_rate": math.nan},
        {"max_steps": 0},
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
def test_impossible_settings_are_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(TrainingError, match=next(iter(change))):
        settings_of("rnn", "fast").but(**change)
