"""The verb ``pansharpen``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import (
    ComputeFlags,
    ForceOption,
    JsonOption,
    grouped,
    notify_written,
    parse_bands,
    words_of,
)
from crispmap.cli.progress import shown_progress
from crispmap.errors import InputError

if TYPE_CHECKING:
    from crispmap.raster.pansharpen.run import Pansharpened, PansharpenOptions
    from crispmap.raster.refs import SceneRef


@dataclass(frozen=True)
class PansharpenFlags:
    """How scenes are pansharpened."""

    method: Annotated[
        Literal["brovey", "ihs", "gs", "gsa", "pca", "hpm"],
        typer.Option(help="How detail is put into the bands: high-pass modulation by default; see the guide."),
    ] = "hpm"
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS", help="Weights of the bands in the intensity, such as 0.4,0.3,0.3: for brovey, ihs, gs."
        ),
    ] = None
    register: Annotated[
        bool, typer.Option("--register", help="Measure how far the scenes lie apart, and undo it where that is sure.")
    ] = False
    quality: Annotated[
        bool, typer.Option("--quality", help="Score the result, as it is and at degraded resolution.")
    ] = False

    dtype: Annotated[
        Literal["same", "float32"],
        typer.Option(help="The type of the values: that of the multispectral scene, or this."),
    ] = "same"

    def options(self) -> PansharpenOptions:
        """Return them as the library takes them."""
        from crispmap.raster.pansharpen.run import PansharpenOptions

        return PansharpenOptions(self.method, _numbers(self.weights), self.register, self.quality, self.dtype)


@dataclass(frozen=True)
class ReadFlags:
    """How both scenes are read."""

    bands: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="Bands of the multispectral scene, such as 3,2,1.")
    ] = None
    pan_band: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="The panchromatic band of a file with several.")
    ] = None
    nodata: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="The value of pixels without data, in place of the files' own; nan: none."),
    ] = None

    def scenes(self, files: list[str]) -> tuple[SceneRef, SceneRef]:
        """Return the multispectral scene and the panchromatic one, which is named last."""
        from crispmap.raster.compose.inputs import one_scene
        from crispmap.raster.resolve import resolve_scenes

        *bands, last = files
        pan = resolve_scenes([last], nodata=self.nodata)
        if not bands or len(pan) > 1:
            raise InputError(
                "One scene is given." if not bands else f"{last} stands for {len(pan)} scenes.",
                expected="the multispectral scene or its bands, and then the panchromatic one",
                remedy="Write both: crispmap pansharpen multispectral.tif panchromatic.tif --out sharp.tif",
            )
        multispectral = one_scene(bands).choosing(bands=parse_bands(self.bands), nodata=self.nodata)
        return multispectral, pan[0].choosing(bands=None if self.pan_band is None else (self.pan_band,))


@dataclass(frozen=True)
class RunFlags(ComputeFlags):
    """How the image is computed and written."""

    force: ForceOption = False


@grouped
def pansharpen(
    scenes: Annotated[
        list[str],
        typer.Argument(metavar="MULTISPECTRAL... PAN", help="Multispectral bands, and the panchromatic one."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The image to write, a GeoTIFF on the panchromatic pixels.")],
    how: PansharpenFlags,
    read: ReadFlags,
    run: RunFlags,
    as_json: JsonOption = False,
) -> None:
    """Put the detail of a panchromatic scene into a multispectral one.

    Pixels of any ratio of sizes and any offset are brought together by their coordinates. A pixel is nodata where
    either scene is. A run that is killed goes on where it was when the same command is given again.
    """
    from crispmap.raster.pansharpen.run import figures_of, pansharpen_files

    began = time.perf_counter()
    multispectral, pan = read.scenes(scenes)
    made = pansharpen_files(multispectral, pan, out, how.options(), run.options(run.force), shown_progress())
    if as_json:
        print_json(figures_of(made))
    else:
        _show(made)
    if made.written.resumed:
        notify(f"Resumed: {made.written.resumed} of {made.written.blocks} blocks were finished already")
    notify_written([out], since=began)


def _show(made: Pansharpened) -> None:
    if made.shift is not None:
        one = made.shift
        print_line(
            f"multispectral off by {one.cols_px:.3f} columns, {one.rows_px:.3f} rows of its pixels "
            f"(standard error {one.error_px:.3f}): {'undone' if one.is_sure else 'left'}"
        )
    for title, figures in (("without reference", made.without_reference), ("degraded, against itself", made.degraded)):
        if figures is not None:
            print_line(f"{title:<26}" + "  ".join(f"{name} {value:.4f}" for name, value in vars(figures).items()))


def _numbers(text: str | None) -> tuple[float, ...] | None:
    """Return numbers from text; None where none are given."""
    if text is None:
        return None
    try:
        return tuple(float(word) for word in words_of(text))
    except ValueError:
        raise InputError(
            f"--weights is {text!r}.", expected="numbers separated by commas, such as 0.4,0.3,0.3"
        ) from None
