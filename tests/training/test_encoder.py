"""An encoder that is frozen at first, or learns at a rate of its own."""

from __future__ import annotations

import pytest
import tiny
import torch

from crispmap.errors import TrainingError
from crispmap.models.smp.network import unet_lite0
from crispmap.training.task import CoarseTask, optimizer_of


def task_of(**changes: object) -> CoarseTask:
    return CoarseTask(unet_lite0(2, 3, depth=3, radius_px=56), tiny.coarse_settings(**changes), tiny.SCHEMA)


def test_it_is_frozen_in_the_first_steps_its_normalisation_too() -> None:
    task = task_of(frozen_steps=2)
    for step, learns in enumerate((False, False, True)):
        task.train()
        task.begin_step(step)
        encoder = task.network.encoder
        assert encoder is not None
        assert {one.requires_grad for one in encoder.parameters()} == {learns}
        assert {one.training for one in encoder.modules()} == {learns}
    assert all(one.requires_grad for one in task.network.parameters())


def test_it_learns_at_a_share_of_the_rate() -> None:
    task = task_of(encoder_rate=0.25)
    groups = optimizer_of(task.network, task.settings).param_groups
    assert groups[1]["lr"] == 0.25 * groups[0]["lr"]
    encoder = task.network.encoder
    assert encoder is not None
    assert {id(one) for one in groups[1]["params"]} == {id(one) for one in encoder.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(task.network.parameters()))


@pytest.mark.parametrize("changes", [{"encoder_rate": 0.5}, {"frozen_steps": 3}])
def test_a_network_without_an_encoder_refuses(changes: dict[str, float]) -> None:
    with pytest.raises(TrainingError):
        CoarseTask(tiny.TinyNetwork(), tiny.coarse_settings(**changes), tiny.SCHEMA)


def test_a_batch_too_small_to_normalise_is_told() -> None:
    task = CoarseTask(unet_lite0(2, 3, depth=5, radius_px=0), tiny.coarse_settings(), tiny.SCHEMA)
    task.train()
    with pytest.raises(TrainingError):
        task.scores({"image": torch.zeros(1, 2, 32, 32)})
