"""Where and on what a training runs; nothing here changes its course."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import TrainingError
from crispmap.training.progress import Reporter

ProgressFactory = Callable[[str], AbstractContextManager[Reporter]]
"""Returns, for the title of a training, what is told of it while it runs, such as a bar."""


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
        progress: Shows every training to a person; None: nothing is shown.
    """

    folder: Path
    resume: bool = False
    force: bool = False
    device: str = "auto"
    devices: int = 1
    part: str = ""
    progress: ProgressFactory | None = None

    def below(self, name: str, part: str = "") -> TrainingRun:
        """Return how a training goes on that is part of this one, kept in a folder of this name."""
        return replace(self, folder=self.folder / name, part=part)

    @property
    def trainer(self) -> TrainerOptions:
        """What it runs on."""
        return TrainerOptions(self.device, self.devices)

    def reporter(self, title: str) -> AbstractContextManager[Reporter | None]:
        """Return what is told of a training of this title, or nobody."""
        return nullcontext() if self.progress is None else self.progress(title)
