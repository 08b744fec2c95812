"""Runs a training: from ground to the best weights, interrupted as often as need be."""

from __future__ import annotations

import errno
import json
import logging
import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader

from crispmap.data.batches import Batch, GroundTiles, PatchBatches, in_order
from crispmap.data.ground import Ground
from crispmap.data.sampling import PatchPlan, PatchSampler, class_weights
from crispmap.errors import OutputError, TrainingError
from crispmap.models.settings import TrainingSettings
from crispmap.training.checkpoint import (
    SafetensorsCheckpointIO,
    cannot_write,
    load_tree,
    load_weights,
    not_ours,
    read_safetensors,
)
from crispmap.training.checkpoint_writer import BEST_NAME, HISTORY_NAME, KEEPER_KEY, LAST_NAME, HistoryRow, Keeper
from crispmap.training.options import TrainerOptions
from crispmap.training.progress import BarReporter, Reporter
from crispmap.training.task import RefinerTask, SegmentationTask
from crispmap.types import IGNORE

_TENSORBOARD_NAME = "tensorboard"
_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
_SIGTERM_STATUS = 128 + 15
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOGS_BYTES = 1_000_000
# How many numbers an optimiser keeps beside each weight.
_MOMENTS = {"sgd": 1, "adagrad": 1, "adamw": 2}
# Settings that change neither weights nor scores, and may change when a training is resumed.
_FREE = ("log_every", "validate_tile_px")


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Attributes:
        best_path: The weights that did best, or the last where the settings keep those; read by ``load_weights``.
        best_score: Their mean IoU on the validation ground; None without validation, when they are the last
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
    grounds: Sequence[Ground],
    validation: Sequence[Ground],
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    options: TrainerOptions = TrainerOptions(),
    progress: Reporter | None = None,
) -> TrainingResult:
    """Train a network; afterwards it holds the best weights, in evaluation mode.

    The folder gets the best weights, the whole state after every validation, the history as CSV and for
    TensorBoard. A training that was interrupted and resumed gives the same weights as one that was not.

    Args:
        task: What to train, and how.
        grounds: What to learn from; a refiner needs their coarse scores.
        validation: What to choose the best weights by, apart from the training ground; may be empty.
        folder: Where the training is kept.
        resume: Continue the training in the folder, if there is one.
        force: Discard the training in the folder, if there is one and it is not resumed.
        options: What to run on.
        progress: Told every ``log_every`` steps; by default a bar is drawn on a terminal.

    Raises:
        TrainingError: If ground, settings and network do not fit, the settings or the ground differ from
            those of the training to resume, or the loss is no longer finite.
        LabelError: If a class has no pixel in the training ground.
        OutputError: If the folder holds another training, or cannot be written.
        ModelError: If the checkpoint to resume is damaged.
        KeyboardInterrupt: On Ctrl-C; the last checkpoint is kept.
    """
    settings = task.settings
    sampler = PatchSampler(grounds, task.schema.names, PatchPlan.of(settings, task.margin_px, task.stride_px))
    _check_fit(task, grounds, validation)
    task.weigh_classes(class_weights(sampler.class_counts, settings.class_weights))
    options.check(settings.batch)
    identity = _identity(task, sampler, validation)
    state = _prepared(folder, resume, force, identity)
    with ExitStack() as stack:
        if progress is None:
            progress = stack.enter_context(BarReporter(task.title.removeprefix("the ")))
        keeper = Keeper(folder, settings, identity, progress)
        if state is None or state["global_step"] < settings.last_step:
            _check_room(folder, task)
            stack.enter_context(_quiet())
            stack.enter_context(torch.random.fork_rng())
            _fit(task, _Data(sampler, validation, task, options), keeper, state, folder)
    load_weights(task.network, folder / BEST_NAME)
    task.eval()
    return _result(folder)


