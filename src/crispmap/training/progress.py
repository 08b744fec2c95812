"""What a person sees of a running training: step, loss, rate and time left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_BAR_WIDTH = 8  # what is left of a terminal of 80 columns


@dataclass(frozen=True)
class StepReport:
    """Where a training stands.

    Attributes:
        step: Steps done, counted over interruptions.
        steps: Steps in all.
        loss: Mean over the last steps.
        steps_per_second: Since this run began, validations included.
        best_score: Best validation mean IoU so far, or None.
    """

    step: int
    steps: int
    loss: float
    steps_per_second: float
    best_score: float | None

    @property
    def seconds_left(self) -> float:
        """Seconds until the last step at this rate."""
        return (self.steps - self.step) / self.steps_per_second if self.steps_per_second > 0 else float("inf")


Reporter: TypeAlias = Callable[[StepReport], None]


class BarReporter:
    """Draws a bar with steps, rate, time left, loss and best mean IoU so far; silent where there is no terminal."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[steps]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(title, total=None, steps="", rate="", left="", figures="")

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, report: StepReport) -> None:
        """Draw a report."""
        score = "" if report.best_score is None else f"  IoU {report.best_score:.3f}"
        self._progress.update(
            self._task,
            total=report.steps,
            completed=report.step,
            steps=f"{report.step}/{report.steps}",
            rate=f"{report.steps_per_second:.1f}/s",
            left=f"{_clock(report.seconds_left)} left",
            figures=f"loss {report.loss:.3f}{score}",
        )


def _clock(seconds: float) -> str:
    """Return a time as ``1:02:03`` or ``2:03``."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
