"""Labels that a network learns from, set right object by object."""

from __future__ import annotations

import geopandas as gpd
import numpy as np

from crispmap.events import SILENT, Events
from crispmap.labels.align.files import Alignment, in_pixels, moved
from crispmap.labels.align.objects import AlignRules, Reason, shifts_of
from crispmap.labels.offset_sample import as_compared
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE

_DOUBTFUL = (Reason.UNSURE, Reason.NO_SUPPORT)


def aligned_features(
    features: gpd.GeoDataFrame, scene: Scene, rules: AlignRules, events: Events = SILENT
) -> tuple[gpd.GeoDataFrame, Alignment]:
    """Return features moved to where a scene shows them, and what became of them.

    Of polygons that the scene shows nowhere for sure the class is IGNORE, so that nothing is learned there.

    Args:
        features: Columns geometry and class_id, as from ``read_vectors``.
    """
    target = as_compared(scene, rules.max_shift_m)
    shapes = features.geometry.to_numpy()
    shifts = shifts_of(list(in_pixels(shapes, features.crs, target.grid)), target, rules, events=events)
    doubtful = np.array([one.reason in _DOUBTFUL for one in shifts], dtype=bool)
    found = features.set_geometry(gpd.GeoSeries(moved(shapes, shifts, features.crs, target.grid), features.index))
    found = found.set_crs(features.crs, allow_override=True)
    return found.assign(class_id=np.where(doubtful, IGNORE, features["class_id"])), Alignment.of(
        shifts, target.grid.mean_gsd_m()
    )
