"""The verb ``predict``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify
from crispmap.cli.live import ViewFlags, shown_live
from crispmap.cli.options import OutputFlags, PredictFlags, SceneFlags, grouped, is_project, notify_results, quoted
from crispmap.errors import InputError


@dataclass(frozen=True)
class ModelFlags:
    """The models that map scenes, and where the maps go."""

    model: Annotated[Path | None, typer.Option(help="A coarse network, to map scenes with.")] = None
    refiner: Annotated[Path | None, typer.Option(help="A refiner, to sharpen the maps with.")] = None
    out: Annotated[
        Path | None, typer.Option(help="The class map to write; for several scenes, the folder of their maps.")
    ] = None
    coarse_scores: Annotated[
        Path | None, typer.Option(help="The scores before refinement to write too; for several scenes, a folder.")
    ] = None


@grouped
def predict(
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
    models: ModelFlags,
    written: OutputFlags,
    read: SceneFlags,
    how: PredictFlags,
    page: ViewFlags,
) -> None:
    """Map a project's scene with its trained models, or any scenes with model files.

    The map does not depend on the size of the blocks and the number of workers. A run that ends early, for whatever
    reason, loses nothing: the same command goes on from the blocks that are finished.
    """
    begun = time.perf_counter()
    targets = targets or ["project.yaml"]
    if models.model is None:
        project = _checked_project(targets, vars(models) | vars(written) | vars(read) | {"scores_as": None})
        from crispmap.project.run import predict_project

        with shown_live(page, "predict", project=str(project)) as events:
            results = predict_project(project, options=how.options(), events=events)
            notify_results(results, since=begun)
            if len(results[0].paths) > 2:  # without a reference there is no refined map, and nothing to score against
                notify(f"Next: crispmap evaluate {quoted(project)}")
        return
    if models.out is None:
        expected = "--out with the path of the class map"
        raise InputError("predict --model needs a file to write to.", expected=expected, remedy="Add --out map.tif")
    choices = read.choices()
    from crispmap.inference.predict import predict_scenes
    from crispmap.raster.resolve import resolve_scenes

    with shown_live(page, "predict", scenes=targets, choices=choices) as events:
        results = predict_scenes(
            resolve_scenes(targets, **choices), model=models.model, refiner=models.refiner,
            outputs=written.outputs(models.out, models.coarse_scores), options=how.options(), events=events,
        )  # fmt: skip
        notify_results(results, since=begun)


def _checked_project(targets: list[str], options: dict[str, object]) -> Path:
    """Return the one target as a project, after checking that it is one and comes without options for scenes."""
    target, expected = Path(targets[0]), "one project file, or scenes with --model"
    add = "Add --model coarse.safetensors to map scenes."
    if len(targets) > 1:
        raise InputError(f"{len(targets)} targets are given, but no --model.", expected=expected, remedy=add)
    if not is_project(target):
        raise InputError(f"{target} is not a project file, and no --model is given.", expected=expected, remedy=add)
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise InputError(
            f"{', '.join(given)} does not go with a project file.", expected="these options only with --model",
            remedy="Set them in the project file, or give a scene and --model.",
        )  # fmt: skip
    return target
