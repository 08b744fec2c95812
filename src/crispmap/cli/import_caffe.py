"""The verb ``import-caffe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption, JsonOption, notify_written, quoted


def import_caffe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .caffemodel that was saved in training.")],
    *,
    out: Annotated[Path, typer.Option(help="The model file to write.")],
    gsd_m: Annotated[
        float | None,
        typer.Option(help="Side in metres of the pixels it was trained on; known for the four published networks."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a network that was trained with Caffe to a model file, which predicts like any other.

    The four that Maggiori et al. published find buildings: two for pixels of 0.3 m (Inria), one for 0.5 m
    (Pleiades), one for 1 m (Boston). Scenes with other pixels are resampled. Their bands are red, green, blue.
    """
    from crispmap.project.import_caffe import import_caffe as imported

    card = imported(file, out, gsd_m=gsd_m, force=force)
    facts = {
        "network": card.provenance.get("network", card.provenance["caffe_network"]),
        "classes": ", ".join(card.schema.names), "bands": ", ".join(card.band_names), "gsd_m": card.gsd_m,
        "layers": len(card.arguments["layers"]), "radius_px": card.radius_px,
        "licence_of_weights": card.provenance.get("licence_of_weights"),
    }  # fmt: skip
    if as_json:
        print_json({"path": out, **facts})
    else:
        for name, value in facts.items():
            print_line(f"{name.replace('_', ' ') + ':':<20} {'not known' if value is None else value}")
    notify_written([out])
    notify(f"Next: crispmap predict scene.tif --model {quoted(out)} --out map.tif")
