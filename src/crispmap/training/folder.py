"""The folder of a training: its best weights, its whole state and its history."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from crispmap.errors import ModelError, OutputError, TrainingError
from crispmap.files.atomic import write_atomically
from crispmap.training.checkpoint import (
    cannot_write,
    load_tree,
    not_ours,
    read_safetensors,
    save_tree,
    write_safetensors,
)
from crispmap.training.state import HistoryRow, TrainingState

TENSORBOARD_NAME = "tensorboard"
_COLUMNS = ("step", "seconds", "learning_rate", "loss", "val_mean_iou", "val_accuracy")
_LOGS_BYTES = 1_000_000
# How many numbers an optimiser keeps beside each weight.
_MOMENTS = {"sgd": 1, "adagrad": 1, "adamw": 2}


@dataclass(frozen=True)
class TrainingFolder:
    """Where a training is kept."""

    path: Path
    identity: dict[str, Any]  # everything the course of the training depends on, as plain values

    @property
    def best(self) -> Path:
        """The weights that did best, or the last where the settings keep those."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The whole state after the last validation."""
        return self.path / "last.safetensors"

    @property
    def history(self) -> Path:
        """What was measured, as CSV."""
        return self.path / "history.csv"

    def prepare(self, *, resume: bool, force: bool) -> TrainingState | None:
        """Return the state to resume, or None and a folder without a training."""
        if resume and self.last.exists():
            state = self.read_state()
            _check_same(state.identity, self.identity)
            return state
        # Resumed without a last state: killed while the first one was written, so there is nothing to lose.
        if (self.last.exists() or self.best.exists()) and not (force or resume):
            raise OutputError(
                f"{self.path} already has a training.",
                expected="an empty folder",
                remedy="continue that training (resume=True), replace it (force=True), or choose another folder",
            )
        try:
            for file in (self.last, self.best, self.history):
                file.unlink(missing_ok=True)
            if (self.path / TENSORBOARD_NAME).exists():
                shutil.rmtree(self.path / TENSORBOARD_NAME)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return None

    def check_room(self, network: nn.Module, optimizer: str) -> None:
        """Refuse a training too large for the disk: its best weights and, written anew beside the old, its state."""
        weights = sum(one.numel() * one.element_size() for one in network.state_dict().values())
        state = weights * (1 + _MOMENTS[optimizer])
        old = sum(file.stat().st_size for file in (self.last, self.best) if file.exists())
        needed = weights + 2 * state + _LOGS_BYTES - old
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise OutputError(
                f"A training in {self.path} needs {needed / 1e6:.1f} MB; the disk has {free / 1e6:.1f} MB free.",
                expected="a disk with enough space",
                remedy="free some space, or choose another folder",
            )

    def write_best(self, network: nn.Module, step: int, score: float | None) -> None:
        """Write weights to keep."""
        tensors = {name: one.detach().to("cpu", copy=True).contiguous() for name, one in network.state_dict().items()}
        write_safetensors(tensors, {"step": step, "val_mean_iou": score}, self.best)

    def write_history(self, rows: Sequence[HistoryRow]) -> None:
        """Write all rows of the history."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.history, text.getvalue().encode())

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write what a resumed training needs: the values of a ``TrainingState``."""
        save_tree({"identity": json.dumps(self.identity), **state}, self.last)

    def read_state(self) -> TrainingState:
        """Return what ``write_state`` wrote; ModelError if it is damaged, or of an earlier version."""
        state = load_tree(self.last)
        if isinstance(state, dict) and "callbacks" in state:
            raise ModelError(
                f"The training in {self.path} was begun by an earlier version of crispmap.",
                expected="a training begun by this version",
                remedy="train again with force=True",
            )
        try:
            return TrainingState.model_validate(state)
        except ValidationError as error:
            raise not_ours(self.last, f"it has no training: {error}") from error

    def read_best_step(self) -> int:
        """Return the step of the weights to keep; ModelError if their file is damaged."""
        notes, _ = read_safetensors(self.best)
        step = notes.get("step")
        if type(step) is not int or step < 1:
            raise not_ours(self.best, f"its weights are of the step {step!r}")
        return step


def read_history(path: Path) -> list[HistoryRow]:
    """Return the rows of a history, each with the finite figures it has; none where there is no file.

    Raises:
        TrainingError: If the file is no history, or cannot be read.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            read = [
                {name: float(text) for name, text in row.items() if name in _COLUMNS and text}
                for row in csv.DictReader(file, strict=True)
            ]
        rows = [{name: value for name, value in row.items() if math.isfinite(value)} for row in read]
        steps = [int(row["step"]) for row in rows]
        if steps != sorted(steps):
            raise ValueError("its steps do not rise")
    except (OSError, csv.Error, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path} cannot be read: {error!r}.",
            expected="the history of a training, as crispmap writes it",
            remedy="remove it, or train again with force=True",
        ) from error
    return rows


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to resume a training under other conditions."""
    changes = [
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted(before | now)
        if before.get(name) != now.get(name)
    ]
    if changes:
        raise TrainingError(
            f"The training to resume was begun with other data or settings: {'; '.join(changes)}.",
            expected="the same settings, network and data as when it began",
            remedy="set them back, or begin a new training with force=True",
        )
