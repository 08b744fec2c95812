"""The verb ``predict``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import progress_bar, tell
from crispmap.cli.options import (
    BLOCK_PX,
    AssumeGsdOption,
    BandsOption,
    BlockOption,
    Device,
    DeviceOption,
    ForceOption,
    parse_bands,
    quoted,
    tell_written,
)
from crispmap.errors import InputError

_PROJECT_SUFFIXES = (".yaml", ".yml")


def predict(  # noqa: PLR0913 - one parameter an option
    target: Annotated[
        Path,
        typer.Argument(metavar="TARGET", help="A project file or its folder; or, with --model, any scene."),
    ] = Path("project.yaml"),
    *,
    model: Annotated[Path | None, typer.Option(help="A coarse network, to map a scene with.")] = None,
    refiner: Annotated[Path | None, typer.Option(help="A refiner, to sharpen the map with.")] = None,
    out: Annotated[Path | None, typer.Option(help="The class map to write.")] = None,
    scores: Annotated[Path | None, typer.Option(help="The scores to write too, one band a class.")] = None,
    coarse: Annotated[
        Path | None, typer.Option("--coarse-scores", help="The scores before refinement to write too.")
    ] = None,
    bands: BandsOption = None,
    assume_gsd_m: AssumeGsdOption = None,
    block: BlockOption = BLOCK_PX,
    force: ForceOption = False,
    device: DeviceOption = Device.AUTO,
) -> None:
    """Map a project's scene with its trained models, or any scene with model files.

    The map is the same whatever the size of the blocks.
    """
    begun = time.perf_counter()
    if model is None:
        _check_project(
            target,
            {
                "--refiner": refiner,
                "--out": out,
                "--scores": scores,
                "--coarse-scores": coarse,
                "--bands": bands,
                "--assume-gsd-m": assume_gsd_m,
            },
        )
        from crispmap.workflow.project import predict_project

        with progress_bar("Mapping") as progress:
            written = predict_project(target, block_px=block, device=device.value, force=force, progress=progress)
    else:
        if out is None:
            raise InputError(
                "predict --model has no file to write to.",
                expected="--out with the path of the class map",
                remedy="Add --out map.tif",
            )
        band_numbers = parse_bands(bands)
        from crispmap.workflow.scene import predict_scene

        with progress_bar("Mapping") as progress:
            written = predict_scene(
                target,
                model=model,
                refiner=refiner,
                out=out,
                scores=scores,
                coarse=coarse,
                bands=band_numbers,
                assume_gsd_m=assume_gsd_m,
                block_px=block,
                device=device.value,
                force=force,
                progress=progress,
            )
    tell_written(written, since=begun)
    if model is None and len(written) > 2:  # without a reference there is no refined map, and nothing to score against
        tell(f"Next: crispmap evaluate {quoted(target)}")


def _check_project(target: Path, options: dict[str, object]) -> None:
    """Raise InputError unless a target is a project, and comes without options meant for a scene."""
    given = [name for name, value in options.items() if value is not None]
    if target.suffix.lower() not in _PROJECT_SUFFIXES and not target.is_dir():
        raise InputError(
            f"{target} is no project file, and there is no --model.",
            expected="a project file, or a scene with --model",
            remedy="Add --model coarse.safetensors to map a scene.",
        )
    if given:
        raise InputError(
            f"{', '.join(given)} does not go with a project file.",
            expected="these only beside --model",
            remedy="Set such things in the project file; or give a scene and --model.",
        )
