"""Runs a training: from data to the best weights, interrupted as often as need be."""

from __future__ import annotations

import errno
import json
import logging
import math
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.multiprocessing.spawn import ProcessException

from crispmap.data.batches import PieceTiles
from crispmap.data.patches import PatchSource, label_strips
from crispmap.data.sampling import PatchPlan, PatchSampler, class_weights
from crispmap.errors import TrainingError
from crispmap.events import SILENT, Events, progress
from crispmap.training.checkpoint import cannot_write, load_weights, read_safetensors
from crispmap.training.folder import TENSORBOARD_NAME, TrainingFolder
from crispmap.training.loop import TrainingData, run_steps
from crispmap.training.options import TrainerOptions
from crispmap.training.record import HistoryRow
from crispmap.training.task import RefinerTask, SegmentationTask
from crispmap.types import IGNORE

_SIGTERM_STATUS = 128 + 15
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE_S = 10
# Settings that change neither weights nor scores, and may change when a training is resumed.
_FREE = ("log_every", "validate_tile_px")


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Attributes:
        best_path: The weights that did best, or the last where the settings keep those; read by ``load_weights``.
        best_score: Their mean IoU on the validation data; None without validation, when they are the last
            ones.
        best_step: The step they are of.
        steps: Optimiser steps done, over interruptions.
        seconds: Spent on them and on validations, over interruptions.
        history: Rows of step, seconds and whatever was measured then: loss (mean since the row before),
            learning_rate, val_mean_iou, val_accuracy.
    """

    best_path: Path
    best_score: float | None
    best_step: int
    steps: int
    seconds: float
    history: tuple[HistoryRow, ...]

    @property
    def steps_per_second(self) -> float:
        """Mean rate, validations included."""
        return self.steps / self.seconds if self.seconds > 0 else math.inf


def train(
    task: SegmentationTask,
    pieces: Sequence[PatchSource],
    validation: Sequence[PatchSource],
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    options: TrainerOptions = TrainerOptions(),
    events: Events = SILENT,
) -> TrainingResult:
    """Train a network; afterwards it holds the best weights, in evaluation mode.

    The folder gets the best weights, the whole state after every validation, the history as CSV and for
    TensorBoard. A training that was interrupted and resumed gives the same weights as one that was not.

    Args:
        task: What to train, and how.
        pieces: What to learn from; a refiner needs their coarse scores.
        validation: What to choose the best weights by, apart from the training data; may be empty.
        folder: Where the training is kept.
        resume: Continue the training in the folder, if there is one.
        force: Discard the training in the folder, if there is one and it is not resumed.
        options: What to run on.
        events: What progress is reported to, every ``log_every`` steps.

    Raises:
        TrainingError: If data, settings and network do not fit, the settings or the data differ from those of the
            training to resume, the memory is less than a batch takes, or the loss is no longer finite.
        LabelError: If a class has no pixel in the training data.
        OutputError: If the folder holds another training, or cannot be written.
        ModelError: If the checkpoint to resume is damaged.
        KeyboardInterrupt: On Ctrl-C; the last checkpoint is kept.
    """
    settings = task.settings
    sampler = PatchSampler(pieces, task.schema.names, PatchPlan.of(settings, task.margin_px, task.stride_px))
    _check_fit(task, pieces, validation)
    task.weigh_classes(class_weights(sampler.class_counts, settings.class_weights))
    options.check(settings.batch, sampler.batch_bytes(settings.batch))
    kept = TrainingFolder(folder, _identity(task, sampler, validation))
    state = kept.prepare(resume=resume, force=force)
    step = 0 if state is None else state["global_step"]
    if step < settings.last_step:
        kept.check_room(task.network, settings.optimizer)
        data = TrainingData(sampler, _tiles(task, validation), options.workers)
        with (
            _quiet(), torch.random.fork_rng(), _terminable(), _errors_translated(folder, options.devices),
            progress(events, task.title, settings.last_step, "steps", done=step) as running,
        ):  # fmt: skip
            _fabric(options, _logger(folder, step)).launch(_run, task, data, kept, state, running)
            best = kept.read_state()["best_score"]
            running.summary = "" if best is None else f"validation mean IoU {best:.2f}"
    load_weights(task.cpu().network, kept.best)
    task.eval()
    return _result(kept)


def _result(folder: TrainingFolder) -> TrainingResult:
    """Return the result of a finished training from its files."""
    state = folder.read_state()
    notes, _ = read_safetensors(folder.best)
    return TrainingResult(
        best_path=folder.best,
        best_score=state["best_score"],
        best_step=int(notes["step"]),
        steps=state["global_step"],
        seconds=state["seconds"],
        history=tuple(state["history"]),
    )


def _run(fabric: Fabric, *arguments: Any) -> None:
    """Run the loop in one process; however it ends, TensorBoard's log is written."""
    try:
        run_steps(fabric, *arguments)
    finally:
        fabric.logger.finalize("success")


