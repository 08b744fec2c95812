"""A view: the layers that lie over each other on one page, and all else that is drawn on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from crispmap.errors import GridError
from crispmap.geo.crs import crs_name, to_lonlat
from crispmap.geo.grid import Block
from crispmap.viewer.base_map import BaseMap
from crispmap.viewer.layers import Layer
from crispmap.viewer.pyramid import TILE_PX, Pyramid

_LATTICE = 9  # nodes along each side at which the size of a pixel is measured


@dataclass(frozen=True)
class Outline:
    """An area on the ground that has a role."""

    role: str
    rings: tuple[tuple[tuple[float, float], ...], ...]  # points (col, row)


@dataclass(frozen=True)
class Arrow:
    """Where an object was moved from and to, as points (col, row)."""

    start: tuple[float, float]
    stop: tuple[float, float]
    confidence: float


@dataclass
class View:
    """What a page shows."""

    title: str
    pyramid: Pyramid
    layers: list[Layer] = field(default_factory=list)
    outlines: list[Outline] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)  # ids of the maps after 0, 1, .. iterations of a refiner
    notes: list[str] = field(default_factory=list)  # what was left out, and why
    base_map: BaseMap | None = None  # of streets, around it
    live: int | None = None  # of a run that is followed: how many views it has had before
    inputs: ExitStack = field(default_factory=ExitStack)  # closes what layers read besides their own files
    new_id: Callable[[], str] = field(default_factory=lambda: _ids().__next__)

    def layer(self, name: str) -> Layer | None:
        """Return the layer with an id."""
        return next((one for one in self.layers if one.id == name), None)

    def close(self) -> None:
        """Release all files."""
        for one in self.layers:
            one.source.close()
        self.inputs.close()


def _ids() -> Iterator[str]:
    return (f"l{number}" for number in count())


def facts_of(view: View) -> dict[str, Any]:
    """Return what the page must know of a view, as plain values; texts are as they were given, markup and all."""
    grid = view.pyramid.grid
    return {
        "title": view.title, "width": grid.width, "height": grid.height, "tile": TILE_PX,
        "levels": view.pyramid.levels, "crs": None if grid.crs is None else crs_name(grid.crs),
        "transform": list(grid.transform)[:6], "placed": grid.is_placed, "lattice": lattice_of(view.pyramid),
        "layers": [_layer_facts(one) for one in view.layers], "steps": view.steps, "notes": view.notes,
        "live": view.live, "base_map": None if view.base_map is None else view.base_map.facts(),
        "outlines": [{"role": one.role, "rings": one.rings} for one in view.outlines],
        "arrows": [[*one.start, *one.stop, round(one.confidence, 3)] for one in view.arrows],
    }  # fmt: skip


def _layer_facts(layer: Layer) -> dict[str, Any]:
    return {
        "id": layer.id, "name": layer.name, "kind": layer.kind, "stamp": layer.stamp(),
        "classes": [vars(one) for one in layer.classes], "ramp": layer.ramp, "bands": layer.bands,
        "coarsest": layer.coarsest, "growing": layer.growth is not None,
    }  # fmt: skip


def lattice_of(pyramid: Pyramid) -> dict[str, Any]:
    """Return the (x, y) size of a pixel in metres and its longitude and latitude at nodes all over the grid.

    Between them the page interpolates: lengths and areas are then those on the ellipsoid, in any CRS, without a server.
    Sizes without a CRS are in its own units; longitudes are null.
    """
    grid = pyramid.grid
    cols = [grid.width * index / (_LATTICE - 1) for index in range(_LATTICE)]
    rows = [grid.height * index / (_LATTICE - 1) for index in range(_LATTICE)]
    nodes = [(col, row) for row in rows for col in cols]
    return {"side": _LATTICE, "sizes": [_size(pyramid, *one) for one in nodes], "lonlat": _lonlat(pyramid, nodes)}


def _size(pyramid: Pyramid, col: float, row: float) -> tuple[float, float] | None:
    grid = pyramid.grid
    pixel = Block(min(int(row), grid.height - 1), min(int(col), grid.width - 1), 1, 1)
    try:
        return grid.window(pixel).gsd_m()
    except GridError:  # a corner that is not on earth
        return None


def _lonlat(pyramid: Pyramid, nodes: Sequence[tuple[float, float]]) -> list[tuple[float, float]] | None:
    crs = pyramid.grid.crs
    if crs is None:
        return None
    points = [pyramid.grid.transform @ node for node in nodes]
    try:
        lon, lat = to_lonlat(crs).transform([x for x, _ in points], [y for _, y in points])
    except GridError:
        return None
    return [(round(float(x), 9), round(float(y), 9)) for x, y in zip(lon, lat, strict=True)]
