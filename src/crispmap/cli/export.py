"""The verb ``export``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption, JsonOption, grouped, notify_written

if TYPE_CHECKING:
    from crispmap.inference.runtimes.export import ExportedModel


@dataclass(frozen=True)
class ExportFlags:
    """What is written."""

    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file to write: .onnx, .xml for OpenVINO, or .pt2 for PyTorch.")
    ]
    refiner: Annotated[Path | None, typer.Option(help="A refiner, to be part of the graph.")] = None
    format: Annotated[
        Literal["onnx", "openvino", "torch"] | None,
        typer.Option(help="The format; by default as the name of the file ends.", show_default=False),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(min=1, metavar="PX", help="Fix height and width of the input, as QGIS's Deepness needs it."),
    ] = None
    gsd_m: Annotated[
        float | None,
        typer.Option(metavar="METRES", help="The pixel size both work at; by default that each was trained at."),
    ] = None
    scene: Annotated[
        str | None,
        typer.Option(help="A scene whose pixels the graph is compared on too: a path, STAC item or address."),
    ] = None


@grouped
def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A coarse network's model file.")],
    *,
    what: ExportFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model as one graph that other runtimes read: scaling, network, refiner and softmax.

    It takes raw pixels and gives the probabilities of the classes. Before the file appears it is read back and compared
    with PyTorch and with crispmap's own map; where a probability differs by more than 1e-4, nothing is written.
    """
    from crispmap.api.exporting import export_model

    begun = time.perf_counter()
    done = export_model(
        model, what.out, refiner=what.refiner, format=what.format, size_px=what.size, gsd_m=what.gsd_m,
        scene=what.scene, force=force,
    )  # fmt: skip
    _show(done, as_json)
    notify_written(done.paths, since=begun)


def _show(done: ExportedModel, as_json: bool) -> None:
    if as_json:
        print_json({
            "paths": done.paths, "format": done.format, "runtime": done.runtime,
            "differences": [vars(one) for one in done.differences], "stride_px": done.stride_px,
            "side_px": done.side_px, "context_px": done.context_px, "tile_px": done.tiles.side_px,
            "overlap_percent": done.tiles.overlap_percent,
        })  # fmt: skip
        return
    for one in done.differences:
        own = "not compared: the map blends tiles" if one.map is None else f"{one.map:.1e}"
        print_line(f"{one.pixels} pixels: largest difference from PyTorch {one.torch:.1e}, from the map {own}")
    if all(one.pixels == "random" for one in done.differences):
        notify("To compare on real pixels too, name a scene with --scene.")
    sides = "of any size" if done.side_px == 1 else f"with sides of multiples of {done.side_px} pixels"
    print_line(
        f"takes images {sides}; tiles begin at multiples of {done.stride_px} and overlap by {2 * done.context_px} "
        f"pixels, in Deepness {done.tiles.side_px} pixels that overlap by {done.tiles.overlap_percent} %"
    )
