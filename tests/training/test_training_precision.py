"""The precision of a training is chosen by a trial that repeats, and is kept where the training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from crispmap.data.pool import sampler_of
from crispmap.data.sampling import PatchPlan
from crispmap.training import precision
from crispmap.training.options import TrainerOptions
from crispmap.training.precision import TrainingPrecision, choose_precision
from recorder import Recorder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=[True, False], ids=["units", "no units"])
def units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(precision, "has_units", lambda device: request.param)
    return bool(request.param)


def sampler(task):
    plan = PatchPlan.of(task.settings, task.margin_px, task.stride_px, task.squares)
    return sampler_of([tiny.ground(0)], tiny.SCHEMA.names, plan)


def chosen(task, **options) -> TrainingPrecision:
    return choose_precision(task, sampler(task), TrainerOptions(**options))


def test_a_device_with_units_learns_in_bfloat16_where_the_trial_comes_out_alike(units: bool) -> None:
    task = tiny.coarse_task(precision="auto")
    before = {name: values.clone() for name, values in task.state_dict().items()}
    random = torch.get_rng_state()
    found = chosen(task)
    assert found.precision == ("bfloat16" if units else "float32")
    assert found == chosen(task)  # nothing measured in seconds is in it
    assert torch.equal(torch.get_rng_state(), random)
    for name, values in task.state_dict().items():
        assert torch.equal(values, before[name])
    assert task.training


class Unstable(tiny.TinyNetwork):
    """Scores in which the digits that bfloat16 rounds away are all that counts."""

    def forward(self, image: Tensor) -> Tensor:
        scores = super().forward(image)
        return (scores + 300.0 if torch.is_autocast_enabled("cpu") else scores) * scores


class Overflowing(tiny.TinyNetwork):
    """Scores that are no numbers in bfloat16."""

    def forward(self, image: Tensor) -> Tensor:
        scores = super().forward(image)
        return scores * torch.nan if torch.is_autocast_enabled("cpu") else scores


@pytest.mark.parametrize("network", [Unstable, Overflowing])
def test_a_network_that_learns_otherwise_in_bfloat16_learns_in_float32(
    network: type[tiny.TinyNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_units", lambda device: True)
    task = tiny.CoarseTask(network(), tiny.coarse_settings(precision="auto"), tiny.SCHEMA)
    found = chosen(task)
    assert found.precision == "float32"
    assert "gradient" in found.reason


def test_refiners_and_several_devices_stay_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_units", lambda device: True)
    assert chosen(tiny.refiner_task()).precision == "float32"
    assert chosen(tiny.coarse_task(precision="auto"), devices=2).precision == "float32"


def test_a_training_with_a_choice_is_that_with_what_it_chose(units: bool, tmp_path: Path) -> None:
    name = "bfloat16" if units else "float32"
    data = [tiny.ground(0)], [tiny.ground(1)]
    auto, given = tiny.coarse_task(precision="auto"), tiny.coarse_task(precision=name)
    result = tiny.train(auto, *data, tmp_path / "auto")
    assert tiny.train(given, *data, tmp_path / "given").precision == name
    assert TrainingPrecision.of(result.precision).precision == auto.settings.precision == name
    for one, other in zip(auto.network.state_dict().values(), given.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_training_goes_on_in_the_precision_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_units", lambda device: True)
    data = [tiny.ground(0)], [tiny.ground(1)]
    whole = tiny.train(tiny.coarse_task(precision="auto"), *data, tmp_path / "whole")

    def stop(done: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.train(tiny.coarse_task(precision="auto"), *data, tmp_path / "parts", events=Recorder(stop))
    monkeypatch.setattr(precision, "has_units", lambda device: False)  # another machine
    parts = tiny.train(tiny.coarse_task(precision="auto"), *data, tmp_path / "parts", resume=True)
    assert parts.precision == whole.precision
    assert parts.precision.startswith("bfloat16; ")
    assert (tmp_path / "whole/best.safetensors").read_bytes() == (tmp_path / "parts/best.safetensors").read_bytes()


@pytest.mark.parametrize("text", ["bfloat16", "float16; so", "", "None"])
def test_a_precision_that_was_given_is_no_choice(text: str) -> None:
    assert TrainingPrecision.of(text) is None
