"""What is measured of a running training: loss, scores and time, for listeners and for TensorBoard."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from crispmap.errors import TrainingError
from crispmap.events import Progress
from crispmap.models.settings import TrainingSettings
from crispmap.training.state import HistoryRow, TrainingState


class TrainingRecord:
    """The history of a training, over interruptions: one row every ``log_every`` steps, and one a validation."""

    def __init__(
        self, fabric: Fabric, settings: TrainingSettings, state: TrainingState | None, running: Progress
    ) -> None:
        self.history: list[HistoryRow] = [] if state is None else state.history
        self.best_score: float | None = None if state is None else state.best_score
        self.is_best = False
        self._seconds_before: float = 0.0 if state is None else state.seconds
        self._begun = time.monotonic()
        self._fabric, self._settings, self._running = fabric, settings, running
        self._losses: Tensor | None = None
        self._loss_count = 0
        for row in self.history:
            self._report(row)
        if state is not None and state.loss_count:
            self._losses, self._loss_count = torch.tensor(state.loss_sum, device=fabric.device), state.loss_count

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        losses = 0.0 if self._losses is None else float(self._losses)
        return {
            "history": self.history,
            "best_score": self.best_score,
            "seconds": self._seconds(),
            "loss_sum": losses,
            "loss_count": self._loss_count,
        }

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._begun

    def add(self, step: int, loss: Tensor, rate: float) -> None:
        """Add up the loss of a step; every ``log_every`` steps record its mean.

        A mean that is not finite is a TrainingError.
        """
        # Summed on the device: to read every loss would wait for every step.
        self._losses = loss if self._losses is None else self._losses + loss
        self._loss_count += 1
        if self._loss_count == self._settings.log_every:
            self._write_row(step, rate, {})

    def record_validation(self, step: int, rate: float, figures: HistoryRow, network: nn.Module) -> None:
        """Record the figures of a validation, and whether the weights are to be kept.

        Loss or weights that are not finite are a TrainingError.
        """
        self._write_row(step, rate, figures)
        if not all(bool(one.isfinite().all()) for one in network.state_dict().values()):
            raise _diverged(step, self._settings)
        score = figures.get("val_mean_iou")
        self.is_best = self._settings.keep_last or score is None or self.best_score is None or score > self.best_score
        if self.is_best:
            self.best_score = score

    def _write_row(self, step: int, rate: float, scores: HistoryRow) -> None:
        """Add a row with the mean loss since the last one, and report it."""
        figures = {"learning_rate": rate}
        if self._losses is not None:
            figures["loss"] = float(self._losses) / self._loss_count
            self._losses, self._loss_count = None, 0
            if not math.isfinite(figures["loss"]):
                raise _diverged(step, self._settings)
        figures |= {name: value for name, value in scores.items() if not math.isnan(value)}
        self.history.append({"step": step, "seconds": self._seconds(), **figures})
        self._report(self.history[-1])
        self._fabric.log_dict(figures, step)
        if self._fabric.is_global_zero and "loss" in figures:
            best = {} if self.best_score is None else {"mean_iou": self.best_score}
            self._running.advance(step - self._running.done, loss=figures["loss"], **best)

    def _report(self, row: HistoryRow) -> None:
        """Report a row of the history; of several processes one does."""
        if self._fabric.is_global_zero:
            self._running.measure(int(row["step"]), **{name: one for name, one in row.items() if name != "step"})


def _diverged(step: int, settings: TrainingSettings) -> TrainingError:
    return TrainingError(
        f"The training diverged before step {step}: its loss or weights are no longer finite numbers.",
        expected=f"a learning rate below {settings.learning_rate:g}",
        remedy=f"set learning_rate to {settings.learning_rate / 3:.1g} or less, or gradient_clip to 1; "
        "if that does not help, look for extreme values in the scene",
    )
