"""Which features of vector layers are objects of the class reviewed."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from crispmap.errors import LabelError
from crispmap.labels import tags
from crispmap.labels.geometry import is_polygon
from crispmap.review.scores import ReviewScores
from crispmap.types import BoolArray

Layers = Sequence[tuple[str, gpd.GeoDataFrame]]


def reviewed_features(layers: Layers, scores: ReviewScores, all_as: str | None) -> list[BoolArray]:
    """Return for each layer which of its features are polygons of the class of the scores.

    Their class is that of a column of classes, else by the tag rules of the class, as wherever labels are read.

    Raises:
        LabelError: If there is none in any layer.
        SchemaError: If ``all_as`` is no class of the scores.
    """
    found = [_of_class(frame, name, scores, all_as) & is_polygon(frame.geometry.to_numpy()) for name, frame in layers]
    if not any(one.any() for one in found):
        columns = ", ".join(dict.fromkeys(str(one) for _, frame in layers for one in frame.columns.drop("geometry")))
        raise LabelError(
            f"No polygon near the scene is of the class {scores.class_name}. Columns: {columns or 'none'}.",
            expected="polygons of the class that the scores are reviewed for",
            remedy=f"Where all are of it, add all_as={scores.class_name}; else give its rules with classes=.",
        )
    return found


def _of_class(frame: gpd.GeoDataFrame, layer: str, scores: ReviewScores, all_as: str | None) -> BoolArray:
    if all_as is not None:
        return np.full(len(frame), scores.schema.id_of(all_as) == scores.class_id)
    table = tags.tag_table(pd.DataFrame(frame.drop(columns=frame.geometry.name)), scores.schema, layer)
    by_column, _ = tags.class_column_ids(table, scores.schema)
    by_tags = tags.tag_ids(table, scores.schema)
    return np.asarray(np.where(by_column == tags.NO_CLASS, by_tags, by_column) == scores.class_id)
