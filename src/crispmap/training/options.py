"""Where and on what a training runs; nothing here changes its course."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import TrainingError
from crispmap.events import SILENT, Events


@dataclass(frozen=True)
class TrainerOptions:
    """What a training runs on; it changes the time, not the course.

    Attributes:
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".
        devices: How many of them share each batch.
        workers: Processes that cut patches ahead of time; 0 cuts them between the steps, which suits CPUs.
    """

    device: str = "auto"
    devices: int = 1
    workers: int = 0

    def check(self, batch: int) -> None:
        """Refuse a batch that the devices cannot share evenly.

        Raises:
            TrainingError: If it is so, or a count is impossible.
        """
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
        device: "auto", "cpu" or "cuda".
        devices: How many devices share a training.
        part: Which of several trainings alike this is, for messages.
        events: What progress is reported to.
    """

    folder: Path
    resume: bool = False
    force: bool = False
    device: str = "auto"
    devices: int = 1
    part: str = ""
    events: Events = SILENT

    def below(self, name: str, part: str = "") -> TrainingRun:
        """Return how a training goes on that is part of this one, kept in a folder of this name."""
        return replace(self, folder=self.folder / name, part=part)

    @property
    def trainer(self) -> TrainerOptions:
        """What it runs on."""
        return TrainerOptions(self.device, self.devices)
