"""The verb ``compose``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ComputeFlags, ForceOption, JsonOption, grouped, notify_written, words_of
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.raster.compose.inputs import ComposeChoices
    from crispmap.raster.compose.write import ComposedFile


@dataclass(frozen=True)
class ComposeFlags:
    """What the scene is made of, and the grid it gets."""

    sensor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The satellite whose files these are, such as landsat8, sentinel2 or cbers4a: bands get their "
            "standard names. By default as the names of the files say.",
        ),
    ] = None
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="How the names of its files begin, where a folder has several.")
    ] = None
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Bands and indices, in this order, such as red,green,blue,NDVI; by default all, of a "
            "satellite the reflective ones but coastal and pan.",
        ),
    ] = None
    index: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Further bands: NDVI, NBR, NDWI, MNDWI, EVI, dNBR.")
    ] = None
    extent: Annotated[
        Literal["intersection", "union"], typer.Option(help="The ground that all files cover, or that any does.")
    ] = "intersection"
    like: Annotated[Path | None, typer.Option(help="A raster whose grid the scene gets.")] = None
    gsd_m: Annotated[
        float | None, typer.Option(metavar="METRES", help="Pixel size; by default that of the finest band.")
    ] = None
    method: Annotated[
        Literal["auto", "average", "bilinear", "cubic", "nearest"],
        typer.Option(help="How bands of other pixels are resampled: auto averages finer ones, interpolates coarser."),
    ] = "auto"
    reflectance: Annotated[
        bool, typer.Option("--reflectance", help="Write reflectance, as the product says how values become it.")
    ] = False
    nodata: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE", help="The value of pixels without data in the inputs, in place of theirs; nan: none."
        ),
    ] = None
    out_nodata: Annotated[
        float | None, typer.Option(metavar="VALUE", help="The nodata value to write; by default that of the bands.")
    ] = None
    lowest: Annotated[
        str | None,
        typer.Option(metavar="INDEX", help="Each input is a date; take each pixel of that where this index is lowest."),
    ] = None

    def choices(self) -> ComposeChoices:
        """Return them as the library takes them."""
        from crispmap.raster.compose.inputs import ComposeChoices

        values = dict(vars(self))
        indices, bands = words_of(values.pop("index") or ""), values.pop("bands")
        return ComposeChoices(**values, bands=bands and tuple(words_of(bands)), indices=tuple(indices))


@grouped
def compose(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Rasters, patterns, addresses, or the folder of a product; NAME=INPUT names a band, such as "
            "red=B4.tif, or begins the names of several, such as before=FOLDER.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The scene to write, a Cloud-Optimized GeoTIFF.")],
    what: ComposeFlags,
    how: ComputeFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make one scene of bands on different grids, and of indices of them.

    Bands keep their values where their pixels are those of the scene, and are resampled or reprojected where not. The
    file does not depend on blocks and workers; a run that ends early goes on from its finished blocks.
    """
    begun = time.perf_counter()
    from crispmap.raster.compose.inputs import composed_ref
    from crispmap.raster.compose.write import write_composed

    ref = composed_ref(inputs, what.choices())
    done = write_composed(ref, out, options=how.options(force), events=shown_progress())
    if as_json:
        print_json(figures(done))
    else:
        _show(done)
    notify_written([out], since=begun)


def figures(done: ComposedFile) -> dict[str, object]:
    """Return what has been written as plain values."""
    return {
        "path": done.path, "height_px": done.grid.height, "width_px": done.grid.width, "gsd_m": done.grid.gsd_m(),
        "bands": done.band_names, "type": done.dtype, "nodata": done.nodata,
        "files": [vars(one) for one in done.coverage],
    }  # fmt: skip


def _show(done: ComposedFile) -> None:
    nodata = "no nodata value" if done.nodata is None else f"nodata {done.nodata:g}"
    grid = done.grid
    size = f"{grid.height} x {grid.width} pixels of {grid.mean_gsd_m():.6g} m"
    print_line(f"{', '.join(done.band_names)}: {size}, {done.dtype}, {nodata}")
    if done.run.resumed:
        notify(f"Resumed: {done.run.resumed} of {done.run.blocks} blocks were finished already")
