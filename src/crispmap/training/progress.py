"""What a person sees of a running training: step, loss, rate and time left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


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
    """Draws a bar on standard error; silent where that is no terminal."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(title, total=1, figures="")

    def __enter__(self) -> BarReporter:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, report: StepReport) -> None:
        """Draw a report."""
        score = "" if report.best_score is None else f"  best mean IoU {report.best_score:.3f}"
        figures = f"{report.steps_per_second:.1f}/s  loss {report.loss:.4f}{score}"
        self._progress.update(self._task, total=report.steps, completed=report.step, figures=figures)
