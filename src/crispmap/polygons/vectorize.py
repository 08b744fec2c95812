"""Class maps as polygons: a feature for each connected region of a class, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import numpy as np

from crispmap.events import SILENT, Events, Progress, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.polygons.beside import Beside
from crispmap.polygons.class_raster import ALL, ClassRaster
from crispmap.polygons.features import ClassPolygons, Coverage, Footprints, Outlines, Roads
from crispmap.polygons.regions import RegionBatch, RegionTracer
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.strips import Strips
from crispmap.polygons.style import symbols_style
from crispmap.polygons.vector_file import VectorFile
from crispmap.raster.targets import check_paths

_POINTS = 1 << 17  # corners made into polygons at once
_DRAWN: dict[str | None, type[Outlines]] = {"buildings": Footprints, "roads": Roads, "landcover": Coverage}


def vectorize_file(
    path: str | Path,
    out: str | Path,
    rules: PolygonRules | None = None,
    *,
    force: bool = False,
    strip_rows: int | None = None,
    events: Events = SILENT,
) -> list[ClassPolygons]:
    """Write the connected regions of a class map as polygons, and return the totals of each class.

    A region is connected through the sides of its pixels (4-connectivity), not through corners. Its polygon follows the
    sides of the pixels, with holes. Nodata is never a polygon. Attributes: class_id, class_name, area_m2, the ground
    area of the region's pixels, which simplifying does not change, and confidence, where a raster of it is given, its
    mean over these. Features are ordered by their last row, then by their first pixel; neither they nor their order
    depends on ``strip_rows``. Rasterized on the map's grid, they give the map again where no region joins another.
    Memory holds one strip and the regions that cross its lower edge; where small regions join others, or with a
    confidence, also a table of the regions, and the map is read twice.

    The preset ``buildings`` gives outlines right angles where these fit, and splits touching buildings where scores
    say so; no two overlap, and area_m2 is that of the footprint. The preset
    ``roads`` gives centrelines with length_m and width_m instead of polygons, the preset ``landcover`` polygons that
    share every border when simplified. All three keep what they draw until the end.

    Args:
        path: A class map, or any raster with one band of integers.
        out: GeoPackage, GeoJSON, FlatGeobuf or GeoParquet, by suffix.
        rules: By default all regions of every class but 0, not simplified.

    Raises:
        GridError: If the map's CRS is not tied to the earth, or confidence or scores have other pixels than the map.
        OutputError: If the file exists without ``force``, is the map, has an unknown format or one that cannot hold the
            coordinates, or cannot be written.
        SceneError: If the map is missing, not a raster, or holds no class ids; or confidence or scores are neither.
        SchemaError: If a class is not one of the map's, a preset finds no class of its name, or scores are of other
            classes.
    """
    rules = rules or PolygonRules()
    beside = [one for one in (rules.confidence, rules.scores) if one is not None]
    check_paths([Path(out)], [Path(path), *beside])
    with few_blocks_kept(), ExitStack() as stack:
        raster = stack.enter_context(ClassRaster(path))
        names, numbers = rules.names(raster), rules.numbers(raster)
        everything = names is not None and tuple(names) == (ALL,)
        ids = raster.ids_of(None if everything else names)
        strips = Strips(raster, ids, background=everything, rows=strip_rows)
        scores = _opened(rules.scores, raster, stack)
        confidence = scores if rules.confidence is None else _opened(rules.confidence, raster, stack)
        if scores is not None:
            scores.check_classes(raster)
        twice = numbers.cleans or confidence is not None
        kind = "LineString" if rules.preset == "roads" else "Polygon"
        known = range(0 if everything else 1, len(raster.schema) if raster.schema is not None else 0)
        listed = list(known if ids is None else ids)  # even without polygons
        style = None if raster.schema is None else symbols_style(raster.schema, listed, "class_id", kind)
        file = VectorFile(out, raster.grid, kind=kind, style=style, force=force)
        running = stack.enter_context(progress(events, "polygons", math.prod(raster.grid.shape) * (1 + twice)))
        if twice:
            strips.survey(numbers, confidence, running)
        with file:
            drawing = _DRAWN.get(rules.preset, Outlines)(raster, file, strips, numbers, confidence, scores)
            drawing.several = ids is None or len(ids) > 1
            for class_id in listed:
                drawing.tally(class_id)
            _draw(drawing, RegionTracer(raster.grid.width, nodes=numbers.simplify_m > 0), running)
    return [drawing.tallies[class_id] for class_id in sorted(drawing.tallies)]


def _opened(path: Path | None, raster: ClassRaster, stack: ExitStack) -> Beside | None:
    return None if path is None else stack.enter_context(closing(Beside(path, raster)))


def _draw(drawing: Outlines, tracer: RegionTracer, running: Progress) -> None:
    """Draw the regions of a map."""
    drawing.begin()
    for strip in drawing.strips:
        for part in _parts(tracer.push(strip)):
            drawing.add(part)
        running.advance(strip.size)
    for part in _parts(tracer.finish()):
        drawing.add(part)
    drawing.finish()


def _parts(batch: RegionBatch) -> Iterator[RegionBatch]:
    """Yield the regions of a batch in parts of a bounded number of corners."""
    corners = np.bincount(batch.rings.owner, weights=batch.rings.lengths, minlength=len(batch)).astype(np.int64)
    part = np.cumsum(corners) // _POINTS
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(batch)]
    for first, stop in pairwise(edges):
        yield batch if len(edges) == 2 else batch.taken(np.arange(first, stop))
