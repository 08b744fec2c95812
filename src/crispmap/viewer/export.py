"""A view as a folder of files, which any web server shows as the command does, without Python."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crispmap.errors import InputError, OutputError
from crispmap.events import SILENT, Events, progress
from crispmap.viewer.answer import PAGE_FILES, page_file
from crispmap.viewer.answers import places_of
from crispmap.viewer.layers import Layer
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.tiles import TilePlace, painted
from crispmap.viewer.view import View, facts_of

MOST_BYTES = 1_000_000_000
"""What a folder may hold: as much as free hosts of static pages take."""
_SAMPLED = 24  # tiles of each layer from which the size is estimated
_SUFFIX = {"image": "webp"}


def export_view(view: View, folder: Path, *, force: bool = False, events: Events = SILENT) -> Path:
    """Write a view as a folder of pre-rendered tiles and the page; return the page.

    The page shows the same but for figures at a point other than classes. Layers that are computed step by step are
    left out, and named in its notes.

    Args:
        force: Whether an existing folder may be replaced.

    Raises:
        InputError: If it would be larger than MOST_BYTES.
        OutputError: If the folder exists and ``force`` is not given, or cannot be written.
        SceneError: If a layer cannot be read.
    """
    _check_target(folder, force=force)
    layers = [one for one in view.layers if one.coarsest is None]
    size = sum(_estimated(view.pyramid, one) for one in layers)
    if size > MOST_BYTES:
        raise InputError(
            f"The page of {len(layers)} layers of {view.pyramid.grid.height} x {view.pyramid.grid.width} pixels would "
            f"take about {size / 1e9:.1f} GB.",
            expected=f"at most {MOST_BYTES / 1e9:.0f} GB",
            remedy="Export fewer layers, or coarser ones: crispmap resample makes them.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            made = Path(scratch, "page")
            _write(view, layers, made, events)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}.", expected="a folder that can be made",
            remedy="Free some space, or give another folder.",
        ) from error  # fmt: skip
    return folder / "index.html"


def _check_target(folder: Path, *, force: bool) -> None:
    """Raise OutputError where a folder is in the way; what is no page of ours is never removed."""
    if not folder.exists():
        return
    ours = folder.is_dir() and ((folder / "view.json").is_file() or not any(folder.iterdir()))
    if not ours:
        raise OutputError(f"{folder} exists and is no exported view.", expected="a new folder",
                          remedy="Give another folder.")  # fmt: skip
    if not force and any(folder.iterdir()):
        raise OutputError(f"{folder} exists.", expected="a new folder", remedy="Give force=True to replace it.")


def _places(pyramid: Pyramid) -> Iterator[TilePlace]:
    for level in range(pyramid.levels):
        rows, cols = pyramid.tiles(level)
        for row in range(rows):
            for col in range(cols):
                yield TilePlace(level, col, row)


def _estimated(pyramid: Pyramid, layer: Layer) -> float:
    """Return about how many bytes the tiles of a layer take, from tiles of the level with most of them."""
    rows, cols = pyramid.tiles(0)
    chosen = np.unique(np.linspace(0, rows * cols - 1, _SAMPLED).round().astype(int))
    sizes = [painted(layer, pyramid, TilePlace(0, int(one) % cols, int(one) // cols), lasting=True) for one in chosen]
    return float(np.mean([len(one.content) for one in sizes if one is not None]) * pyramid.tile_count)


def _write(view: View, layers: list[Layer], folder: Path, events: Events) -> None:
    folder.mkdir()
    for name in PAGE_FILES:
        (folder / name).write_bytes(page_file(name))
    left_out = [one.name for one in view.layers if one not in layers]
    facts = facts_of(view)
    kept = {one.id for one in layers}
    facts |= {
        "static": True,
        "live": None,
        "steps": [],
        "layers": [one for one in facts["layers"] if one["id"] in kept],
    }
    if left_out:
        facts["notes"] = [*facts["notes"], f"Not in this copy: {', '.join(left_out)}."]
    (folder / "view.json").write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")
    with progress(events, "export", view.pyramid.tile_count * len(layers), "tiles") as running:
        for layer in layers:
            if layer.kind == "errors":
                (folder / "worst").mkdir(exist_ok=True)
                (folder / "worst" / f"{layer.id}.json").write_text(json.dumps(places_of(view, layer)), encoding="utf-8")
            for place in _places(view.pyramid):
                _write_tile(folder, layer, view.pyramid, place)
                running.advance(1)


def _write_tile(folder: Path, layer: Layer, pyramid: Pyramid, place: TilePlace) -> None:
    picture = painted(layer, pyramid, place, lasting=True)
    if picture is None:
        return
    name = f"{place.row}.{_SUFFIX.get(layer.kind, 'png')}"
    path = folder / "tiles" / layer.id / str(place.level) / str(place.col) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.content)
