"""Objects that a map sees surely, the image confirms, and labels lack."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely

from crispmap.events import SILENT, Events
from crispmap.labels.align.files import found_shifts
from crispmap.labels.align.objects import AlignRules, Reason
from crispmap.labels.geometry import Geometries
from crispmap.raster.scene import Scene
from crispmap.review.verdicts import ReviewRules
from crispmap.types import CountArray

_REACH_M = 3.0  # how far a footprint may be off: maps learned from shifted labels are


def confirmed(
    seen: gpd.GeoDataFrame, image: Scene, align: AlignRules, rules: ReviewRules, events: Events = SILENT
) -> gpd.GeoDataFrame:
    """Return the footprints of enough area that map and image are sure of, moved onto edges where these are sure.

    They are of enough confidence where edges of the image confirm them, else of half as much doubt at most.

    Args:
        seen: As from ``seen_footprints``.
        align: By which they are moved, as labels are, but by no more than _REACH_M.
    """
    sure = seen[(seen["confidence"] >= rules.min_confidence) & (seen["area_m2"] >= rules.min_area_m2)]
    if not len(sure):
        return sure
    found = found_shifts([sure], image, replace(align, max_shift_m=min(align.max_shift_m, _REACH_M)), events)
    (moved,) = found.applied([sure])
    by_map = moved["confidence"] >= 1 - (1 - rules.min_confidence) / 2
    kept = moved[(moved["align_reason"] == Reason.ALIGNED.value) | by_map]
    return kept[[*seen.columns]].reset_index(drop=True)


def lacking(seen: gpd.GeoDataFrame, labelled: Geometries) -> gpd.GeoDataFrame:
    """Return the footprints that no labelled object overlaps, and none of those returned with more confidence.

    Args:
        seen: Columns confidence and geometry.
        labelled: Polygons of all labelled objects in the CRS of ``seen``, where they were given and where they belong.
    """
    polygons = shapely.make_valid(labelled[shapely.get_dimensions(labelled) == 2])
    near = _overlaps(seen.geometry.to_numpy(), polygons)[0]
    free = seen.drop(index=seen.index[near]).sort_values("confidence", ascending=False, kind="stable")
    kept = np.ones(len(free), np.bool_)
    for place, surer in zip(*_overlaps(free.geometry.to_numpy(), free.geometry.to_numpy()), strict=True):
        if surer < place and kept[surer]:  # pairs come in the order of places
            kept[place] = False
    return free[kept].sort_index().reset_index(drop=True)


def _overlaps(shapes: Geometries, others: Geometries) -> tuple[CountArray, CountArray]:
    """Return the places of shapes and others that share area, in the order of shapes."""
    one, other = shapely.STRtree(others).query(shapes, predicate="intersects")
    sharing = shapely.area(shapely.intersection(shapes[one], others[other])) > 0
    order = np.argsort(one[sharing], kind="stable")
    return one[sharing][order], other[sharing][order]
