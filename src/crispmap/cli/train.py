"""The verb ``train``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify
from crispmap.cli.options import Choice, ForceOption, notify_written, quoted, trainer_options, with_options
from crispmap.cli.progress import TerminalProgress
from crispmap.training.options import TrainerOptions


class Stage(Choice):
    """A part of the training."""

    COARSE = "coarse"
    REFINER = "refiner"


@with_options(trainer_options)
def train(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="The project file, or the folder it lies in.")
    ] = Path("project.yaml"),
    *,
    stage: Annotated[Stage | None, typer.Option(help="Train only the coarse network, or only the refiner.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")] = False,
    force: ForceOption = False,
    devices: Annotated[int, typer.Option(min=1, help="How many GPUs share a training.")] = 1,
    options: TrainerOptions,
) -> None:
    """Train the coarse network on a project's labels, then the refiner on its precise piece.

    The models go to the project's output folder. A training that was interrupted goes on with --resume.
    """
    from crispmap.project.run import train_project

    begun = time.perf_counter()
    written = train_project(
        project, stage=None if stage is None else stage.value, resume=resume, force=force,
        trainer=replace(options, devices=devices), events=TerminalProgress(),
    )  # fmt: skip
    notify_written(written, since=begun)
    if stage is None:
        notify(f"Next: crispmap predict {quoted(project)}")
