"""The callback that measures a running training, keeps its best weights and its state."""

from __future__ import annotations

import csv
import json
import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from crispmap.errors import TrainingError
from crispmap.models.settings import TrainingSettings
from crispmap.training.checkpoint import cannot_write, write_safetensors
from crispmap.training.progress import Reporter, StepReport
from crispmap.training.task import SegmentationTask

BEST_NAME = "best.safetensors"
LAST_NAME = "last.safetensors"
KEEPER_KEY = "Keeper"
HISTORY_NAME = "history.csv"

HistoryRow = dict[str, float]
_COLUMNS = ("step", "seconds", "learning_rate", "loss", "val_mean_iou", "val_accuracy")


class Keeper(pl.Callback):
    """Writes, after every validation, the history, the weights if they are to be kept, and the whole state.

    The state is written last: a training killed between two files does the last steps again, and so writes
    the same files again.

    Attributes:
        history: One row every ``log_every`` steps, and one a validation.
        best_score: Validation mean IoU of the weights kept so far, or None before the first.
        seconds: Spent training, over interruptions.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, identity: dict[str, Any], report: Reporter) -> None:
        self._folder = folder
        self._settings = settings
        self._identity = identity
        self._report = report
        self.history: list[HistoryRow] = []
        self.best_score: float | None = None
        self.seconds = 0.0
        self._losses: Tensor | None = None
        self._loss_count = 0
        self._started = 0.0
        self._first_step = 0

    @property
    def state_key(self) -> str:
        """The name of this callback's state in a checkpoint."""
        return KEEPER_KEY

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {
            "identity": json.dumps(self._identity),
            "history": self.history,
            "best_score": self.best_score,
            "seconds": self.elapsed,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where a checkpoint was written."""
        self.history = state_dict["history"]
        self.best_score = state_dict["best_score"]
        self.seconds = state_dict["seconds"]

    @property
    def elapsed(self) -> float:
        """Seconds of training so far."""
        running = time.monotonic() - self._started if self._started else 0.0
        return self.seconds + running

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed what is random in a network by seed, step and device: a resumed training repeats it."""
        entropy = (self._settings.seed, trainer.global_step, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up the loss; now and then write it down."""
        loss = outputs["loss"].detach()
        self._losses = loss if self._losses is None else self._losses + loss
        self._loss_count += 1
        if self._loss_count == self._settings.log_every:
            self._write_row(trainer, {})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write history, best weights and state."""
        if not isinstance(pl_module, SegmentationTask):
            raise TypeError(f"{type(pl_module).__name__} is no segmentation task")
        network, scores = pl_module.network, pl_module.figures
        self._write_row(trainer, scores)
        if not all(bool(one.isfinite().all()) for one in network.state_dict().values()):
            raise _diverged(trainer.global_step, self._settings)
        score = scores.get("val_mean_iou")
        if self._settings.keep_last or score is None or self.best_score is None or score > self.best_score:
            self.best_score = score
            if trainer.is_global_zero:
                self._write_best(network, trainer.global_step)
        if trainer.is_global_zero:
            self._write_history()
        trainer.save_checkpoint(self._folder / LAST_NAME, weights_only=False)

    def _write_row(self, trainer: pl.Trainer, scores: HistoryRow) -> None:
        """Add a row of the mean loss since the last one, and tell it to the loggers and the person."""
        loss = math.nan if self._losses is None else float(self._losses) / self._loss_count
        if self._losses is not None and not math.isfinite(loss):
            raise _diverged(trainer.global_step, self._settings)
        self._losses, self._loss_count = None, 0
        figures = {
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "loss": loss,
            **scores,
        }
        figures = {name: value for name, value in figures.items() if not math.isnan(value)}
        self.history.append({"step": trainer.global_step, "seconds": self.elapsed, **figures})
        for logger in trainer.loggers:
            logger.log_metrics(figures, trainer.global_step)
        running = time.monotonic() - self._started
        if trainer.is_global_zero and not math.isnan(loss):
            rate = (trainer.global_step - self._first_step) / max(running, 1e-9)
            steps = self._settings.last_step
            self._report(StepReport(trainer.global_step, steps, loss, rate, self.best_score))

    def _write_best(self, network: torch.nn.Module, step: int) -> None:
        tensors = {name: one.detach().to("cpu", copy=True).contiguous() for name, one in network.state_dict().items()}
        write_safetensors(tensors, {"step": step, "val_mean_iou": self.best_score}, self._folder / BEST_NAME)

    def _write_history(self) -> None:
        path = self._folder / HISTORY_NAME
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, _COLUMNS)
                writer.writeheader()
                writer.writerows(self.history)
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        finally:
            temporary.unlink(missing_ok=True)


def _diverged(step: int, settings: TrainingSettings) -> TrainingError:
    return TrainingError(
        f"The training diverged before step {step}: its loss or weights are no longer finite numbers.",
        expected=f"a learning rate below {settings.learning_rate:g}",
        remedy=f"set learning_rate to {settings.learning_rate / 3:.1g} or less, or gradient_clip to 1; "
        "if that does not help, look for extreme values in the scene",
    )
