"""The verb ``predict``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify
from crispmap.cli.options import (
    AssumeGsdOption,
    BandsOption,
    CertaintyOption,
    StoredScores,
    StoredScoresOption,
    is_project,
    notify_results,
    parse_bands,
    quoted,
)
from crispmap.cli.predict_options import with_predict_options
from crispmap.cli.progress import TerminalProgress
from crispmap.errors import InputError
from crispmap.inference.options import PredictOptions


@with_predict_options
def predict(  # noqa: PLR0913 - one parameter an option
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            help="A project file or its folder; or, with --model, scenes: paths, patterns such as 'tiles/*.tif', STAC "
            "items, addresses.",
            show_default="project.yaml",
        ),
    ] = None,
    *,
    model: Annotated[Path | None, typer.Option(help="A coarse network, to map scenes with.")] = None,
    refiner: Annotated[Path | None, typer.Option(help="A refiner, to sharpen the maps with.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The class map to write; for several scenes, the folder of their maps.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="The scores to write too, one band a class; a folder for several scenes.")
    ] = None,
    coarse: Annotated[
        Path | None, typer.Option("--coarse-scores", help="The scores before refinement to write too, likewise.")
    ] = None,
    certainty: CertaintyOption = None,
    scores_as: StoredScoresOption = StoredScores.FLOAT32,
    bands: BandsOption = None,
    assume_gsd_m: AssumeGsdOption = None,
    options: PredictOptions,
) -> None:
    """Map a project's scene with its trained models, or any scenes with model files.

    The map is the same whatever the size of the blocks and the number of workers. A run that ends early, for whatever
    reason, loses nothing: the same command goes on from the blocks that are finished.
    """
    begun = time.perf_counter()
    targets = targets or ["project.yaml"]
    if model is None:
        scene_options: dict[str, object] = {
            "--refiner": refiner,
            "--out": out,
            "--scores": scores,
            "--coarse-scores": coarse,
            "--certainty": certainty,
            "--bands": bands,
            "--assume-gsd-m": assume_gsd_m,
        }
        project = _checked_project(targets, scene_options)
        from crispmap.project.run import predict_project

        results = predict_project(project, options=options, events=TerminalProgress())
        notify_results(results, since=begun)
        if len(results[0].paths) > 2:  # without a reference there is no refined map, and nothing to score against
            notify(f"Next: crispmap evaluate {quoted(project)}")
        return
    if out is None:
        raise InputError(
            "predict --model needs a file to write to.",
            expected="--out with the path of the class map",
            remedy="Add --out map.tif",
        )
    band_numbers = parse_bands(bands)
    from crispmap.inference.predict import Outputs, predict_scenes
    from crispmap.raster.resolve import resolve_scenes

    results = predict_scenes(
        resolve_scenes(targets, bands=band_numbers, assume_gsd_m=assume_gsd_m), model=model, refiner=refiner,
        outputs=Outputs(out, scores, coarse, certainty, scores_as.value), options=options, events=TerminalProgress(),
    )  # fmt: skip
    notify_results(results, since=begun)


def _checked_project(targets: list[str], options: dict[str, object]) -> Path:
    """Return the one target as a project, sure that it is one and comes without options meant for scenes."""
    if len(targets) > 1:
        raise InputError(
            f"{len(targets)} targets are given, but no --model.",
            expected="one project file, or scenes with --model",
            remedy="Add --model coarse.safetensors to map scenes.",
        )
    target = Path(targets[0])
    given = [name for name, value in options.items() if value is not None]
    if not is_project(target):
        raise InputError(
            f"{target} is not a project file, and no --model is given.",
            expected="a project file, or a scene with --model",
            remedy="Add --model coarse.safetensors to map a scene.",
        )
    if given:
        raise InputError(
            f"{', '.join(given)} does not go with a project file.",
            expected="these options only with --model",
            remedy="Set them in the project file, or give a scene and --model.",
        )
    return target
