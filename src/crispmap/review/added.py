"""Objects that a map sees surely and labels lack."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from crispmap.labels.geometry import Geometries
from crispmap.review.verdicts import ReviewRules


def lacking(seen: gpd.GeoDataFrame, labelled: Geometries, rules: ReviewRules) -> gpd.GeoDataFrame:
    """Return the footprints that no labelled object overlaps, of enough confidence and area.

    Args:
        seen: As from ``seen_footprints``.
        labelled: Polygons of all labelled objects in the CRS of ``seen``, where they were given and where they belong.
    """
    sure = seen[(seen["confidence"] >= rules.min_confidence) & (seen["area_m2"] >= rules.min_area_m2)]
    shapes = sure.geometry.to_numpy()
    polygons = shapely.make_valid(labelled[shapely.get_dimensions(labelled) == 2])
    one, other = shapely.STRtree(polygons).query(shapes, predicate="intersects")
    common = shapely.area(shapely.intersection(shapes[one], polygons[other]))
    free = np.ones(len(sure), np.bool_)
    free[one[common > 0]] = False
    return sure[free].reset_index(drop=True)
