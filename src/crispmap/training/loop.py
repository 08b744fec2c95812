"""The loop of a training, top to bottom: steps, and a validation every ``validate_every`` steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from crispmap.data.batches import Batch, PatchBatches, PieceTiles, in_order
from crispmap.data.sampling import PatchSampler
from crispmap.events import Progress
from crispmap.metrics import ConfusionMatrix
from crispmap.models.settings import TrainingSettings
from crispmap.training.folder import TrainingFolder
from crispmap.training.record import TrainingRecord
from crispmap.training.state import TrainingState
from crispmap.training.task import SegmentationTask, optimizer_of, schedule_of

STATE_EVERY_S = 60  # an interruption costs no more than that


@dataclass(frozen=True)
class LoopData:
    """What the loop reads."""

    sampler: PatchSampler  # gives the patches of every step
    tiles: PieceTiles  # the validation data; may be empty
    workers: int  # processes that cut patches ahead of time

    def batches(self, fabric: Fabric, batch: int, steps: range) -> Iterator[Batch]:
        """Yield this device's part of the batches of some steps."""
        own = PatchBatches(self.sampler, batch, steps, rank=fabric.global_rank, world_size=fabric.world_size)
        for one in in_order(own, workers=self.workers, pinned=fabric.device.type == "cuda"):
            yield fabric.to_device(one)


class _StateWriter:
    """Writes the state of a training; where there is no folder, as on all devices but one, does nothing."""

    def __init__(self, folder: TrainingFolder | None, parts: Mapping[str, Any], record: TrainingRecord) -> None:
        self._folder, self._parts, self._record = folder, parts, record
        self._written = time.monotonic()

    def write(self, step: int) -> None:
        """Write the state after some steps."""
        if self._folder is not None:
            states = {name: part.state_dict() for name, part in self._parts.items()}
            self._folder.write_state({"global_step": step, **states, **self._record.state_dict()})
        self._written = time.monotonic()

    def write_when_due(self, step: int) -> None:
        """Write the state where STATE_EVERY_S have passed since it was written."""
        if time.monotonic() - self._written > STATE_EVERY_S:
            self.write(step)


def run_steps(
    fabric: Fabric,
    task: SegmentationTask,
    data: LoopData,
    folder: TrainingFolder,
    state: TrainingState | None,
    running: Progress,
) -> None:
    """Train to the last step, from the beginning or from a state, and write the results to the folder.

    After a validation the state is written last: a training killed between two files repeats the last steps and writes
    the same files. Between validations it is written every minute; what is random is seeded anew at every step, so that
    a training goes on from any of them to the weights of one that was not interrupted.

    Raises:
        TrainingError: If the training diverges.
        OutputError: If a file cannot be written.
    """
    settings, step = task.settings, 0
    optimizer = optimizer_of(task.network, settings)
    schedule = schedule_of(optimizer, settings)
    if state is not None:
        step = state.global_step
        state.restore(task.network, optimizer, schedule)
    # On several devices the model's backward pass averages the gradients of all.
    model, fabric_optimizer = fabric.setup(task, optimizer)
    precision = _precision(fabric, settings)
    model.train()
    record = TrainingRecord(fabric, settings, state, running)
    parts = {"network": task.network, "optimizer": optimizer, "schedule": schedule}
    writer = _StateWriter(folder if fabric.is_global_zero else None, parts, record)
    while step < settings.last_step:
        until = min(step - step % settings.validate_every + settings.validate_every, settings.last_step)
        for batch in data.batches(fabric, settings.batch, range(step, until)):
            writer.write_when_due(step)
            _seed(settings.seed, step, fabric.global_rank)
            task.begin_step(step)
            with precision:
                loss = model(batch)
            fabric_optimizer.zero_grad()
            fabric.backward(loss)
            if settings.gradient_clip:
                fabric.clip_gradients(
                    model, fabric_optimizer, max_norm=settings.gradient_clip, error_if_nonfinite=False
                )
            fabric_optimizer.step()
            schedule.step()
            step += 1
            record.add(step, loss.detach(), _rate(optimizer))
        record.record_validation(step, _rate(optimizer), _validate(fabric, task, data.tiles, precision), task.network)
        if fabric.is_global_zero:
            if record.is_best:
                folder.write_best(task.network, step, record.best_score)
            folder.write_history(record.history)
            writer.write(step)


def _precision(fabric: Fabric, settings: TrainingSettings) -> torch.autocast:
    """Return the context of forward passes; Fabric's own would round the images too."""
    on = settings.precision == "bfloat16"
    return torch.autocast(fabric.device.type, torch.bfloat16, enabled=on, cache_enabled=False)


def _seed(seed: int, step: int, device: int) -> None:
    """Seed what is random in a network by seed, step and device: a resumed training repeats it."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, device)).generate_state(1)[0]))


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _validate(fabric: Fabric, task: SegmentationTask, tiles: PieceTiles, precision: torch.autocast) -> dict[str, float]:
    """Return mean IoU and accuracy, 0..1, of the map of the validation data; nothing where there is none.

    Every device maps all of it, so that all come to the same score.
    """
    if not len(tiles):
        return {}
    confusion = ConfusionMatrix(task.schema.names)
    task.eval()
    with torch.inference_mode(), precision:
        for batch in in_order(tiles):
            predicted = task.scores(fabric.to_device(batch)).argmax(dim=1).to(torch.uint8).cpu().numpy()
            confusion.update(predicted, batch["labels"].to(torch.uint8).numpy())
    task.train()
    return {"val_mean_iou": confusion.mean_iou, "val_accuracy": confusion.overall_accuracy}
