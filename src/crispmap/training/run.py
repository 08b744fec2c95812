"""Runs a training from data to the best weights, over any number of interruptions."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import signal
import threading
import warnings
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
from crispmap.data.patches import PatchSource, few_of, fingerprint
from crispmap.data.pool import sampler_of
from crispmap.data.sampling import PatchPlan, class_weights
from crispmap.errors import CrispmapWarning, TrainingError, number_of
from crispmap.events import progress
from crispmap.training.checkpoint import cannot_write, load_weights
from crispmap.training.folder import TENSORBOARD_NAME, TrainingFolder
from crispmap.training.loop import LoopData, run_steps
from crispmap.training.options import TrainerOptions, TrainingRun
from crispmap.training.precision import TrainingPrecision, choose_precision
from crispmap.training.state import HistoryRow
from crispmap.training.task import RefinerTask, SegmentationTask

_SIGTERM_STATUS = 128 + 15
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE_S = 10
# Settings that change neither weights nor scores, and may change when a training is resumed.
_FREE = ("log_every", "validate_tile_px")


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave. Steps and seconds are counted over interruptions."""

    best_path: Path  # the weights that did best, or the last where the settings keep those; read by ``load_weights``
    best_score: float | None  # their mean IoU on the validation data; None without validation, for the last weights
    best_step: int  # the step they are of
    steps: int
    seconds: float  # of steps and validations
    precision: str  # that of the settings, or the one chosen, and why
    history: tuple[HistoryRow, ...]  # step and seconds, with learning_rate, loss since the row before, val_mean_iou, ..


def train(
    task: SegmentationTask, pieces: Sequence[PatchSource], validation: Sequence[PatchSource], run: TrainingRun
) -> TrainingResult:
    """Train a network; afterwards it has the best weights, in evaluation mode.

    The run's folder gets the best weights, the whole state after every validation and every minute, the history as CSV
    and for TensorBoard. A training that was interrupted and resumed gives the same weights as one that was not. A
    refiner needs the coarse scores of its pieces. The validation data, which may be empty, choose the best weights.

    Raises:
        TrainingError: If data, settings and network do not fit, the settings or the data differ from those of the
            training to resume, the memory is less than a batch takes, or the loss is no longer finite.
        LabelError: If a class has no pixel in the training data.
        OutputError: If the folder has another training, or cannot be written.
        ModelError: If the checkpoint to resume is damaged.
        KeyboardInterrupt: On Ctrl-C; the state of a minute ago at most is kept.
    """
    settings, options, folder = task.settings, run.trainer, run.folder
    plan = PatchPlan.of(settings, task.margin_px, task.stride_px, task.squares)
    sampler = sampler_of(pieces, task.schema.names, plan)
    _check_fit(task, [*pieces, *validation])
    if validation:
        _check_validation(task, _tiles_of(task, few_of(validation)))
    task.weigh_classes(class_weights(sampler.class_counts, settings.class_weights))
    precision: str = settings.precision
    if precision == "auto":
        choice = (_begun_precision(folder) if run.resume else None) or choose_precision(task, sampler, options)
        task.settings = settings = settings.but(precision=choice.precision)
        precision = choice.text
    options.check(settings.batch, sampler.batch_bytes(settings.batch))
    kept = TrainingFolder(folder, {**_identity(task, sampler.pieces, validation), "precision": precision})
    state = kept.prepare(resume=run.resume, force=run.force)
    step = 0 if state is None else state.global_step
    if step < settings.last_step:
        kept.check_room(task.network, settings.optimizer)
        data = LoopData(sampler, _tiles_of(task, validation), options.workers)
        # TensorBoard's log loses the steps that a resumed training does again.
        logger = TensorBoardLogger(folder, name="", version=TENSORBOARD_NAME, purge_step=step + 1)
        with (
            _quiet(), torch.random.fork_rng(), _terminable(), _errors_translated(folder, options.devices),
            progress(run.events, task.title, settings.last_step, "steps", done=step) as running,
        ):  # fmt: skip
            _fabric(options, logger).launch(_run, task, data, kept, state, running)
            best = kept.read_state().best_score
            running.summary = "" if best is None else f"validation mean IoU {best:.2f}"
    load_weights(task.cpu().network, kept.best)
    task.eval()
    ended = kept.read_state()
    return TrainingResult(
        best_path=kept.best,
        best_score=ended.best_score,
        best_step=kept.read_best_step(),
        steps=ended.global_step,
        seconds=ended.seconds,
        history=tuple(ended.history),
        precision=precision,
    )


