"""Labels that a network learns from, set right object by object."""

from __future__ import annotations

import geopandas as gpd

from crispmap.events import SILENT, Events
from crispmap.labels.align.files import Alignment, aligned_frames
from crispmap.labels.align.objects import AlignRules, Reason
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE

_DOUBTFUL = (Reason.UNSURE, Reason.NO_SUPPORT)


def aligned_features(
    features: gpd.GeoDataFrame, scene: Scene, rules: AlignRules, events: Events = SILENT
) -> tuple[gpd.GeoDataFrame, Alignment]:
    """Return features moved to where a scene shows them, with the columns of ``COLUMNS``, and what became of them.

    Of polygons that the scene shows nowhere for sure the class is IGNORE, so that nothing is learned there.

    Args:
        features: Columns geometry and class_id, as from ``read_vectors``.
    """
    (found,), alignment = aligned_frames([features], scene, rules, events)
    doubtful = found["align_reason"].isin(_DOUBTFUL)
    return found.assign(class_id=found["class_id"].mask(doubtful, IGNORE)), alignment