def _logger(folder: Path, first_step: int) -> TensorBoardLogger:
    """Return the log for TensorBoard, without the steps a resumed training does again."""
    return TensorBoardLogger(folder, name="", version=TENSORBOARD_NAME, purge_step=first_step + 1)


def _fabric(options: TrainerOptions, logger: TensorBoardLogger) -> Fabric:
    """Return the devices a training runs on."""
    try:
        return Fabric(
            accelerator=options.device,
            devices=options.devices,
            # Forked, not started anew: a second run of the caller's program would prepare everything again.
            strategy="auto" if options.devices == 1 else "ddp_fork",
            loggers=logger,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"A training on {options.devices} x {options.device!r} cannot start: {error}",
            expected="a device of this machine: 'auto', 'cpu', 'cuda' or 'mps'",
            remedy="set the device to 'auto'",
        ) from error


@contextmanager
def _errors_translated(folder: Path, devices: int) -> Iterator[None]:
    """Raise what ended a training as an error of ours, and leave none of its processes behind."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except ProcessException as error:
        # All that is left of the process's error is its text.
        _, _, reason = str(error).rpartition("Error: ")
        raise TrainingError(
            f"One of {devices} training processes failed: {reason.strip()}",
            expected="devices that share a training",
            remedy="fix the error above, or train on one device",
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise cannot_write(folder, error) from error
    finally:
        _end(set(multiprocessing.active_children()) - others)


def _end(children: set[multiprocessing.process.BaseProcess]) -> None:
    """End processes of a training that was interrupted: the interpreter would wait for them when it leaves."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(_PATIENCE_S)
        child.kill()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the training inside by an exception, as Ctrl-C does; only the main thread hears signals."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(_SIGTERM_STATUS)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of Fabric."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _identity(task: SegmentationTask, sampler: PatchSampler, validation: Sequence[PatchSource]) -> dict[str, Any]:
    """Return, as plain values, everything the course of a training depends on."""
    settings = {name: value for name, value in task.settings.to_dict().items() if name not in _FREE}
    shapes = {name: list(one.shape) for name, one in task.network.state_dict().items()}
    return {
        **settings,
        "network": f"{type(task.network).__name__} {json.dumps(shapes)}",
        "classes": list(task.schema.names),
        "training data": sampler.describe()["check_sums"],
        "validation data": [piece.fingerprint() for piece in validation],
    }


def _tiles(task: SegmentationTask, pieces: Sequence[PatchSource]) -> PieceTiles:
    """Return the validation tiles, their side rounded up to the stride."""
    side = -(-task.settings.validate_tile_px // task.stride_px) * task.stride_px
    return PieceTiles(pieces, side, task.margin_px, task.stride_px)


def _check_fit(task: SegmentationTask, pieces: Sequence[PatchSource], validation: Sequence[PatchSource]) -> None:
    """Refuse data that the network cannot read or that validate nothing."""
    bands = task.network.bands
    scores = len(task.schema) if isinstance(task, RefinerTask) else None
    for piece in (*pieces, *validation):
        if piece.bands != bands:
            raise TrainingError(f"The data have {piece.bands} bands.", expected=f"the network's {bands} bands")
        if scores is not None and piece.score_classes != scores:
            raise TrainingError(
                f"The data have {piece.score_classes or 'no'} coarse scores.",
                expected=f"scores of the {scores} classes, for a refiner to sharpen",
                remedy="map the area with the coarse network first",
            )
    labelled = (bool((labels != IGNORE).any()) for piece in validation for _, labels in label_strips(piece))
    if validation and not any(labelled):
        raise TrainingError(
            "The validation data hold no labelled pixel.",
            expected="labels to choose the best weights by",
            remedy="choose another validation area, or none",
        )
