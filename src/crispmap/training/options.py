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
    """What a training runs on; it changes the time, not the course."""

    device: str = "auto"  # "auto" (a GPU where there is one), "cpu", "cuda" or "mps"
    devices: int = 1  # number of devices that share each batch
    workers: int = 0  # processes that cut patches ahead of time; 0 cuts them between the steps, which suits CPUs
    memory_bytes: int | None = None  # for training data; the rest stays on disk. None: a quarter of the machine's

    def check(self, batch: int, batch_bytes: int) -> None:
        """Raise TrainingError for a batch that devices cannot share evenly or that is larger than the memory."""
        if self.memory_bytes is not None and self.memory_bytes < batch_bytes:
            raise TrainingError(
                f"The training data may take {self.memory_bytes / 1e6:.3g} MB of memory.",
                expected=f"at least the {math.ceil(batch_bytes / 1e4) / 100} MB of a batch of {batch} patches",
                remedy="allow more memory (memory_bytes=), or make the batch or the patches smaller",
            )
        if self.devices < 1 or self.workers < 0 or batch % self.devices:
            raise TrainingError(
                f"A batch of {batch} patches on {self.devices} devices with {self.workers} workers.",
                expected="1 device or more, a batch that is a multiple of their number, 0 workers or more",
                remedy="change the batch, or the number of devices",
            )


@dataclass(frozen=True)
class TrainingRun:
    """Where a training is kept, whether it continues one that is there, and what it runs on."""

    folder: Path  # where checkpoints and logs are kept
    resume: bool = False  # continue an interrupted training
    force: bool = False  # replace a finished one
    trainer: TrainerOptions = TrainerOptions()  # what it runs on
    part: str = ""  # which of several trainings alike this is, for messages
    events: Events = SILENT  # what progress is reported to

    def below(self, name: str, part: str = "") -> TrainingRun:
        """Return the run of a training that is part of this one, kept in a folder of this name."""
        return replace(self, folder=self.folder / name, part=part)

    @property
    def device(self) -> str:
        """Where networks run."""
        return self.trainer.device

    def budget(self) -> DataBudget:
        """Return the memory that all data of one training share; what does not fit goes to the folder."""
        return DataBudget(self.trainer.memory_bytes, self.folder)
