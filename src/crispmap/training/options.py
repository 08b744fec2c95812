"""Where and on what a training runs; nothing here changes its course."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.data.budget import DataBudget
from crispmap.errors import TrainingError
from crispmap.events import SILENT, Events


@dataclass(frozen=True)
class TrainerOptions:
    """What a training runs on; it changes the time, not the course.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".
        devices: How many of them share each batch.
        workers: Processes that cut patches ahead of time; 0 cuts them between the steps, which suits CPUs.
        memory_bytes: What the data of a training may take in memory; the rest lies in files, or stays on the scene.
            None: a quarter of the machine's.
    """

    device: str = "auto"
    devices: int = 1
    workers: int = 0
    memory_bytes: int | None = None

    def check(self, batch: int, batch_bytes: int) -> None:
        """Refuse a batch that the devices cannot share evenly, and memory that does not hold one.

        Raises:
            TrainingError: If it is so, or a count is impossible.
        """
        if self.memory_bytes is not None and self.memory_bytes < batch_bytes:
            raise TrainingError(
                f"The training data may take {self.memory_bytes / 1e6:.3g} MB of memory.",
                expected=f"at least the {math.ceil(batch_bytes / 1e4) / 100} MB of a batch of {batch} patches",
                remedy="allow more memory (--memory), or make the batch or the patches smaller",
            )
        if self.devices < 1 or self.workers < 0 or batch % self.devices:
            raise TrainingError(
                f"A batch of {batch} patches on {self.devices} devices with {self.workers} workers.",
                expected="1 device or more, a batch that is a multiple of their number, 0 workers or more",
                remedy="change the batch, or the number of devices",
            )


@dataclass(frozen=True)
class TrainingRun:
    """How a training goes on: where it is kept, whether it goes on, and on what.

    Attributes:
        folder: Where checkpoints and logs are kept.
        resume: Continue an interrupted training.
        force: Replace a finished one.
        trainer: What it runs on.
        part: Which of several trainings alike this is, for messages.
        events: What progress is reported to.
    """

    folder: Path
    resume: bool = False
    force: bool = False
    trainer: TrainerOptions = TrainerOptions()
    part: str = ""
    events: Events = SILENT

    def below(self, name: str, part: str = "") -> TrainingRun:
        """Return how a training goes on that is part of this one, kept in a folder of this name."""
        return replace(self, folder=self.folder / name, part=part)

    @property
    def device(self) -> str:
        """Where networks run."""
        return self.trainer.device

    def budget(self) -> DataBudget:
        """Return the memory that all data of one training share; what does not fit lies in the folder."""
        return DataBudget(self.trainer.memory_bytes, self.folder)
