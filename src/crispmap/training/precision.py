"""The precision of a training: bfloat16 where the device has units for it and a trial shows that it learns alike."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from crispmap.data.batches import Batch, PatchBatches, in_order
from crispmap.data.sampling import PatchSampler
from crispmap.models.device import has_units
from crispmap.training.options import TrainerOptions
from crispmap.training.task import RefinerTask, SegmentationTask

MOST_LOSS = 0.01
"""Difference of the loss, relative to that in float32, up to which a precision is taken to learn alike."""
MOST_GRADIENT = 0.1
"""Length of the difference of the gradients, relative to the gradient's in float32, likewise.

On real patches bfloat16 changes the loss by up to 0.001 and the gradient by up to 0.023 (FCN, U-Nets; 4 networks).
"""
_BATCHES, _PATCHES = 2, 2


@dataclass(frozen=True)
class TrainingPrecision:
    """The precision that a training computes in, and why."""

    precision: Literal["float32", "bfloat16"]
    reason: str

    @property
    def text(self) -> str:
        """Both in words, such as "float32; this cpu has no units for bfloat16"."""
        return f"{self.precision}; {self.reason}"

    @classmethod
    def of(cls, text: str) -> TrainingPrecision | None:
        """Return what ``text`` says; None where it is no such text."""
        precision, separator, reason = text.partition("; ")
        if not separator or precision not in ("float32", "bfloat16"):
            return None
        return cls(cast(Literal["float32", "bfloat16"], precision), reason)


def choose_precision(task: SegmentationTask, sampler: PatchSampler, options: TrainerOptions) -> TrainingPrecision:
    """Return bfloat16 where the device has units for it, and loss and gradient of a few patches come out alike.

    The choice depends on device, network and data, not on measured times: the same on every run.
    """
    if isinstance(task, RefinerTask):
        return TrainingPrecision("float32", "bfloat16 loses the small updates of a refiner's iterations")
    if options.devices > 1:
        return TrainingPrecision("float32", "a trial of bfloat16 is of one device")
    device = _device(options.device)
    if not has_units(device):
        return TrainingPrecision("float32", f"this {device} has no units for bfloat16")
    batches = PatchBatches(sampler, min(_PATCHES, task.settings.batch), range(_BATCHES), rank=0, world_size=1)
    distances = []  # of loss and gradient
    with torch.random.fork_rng():
        for batch in in_order(batches):
            exact, reduced = (_learned(task, batch, device, bfloat16=on) for on in (False, True))
            distances.append([_distance(*pair) for pair in zip(exact, reduced, strict=True)])
    loss, gradient = np.max(distances, axis=0)
    alike = loss <= MOST_LOSS and gradient <= MOST_GRADIENT  # not so where one is no number
    found = f"bfloat16 changes the loss by {loss:.2g} of its value, the gradient by {gradient:.2g}"
    return TrainingPrecision("bfloat16" if alike else "float32", found)


def _device(name: str) -> torch.device:
    """Return the device that a training on one device of this name runs on."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(name)


def _learned(task: SegmentationTask, batch: Batch, device: torch.device, *, bfloat16: bool) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and its gradient, flat, of a copy of the task."""
    torch.manual_seed(task.settings.seed)
    trial = copy.deepcopy(task).to(device).train()
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False):
        loss = trial({name: values.to(device) for name, values in batch.items()})
    loss.backward()
    gradients = [one.grad.flatten().float() for one in trial.parameters() if one.grad is not None]
    return loss.detach().float(), torch.cat(gradients)


def _distance(exact: Tensor, reduced: Tensor) -> float:
    """Return the length of a difference, relative to the exact value's."""
    return float((exact - reduced).norm() / exact.norm().clamp_min(1e-12))
