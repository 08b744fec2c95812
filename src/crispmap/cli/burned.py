"""The verb ``burned``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ComputeFlags, ForceOption, JsonOption, grouped, notify_written
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.raster.compose.burned import BurnedArea


@dataclass(frozen=True)
class BurnFlags:
    """What is written, and what counts as burned."""

    out: Annotated[Path, typer.Option(help="The class map to write, a Cloud-Optimized GeoTIFF.")]
    dnbr: Annotated[Path | None, typer.Option(help="The dNBR to write too.")] = None
    threshold: Annotated[
        float | None,
        typer.Option(metavar="DNBR", help="From here on burned, such as 0.27; by default the USGS severity classes."),
    ] = None
    sensor: Annotated[
        str | None, typer.Option(metavar="NAME", help="The satellite; by default as the names of the files say.")
    ] = None
    like: Annotated[Path | None, typer.Option(help="A raster whose grid the map gets.")] = None


@grouped
def burned(
    before: Annotated[
        str, typer.Argument(metavar="BEFORE", help="The scene before the fire: a folder or pattern of a product, or a "
        "raster with bands named nir and swir2.")
    ],
    after: Annotated[
        list[str], typer.Argument(metavar="AFTER...", help="After it; of several dates, where NBR is lowest.")
    ],
    *,
    what: BurnFlags,
    how: ComputeFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Map burned area from scenes before and after a fire, by the difference of their NBR.

    A baseline with a legend: labels to begin with, and what a trained network has to beat.
    """
    begun = time.perf_counter()
    from crispmap.raster.compose.burned import BurnInputs, BurnRule, map_burned
    from crispmap.raster.compose.inputs import ComposeChoices

    done = map_burned(
        BurnInputs(before, after, ComposeChoices(sensor=what.sensor, like=what.like)), what.out,
        rule=BurnRule(what.threshold), dnbr=what.dnbr, options=how.options(force), events=shown_progress(),
    )  # fmt: skip
    _show(done, as_json)
    notify_written(done.run.paths, since=begun)


def _show(done: BurnedArea, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"id": index, "name": one.name, "pixels": done.pixels[index], "area_m2": done.area_m2[index]}
        for index, one in enumerate(done.schema)
    ]
    if as_json:
        print_json({"path": done.run.paths[0], "classes": rows, "ignored_pixels": done.pixels[255]})
        return
    for row in rows:
        share = 100 * row["pixels"] / done.pixels.sum()
        print_line(f"{row['name']:<24} {row['pixels']:>12} pixels  {share:6.2f} %  {row['area_m2'] / 1e4:12.2f} ha")
    if unknown := done.pixels[255]:
        print_line(f"{'no data':<24} {unknown:>12} pixels  {100 * unknown / done.pixels.sum():6.2f} %")
    if done.run.resumed:
        notify(f"Resumed: {done.run.resumed} of {done.run.blocks} blocks were finished already")