def _begun_precision(folder: Path) -> TrainingPrecision | None:
    """Return the precision that was chosen when a training was begun; None where there is none, or it was given."""
    kept = TrainingFolder(folder, {})
    return TrainingPrecision.of(str(kept.read_state().identity.get("precision"))) if kept.last.exists() else None


def _tiles_of(task: SegmentationTask, validation: Sequence[PatchSource]) -> PieceTiles:
    side = -(-task.settings.validate_tile_px // task.stride_px) * task.stride_px
    return PieceTiles(validation, side, task.margin_px, task.stride_px, task.squares)


def _run(fabric: Fabric, *arguments: Any) -> None:
    """Run the loop in one process; however it ends, TensorBoard's log is written."""
    try:
        run_steps(fabric, *arguments)
    finally:
        fabric.logger.finalize("success")


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
    """Raise the failure of a training as an error of ours, and leave none of its processes behind."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except ProcessException as error:
        # Only the text of the process's error arrives here.
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
    """End processes of a training that was interrupted: the interpreter would wait for them at its exit."""
    for child in children:
        child.terminate()
    for child in children:
        child.join(_PATIENCE_S)
        child.kill()
        child.join()  # wait for the killed process to exit


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the training inside by an exception, as Ctrl-C does; only the main thread receives signals."""

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


def _identity(
    task: SegmentationTask, pieces: Sequence[PatchSource], validation: Sequence[PatchSource]
) -> dict[str, Any]:
    """Return, as plain values, everything the course of a training depends on."""
    settings = {name: value for name, value in task.settings.to_dict().items() if name not in _FREE}
    shapes = {name: list(one.shape) for name, one in task.network.state_dict().items()}
    return {
        **settings,
        "network": f"{type(task.network).__name__} {json.dumps(shapes)}",
        **({} if task.squares is None else {"squares": task.squares.to_json()}),
        "classes": list(task.schema.names),
        "training data": [fingerprint(piece) for piece in pieces],
        "validation data": [fingerprint(piece) for piece in validation],
    }


def _check_fit(task: SegmentationTask, pieces: Sequence[PatchSource]) -> None:
    """Refuse data that the network cannot read."""
    bands = task.network.bands
    scores = len(task.schema) if isinstance(task, RefinerTask) else None
    for piece in pieces:
        if piece.bands != bands:
            raise TrainingError(
                f"The data have {number_of(piece.bands, 'band')}.", expected=f"the {bands} of the network"
            )
        if scores is not None and piece.score_classes != scores:
            raise TrainingError(
                f"The data have {piece.score_classes or 'no'} coarse scores.",
                expected=f"scores of the {scores} classes, for a refiner to sharpen",
                remedy="map the area with the coarse network first",
            )


def _check_validation(task: SegmentationTask, validation: PieceTiles) -> None:
    """Refuse validation data without labels, and warn of classes they lack where weights are chosen by their score."""
    what = "pixel" if task.squares is None else "square"
    labels = validation.count_labels()
    missing = [name for name, count in zip(task.schema.names, labels, strict=False) if not count]
    if len(missing) == len(task.schema):
        raise TrainingError(
            f"The validation data have no labelled {what}.",
            expected="labels to choose the best weights by",
            remedy="choose another validation area, or none",
        )
    if missing and not task.settings.keep_last:
        warnings.warn(
            f"The validation data of the {task.title} have no labelled {what} of {' and '.join(missing)}: its best "
            f"weights are chosen by a score that knows nothing of {'it' if len(missing) == 1 else 'them'}. Name areas "
            f"that have all classes under areas: validation.",
            CrispmapWarning, stacklevel=2,
        )  # fmt: skip
