"""The verb ``refine``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.options import (
    AssumeGsdOption,
    BandsOption,
    CertaintyOption,
    Choice,
    StoredScores,
    StoredScoresOption,
    notify_results,
    parse_bands,
)
from crispmap.cli.predict_options import with_predict_options
from crispmap.cli.progress import TerminalProgress
from crispmap.inference.options import PredictOptions


class ScoreKind(Choice):
    """What the values of a raster of scores are."""

    AUTO = "auto"
    LOGIT = "logit"
    PROBABILITY = "probability"


@with_predict_options
def refine(  # noqa: PLR0913 - one parameter an option
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="Scores, one band a class.")],
    *,
    scene: Annotated[str, typer.Option(help="The scene the scores were made from: a path, STAC item or address.")],
    refiner: Annotated[Path, typer.Option(help="The refiner's model file.")],
    out: Annotated[Path, typer.Option(help="The class map to write.")],
    refined_scores: Annotated[
        Path | None, typer.Option("--scores", help="The refined scores to write too, one band a class.")
    ] = None,
    certainty: CertaintyOption = None,
    scores_as: StoredScoresOption = StoredScores.FLOAT32,
    kind: Annotated[
        ScoreKind, typer.Option(help="What the scores are; auto infers it from their values.")
    ] = ScoreKind.AUTO,
    full_scale: Annotated[
        float | None, typer.Option(help="The value of whole numbers that stands for probability 1, such as 255.")
    ] = None,
    bands: BandsOption = None,
    assume_gsd_m: AssumeGsdOption = None,
    options: PredictOptions,
) -> None:
    """Sharpen the coarse scores of any tool with a trained refiner.

    Scores are logits, or probabilities from 0 to 1 or from 0 to 255; a single band is the second of two classes.
    A run that ends early loses nothing: the same command goes on from the blocks that are finished.
    """
    band_numbers = parse_bands(bands)
    from crispmap.inference.job import GivenScores
    from crispmap.inference.predict import Outputs, refine_scene
    from crispmap.raster.resolve import resolve_scenes

    begun = time.perf_counter()
    result = refine_scene(
        GivenScores(scores, kind.value, full_scale),
        resolve_scenes([scene], bands=band_numbers, assume_gsd_m=assume_gsd_m), refiner=refiner,
        outputs=Outputs(out, refined_scores, None, certainty, scores_as.value), options=options,
        events=TerminalProgress(),
    )  # fmt: skip
    notify_results([result], since=begun)
