"""The verb ``train``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from crispmap.cli.console import notify
from crispmap.cli.live import ViewFlags, shown_live
from crispmap.cli.options import ForceOption, ProjectArgument, TrainerFlags, grouped, notify_written, quoted


@grouped
def train(  # noqa: PLR0913 - its options
    project: ProjectArgument = Path("project.yaml"),
    *,
    stage: Annotated[
        Literal["coarse", "finetuned", "refiner"] | None,
        typer.Option(help="Train only the coarse network, only fine-tune it, or train only the refiner."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Model file of a trained network that the coarse network goes on from."),
    ] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(help="Precision of the coarse trainings; by default that of the project or preset."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a training that was interrupted.")] = False,
    force: ForceOption = False,
    devices: Annotated[int, typer.Option(min=1, help="How many GPUs share a training.")] = 1,
    trainer: TrainerFlags,
    page: ViewFlags,
) -> None:
    """Train the coarse network on a project's labels, then fine-tune it, or train the refiner, on its precise area.

    The models go to the project's output folder. --resume continues a training that was interrupted.
    """
    from crispmap.project.run import train_project

    begun = time.perf_counter()
    with shown_live(page, "train", project=str(project)) as events:
        written = train_project(
            project, stage=stage, start=start, precision=precision, resume=resume, force=force,
            trainer=trainer.options(devices), events=events,
        )  # fmt: skip
        notify_written(written, since=begun)
        if stage is None:
            notify(f"Next: crispmap predict {quoted(project)}")
