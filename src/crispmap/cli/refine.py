"""The verb ``refine``."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import progress_bar
from crispmap.cli.options import (
    BLOCK_PX,
    AssumeGsdOption,
    BandsOption,
    BlockOption,
    Device,
    DeviceOption,
    ForceOption,
    parse_bands,
    tell_written,
)


class ScoreKind(str, Enum):  # noqa: UP042 - as a StrEnum, typer would show its members' names
    """What the values of a raster of scores are."""

    AUTO = "auto"
    LOGIT = "logit"
    PROBABILITY = "probability"


def refine(  # noqa: PLR0913 - one parameter an option
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="Scores, one band a class.")],
    *,
    scene: Annotated[Path, typer.Option(help="The scene the scores were made from.")],
    refiner: Annotated[Path, typer.Option(help="The refiner's model file.")],
    out: Annotated[Path, typer.Option(help="The class map to write.")],
    refined_scores: Annotated[
        Path | None, typer.Option("--scores", help="The refined scores to write too, one band a class.")
    ] = None,
    kind: Annotated[
        ScoreKind, typer.Option(help="What the scores are; auto tells it from their values.")
    ] = ScoreKind.AUTO,
    full_scale: Annotated[
        float | None, typer.Option(help="The value of whole numbers that stands for probability 1, such as 255.")
    ] = None,
    bands: BandsOption = None,
    assume_gsd_m: AssumeGsdOption = None,
    block: BlockOption = BLOCK_PX,
    force: ForceOption = False,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Sharpen the coarse scores of any tool with a trained refiner.

    Scores are logits, or probabilities from 0 to 1 or from 0 to 255; a single band is the second of two classes.
    """
    band_numbers = parse_bands(bands)
    from crispmap.workflow.scene import refine_scene

    begun = time.perf_counter()
    with progress_bar("Refining") as progress:
        written = refine_scene(
            scores,
            scene=scene,
            refiner=refiner,
            out=out,
            refined_scores=refined_scores,
            kind=kind.value,
            full_scale=full_scale,
            bands=band_numbers,
            assume_gsd_m=assume_gsd_m,
            block_px=block,
            device=device.value,
            force=force,
            progress=progress,
        )
    tell_written(written, since=begun)
