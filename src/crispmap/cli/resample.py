"""The verb ``resample``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ComputeFlags, ForceOption, JsonOption, grouped, named_classes, notify_written
from crispmap.cli.progress import shown_progress


@dataclass(frozen=True)
class ResampleFlags:
    """The pixels that the raster gets."""

    gsd_m: Annotated[float, typer.Option(metavar="METRES", help="The pixel size to write.")]
    method: Annotated[
        Literal["auto", "average", "bilinear", "cubic", "nearest", "mode", "share"],
        typer.Option(
            help="auto: of images means of what a coarser pixel covers, linear interpolation for finer ones; of class "
            "maps the class that covers most (mode). share: one band a class, the share that it covers."
        ),
    ] = "auto"
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES|FILE",
            help="The classes of a map that does not carry them: presets, after a background, or a YAML file.",
        ),
    ] = None


@grouped
def resample(
    raster: Annotated[Path, typer.Argument(metavar="RASTER", help="An image or a class map.")],
    *,
    out: Annotated[Path, typer.Option(help="The raster to write, a Cloud-Optimized GeoTIFF.")],
    pixels: ResampleFlags,
    how: ComputeFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write an image or a class map at another pixel size.

    The file does not depend on blocks and workers; a run that ends early goes on from its finished blocks.
    """
    begun = time.perf_counter()
    from crispmap.raster.resampled_file import Resampling, resample_file

    wanted = Resampling(pixels.gsd_m, pixels.method, named_classes(pixels.classes))
    run, grid = resample_file(raster, out, wanted, options=how.options(force), events=shown_progress())
    if as_json:
        print_json({"path": out, "height_px": grid.height, "width_px": grid.width, "gsd_m": grid.gsd_m()})
    else:
        print_line(f"{grid.height} x {grid.width} pixels of {grid.mean_gsd_m():.6g} m")
        if run.resumed:
            notify(f"Resumed: {run.resumed} of {run.blocks} blocks were finished already")
    notify_written([out], since=begun)