def _result(folder: Path) -> TrainingResult:
    """Return the result of a finished training from its files."""
    state = load_tree(folder / LAST_NAME)
    keeper = _kept(state, folder / LAST_NAME)
    notes, _ = read_safetensors(folder / BEST_NAME)
    return TrainingResult(
        best_path=folder / BEST_NAME,
        best_score=keeper["best_score"],
        best_step=int(notes["step"]),
        steps=state["global_step"],
        seconds=keeper["seconds"],
        history=tuple(keeper["history"]),
    )


def _kept(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the keeper's part of a checkpoint."""
    try:
        kept: dict[str, Any] = state["callbacks"][KEEPER_KEY]
    except (KeyError, TypeError) as error:
        raise not_ours(path, "it holds no training") from error
    return kept


class _Data(pl.LightningDataModule):
    """Gives each epoch the batches of the steps it consists of."""

    def __init__(
        self, sampler: PatchSampler, validation: Sequence[Ground], task: SegmentationTask, options: TrainerOptions
    ) -> None:
        super().__init__()
        self._sampler = sampler
        self._settings = task.settings
        self.tiles = _tiles(task, validation)
        self.options = options

    def train_dataloader(self) -> DataLoader[Batch]:
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("the data is not attached to a trainer")
        first = trainer.global_step
        last = min(first + self._settings.validate_every, self._settings.last_step)
        batches = PatchBatches(
            self._sampler,
            self._settings.batch,
            range(first, last),
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return in_order(batches, workers=self.options.workers, pinned=torch.cuda.is_available())

    def val_dataloader(self) -> DataLoader[Batch]:
        # Every device maps all of the validation ground, so that all come to the same score.
        return in_order(self.tiles)


def _fit(task: SegmentationTask, data: _Data, keeper: Keeper, state: dict[str, Any] | None, folder: Path) -> None:
    """Run the training loop from its beginning, or from a state that lies in the folder."""
    trainer = _trainer(task.settings, data, keeper, folder, 0 if state is None else state["global_step"])
    task.train()
    try:
        trainer.fit(task, datamodule=data, ckpt_path=None if state is None else str(folder / LAST_NAME))
    except ProcessRaisedException as error:
        # All that is left of the process's error is its text.
        _, _, told = str(error).rpartition("Error: ")
        raise TrainingError(
            f"One of {data.options.devices} training processes failed: {told.strip()}",
            expected="devices that share a training",
            remedy="fix the error above, or train on one device",
        ) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise cannot_write(folder, error) from error
    except SIGTERMException:
        raise SystemExit(_SIGTERM_STATUS) from None
    except SystemExit as stop:
        # Lightning answers Ctrl-C by leaving the interpreter; our caller decides what to do.
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _trainer(settings: TrainingSettings, data: _Data, keeper: Keeper, folder: Path, first_step: int) -> pl.Trainer:
    """Return the loop: an epoch is what lies between two validations."""
    options = data.options
    logger = TensorBoardLogger(
        folder, name="", version=_TENSORBOARD_NAME, default_hp_metric=False, purge_step=first_step + 1
    )
    try:
        return pl.Trainer(
            accelerator=options.device,
            devices=options.devices,
            # Forked, not started anew: a second run of the caller's program would prepare everything again.
            strategy="auto" if options.devices == 1 else "ddp_fork",
            max_epochs=-(-settings.last_step // settings.validate_every),
            precision=_PRECISIONS[settings.precision],  # type: ignore[arg-type]
            gradient_clip_val=settings.gradient_clip or None,
            callbacks=[keeper],
            logger=logger,
            plugins=[SafetensorsCheckpointIO()],
            default_root_dir=folder,
            reload_dataloaders_every_n_epochs=1,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if data.tiles else 0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"A training on {options.devices} x {options.device!r} cannot start: {error}",
            expected="a device of this machine: 'auto', 'cpu', 'cuda' or 'mps'",
            remedy="set the device to 'auto'",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning tells of itself, and two warnings that no one who trains can act on."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Cutting patches is no bottleneck: it takes a few hundredths of the time of a step.
            warnings.filterwarnings("ignore", r"The '\w+' does not have many workers", UserWarning)
            # Lightning 2.6 uses what torch 2.9 and later deprecate.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _prepared(folder: Path, resume: bool, force: bool, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state to resume, or None and a folder without a training."""
    last = folder / LAST_NAME
    if resume and last.exists():
        state: dict[str, Any] = load_tree(last)
        _check_same(json.loads(_kept(state, last)["identity"]), identity)
        return state
    begun = [name for name in (LAST_NAME, BEST_NAME) if (folder / name).exists()]
    # Resumed without a last state: killed while the first one was written, so there is nothing to lose.
    if begun and not (force or resume):
        raise OutputError(
            f"{folder} already holds a training.",
            expected="an empty folder",
            remedy="resume that training (--resume), force a new one in its place (--force), or choose another folder",
        )
    try:
        for name in (LAST_NAME, BEST_NAME, HISTORY_NAME):
            (folder / name).unlink(missing_ok=True)
        if (folder / _TENSORBOARD_NAME).exists():
            shutil.rmtree(folder / _TENSORBOARD_NAME)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return None


def _check_room(folder: Path, task: SegmentationTask) -> None:
    """Refuse to begin what the disk cannot hold: the best weights and, written anew beside the old, the state."""
    weights = sum(one.numel() * one.element_size() for one in task.network.state_dict().values())
    state = weights * (1 + _MOMENTS[task.settings.optimizer])
    old = sum((folder / name).stat().st_size for name in (LAST_NAME, BEST_NAME) if (folder / name).exists())
    needed = weights + 2 * state + _LOGS_BYTES - old
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"A training in {folder} needs {needed / 1e6:.1f} MB; the disk has {free / 1e6:.1f} MB free.",
            expected="a disk with enough space",
            remedy="free some space, or choose another folder",
        )


def _identity(task: SegmentationTask, sampler: PatchSampler, validation: Sequence[Ground]) -> dict[str, Any]:
    """Return, as plain values, everything the course of a training depends on."""
    settings = {name: value for name, value in task.settings.to_dict().items() if name not in _FREE}
    shapes = {name: list(one.shape) for name, one in task.network.state_dict().items()}
    return {
        **settings,
        "network": f"{type(task.network).__name__} {json.dumps(shapes)}",
        "classes": list(task.schema.names),
        "training ground": sampler.describe()["check_sums"],
        "validation ground": [ground.fingerprint() for ground in validation],
    }


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to resume a training under other conditions."""
    changes = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted(before | now)
        if before.get(name) != now.get(name)
    ]
    if changes:
        raise TrainingError(
            f"The training to resume was begun otherwise: {'; '.join(changes)}.",
            expected="the same settings, network and ground as when it began",
            remedy="set them back, or force a new training",
        )


def _tiles(task: SegmentationTask, grounds: Sequence[Ground]) -> GroundTiles:
    """Return the validation tiles, their side rounded up to the stride."""
    side = -(-task.settings.validate_tile_px // task.stride_px) * task.stride_px
    return GroundTiles(grounds, side, task.margin_px, task.stride_px)


def _check_fit(task: SegmentationTask, grounds: Sequence[Ground], validation: Sequence[Ground]) -> None:
    """Refuse ground that the network cannot read or that validates nothing."""
    bands = task.network.bands
    scores = len(task.schema) if isinstance(task, RefinerTask) else None
    for ground in (*grounds, *validation):
        if ground.image.shape[0] != bands:
            raise TrainingError(
                f"The ground has {ground.image.shape[0]} bands.", expected=f"the network's {bands} bands"
            )
        given = None if ground.scores is None else ground.scores.shape[0]
        if scores is not None and given != scores:
            raise TrainingError(
                f"The ground has {given or 'no'} coarse scores.",
                expected=f"scores of the {scores} classes, for a refiner to sharpen",
                remedy="map the ground with the coarse network first",
            )
    if validation and not any(bool(np.any(ground.labels != IGNORE)) for ground in validation):
        raise TrainingError(
            "The validation ground holds no labelled pixel.",
            expected="labels to choose the best weights by",
            remedy="choose another validation area, or none",
        )
