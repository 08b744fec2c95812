"""The verb ``refine``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from crispmap.cli.live import ViewFlags, shown_live
from crispmap.cli.options import OutputFlags, PredictFlags, SceneFlags, grouped, notify_results


@dataclass(frozen=True)
class ScoreFlags:
    """Where scores come from, what they are, and where the map goes."""

    scene: Annotated[str, typer.Option(help="The scene the scores were made from: a path, STAC item or address.")]
    out: Annotated[Path, typer.Option(help="The class map to write.")]
    refiner: Annotated[
        Path | None, typer.Option(help="The refiner's model file; by default the shipped one, for any classes.")
    ] = None
    kind: Annotated[
        Literal["auto", "logit", "probability"],
        typer.Option(help="What the scores are; auto infers it from their values."),
    ] = "auto"
    full_scale: Annotated[
        float | None, typer.Option(help="The value of whole numbers that stands for probability 1, such as 255.")
    ] = None


@grouped
def refine(
    raster: Annotated[Path, typer.Argument(metavar="SCORES", help="Scores, one band a class.")],
    *,
    given: ScoreFlags,
    written: OutputFlags,
    read: SceneFlags,
    how: PredictFlags,
    page: ViewFlags,
) -> None:
    """Sharpen the coarse scores of any tool with a trained refiner, or with the one in this package.

    Scores are logits, or probabilities from 0 to 1 or from 0 to 255; a single band is the second of two classes.
    A run that ends early loses nothing: the same command goes on from the blocks that are finished.
    """
    choices = read.choices()
    from crispmap.inference.job import GivenScores
    from crispmap.inference.predict import refine_scene
    from crispmap.raster.resolve import resolve_scenes

    begun = time.perf_counter()
    with shown_live(page, "refine", scenes=[given.scene], choices=choices) as events:
        result = refine_scene(
            GivenScores(raster, given.kind, given.full_scale), resolve_scenes([given.scene], **choices),
            refiner=given.refiner, outputs=written.outputs(given.out), options=how.options(), events=events,
        )  # fmt: skip
        notify_results([result], since=begun)
