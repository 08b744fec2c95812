"""Options that say how maps are made, alike in every verb that makes them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from crispmap.cli.options import Choice, Device, DeviceOption, ForceOption, with_options
from crispmap.inference.options import PredictOptions
from crispmap.inference.plan import BLOCK_PX


class EngineName(Choice):
    """What evaluates the networks."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"


class PrecisionName(Choice):
    """The arithmetic of the networks."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


BlockOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--block",
        min=64,
        max=16384,
        metavar="PX",
        help="Side of the blocks of work: smaller ones need less memory; the map is the same.",
    ),
]
EngineOption: TypeAlias = Annotated[
    EngineName,
    typer.Option("--engine", help="What evaluates the networks; auto takes the fastest that is installed."),
]
PrecisionOption: TypeAlias = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="Arithmetic of the networks. float32 is the reference; auto takes a faster one only where it changes "
        "fewer than 1 label in 10,000 on a sample of the scene.",
    ),
]
WorkersOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--workers", min=1, metavar="N", help="Share the blocks out to N processes of this machine."),
]
SchedulerOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Share the blocks out to the workers of a Dask scheduler."),
]
SeamsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--verify-seams", min=0, metavar="N", help="Predict N random windows again, cut elsewhere, and tell the change."
    ),
]
RestartOption: TypeAlias = Annotated[
    bool, typer.Option("--restart", help="Discard an unfinished map instead of going on with it.")
]


def predict_options(  # noqa: PLR0913 - one parameter an option
    *,
    block: BlockOption = BLOCK_PX,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    device: DeviceOption = Device.AUTO,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    verify_seams: SeamsOption = 0,
    restart: RestartOption = False,
    force: ForceOption = False,
) -> PredictOptions:
    """Return what the options of the command say.

    Raises:
        InputError: As ``PredictOptions``.
    """
    return PredictOptions(
        engine=engine.value,
        precision=precision.value,
        device=device.value,
        block_px=block,
        workers=workers,
        scheduler=scheduler,
        restart=restart,
        force=force,
        verify_seams=verify_seams,
    )


with_predict_options = with_options(predict_options)
"""Gives a verb the options of ``predict_options`` in the place of its parameter ``options``."""
