"""The layer ``review``: what becomes of every object, for a person to go through in QGIS."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from crispmap.files.atomic import scratch_folder
from crispmap.geo.crs import in_crs
from crispmap.labels.align.objects import Reason
from crispmap.labels.geometry import Geometries
from crispmap.polygons.style import categories_style, save_style
from crispmap.raster.targets import GEOPACKAGE_SIDECARS, put_in_place, sync_file, write_failure
from crispmap.review.verdicts import GONE, Status, status_of
from crispmap.types import BoolArray

LAYER = "review"

_REASONS = {
    Reason.ALIGNED.value: "edges of the image run along its outline",
    Reason.UNSURE.value: "several places fit about as well",
    Reason.NO_SUPPORT.value: "no edges of the image run along its outline",
    Reason.OUTSIDE.value: "most of it lies outside the scene",
    Reason.NO_OUTLINE.value: "it is larger than any object",
    GONE: "probably gone: no edges run along its outline, and the map hardly sees it",
    Status.ADDED.value: "the map sees it, and no labelled object overlaps it",
}
_COLOURS = {
    Status.ADDED: (26, 122, 58), Status.LEFT_OUT: (215, 25, 28),
    Status.MOVED: (44, 123, 182), Status.UNSURE: (253, 174, 97),
}  # fmt: skip


def labelled_rows(layer: str, frame: gpd.GeoDataFrame, reviewed: BoolArray, crs: CRS | None) -> gpd.GeoDataFrame:
    """Return the rows of the reviewed objects of an aligned layer."""
    own = frame[reviewed]
    reasons = own["align_reason"]
    columns = {
        "status": [status_of(one).value for one in reasons],
        "confidence": own["align_confidence"].to_numpy(),
        "reason": [_REASONS[one] for one in reasons],
        "seen": own["align_seen"].to_numpy(),
        "dx_m": own["align_dx_m"].to_numpy(),
        "dy_m": own["align_dy_m"].to_numpy(),
        "layer": layer,
        "feature": own.index.to_numpy(),
    }
    return _frame(columns, reprojected(own.geometry.to_numpy(), frame.crs, crs), crs)


def added_rows(added: gpd.GeoDataFrame, layer: str, crs: CRS | None) -> gpd.GeoDataFrame:
    """Return the rows of objects that are added to a layer."""
    none = np.zeros(len(added))
    columns = {
        "status": Status.ADDED.value, "confidence": added["confidence"].to_numpy(),
        "reason": _REASONS[Status.ADDED.value], "seen": added["confidence"].to_numpy(),
        "dx_m": none, "dy_m": none, "layer": layer, "feature": np.full(len(added), -1),
    }  # fmt: skip
    return _frame(columns, added.geometry.to_numpy(), crs)


def reprojected(shapes: Geometries, source: CRS | None, target: CRS | None) -> Geometries:
    """Return geometries of one CRS in another."""
    return np.asarray(shapely.transform(shapes, lambda points: in_crs(points, source, target)), object)


def write_review(path: Path, rows: Sequence[gpd.GeoDataFrame]) -> None:
    """Write the layer, what is least sure first within each status, with the style by which QGIS shows it.

    Raises:
        OutputError: If it cannot be written. The file is complete or absent.
    """
    crs = rows[0].crs
    whole = gpd.GeoDataFrame(pd.concat([pd.DataFrame(one) for one in rows if len(one)]), geometry="geometry", crs=crs)
    order = {status.value: place for place, status in enumerate(Status)}
    whole = whole.assign(_order=whole["status"].map(order)).sort_values(["_order", "confidence"], kind="stable")
    whole = whole.drop(columns="_order").reset_index(drop=True)
    style = categories_style([(one.value, one.value, _COLOURS[one]) for one in Status], "status")
    try:
        with scratch_folder(path) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a layer without CRS
            scratch = folder / path.name
            pyogrio.write_dataframe(whole, scratch, layer=LAYER, driver="GPKG", geometry_type="MultiPolygon")
            save_style(scratch, style, "Objects by what becomes of them")
            sync_file(scratch)
            put_in_place(scratch, path, GEOPACKAGE_SIDECARS)
    except (OSError, sqlite3.Error, DataSourceError, DataLayerError, FeatureError) as error:
        raise write_failure(path, error, kept="what was written so far has been removed") from error


def _frame(columns: dict[str, object], shapes: Geometries, crs: CRS | None) -> gpd.GeoDataFrame:
    several = [_multi_polygon(one) for one in shapes]
    return gpd.GeoDataFrame(columns, index=range(len(several)), geometry=several, crs=crs)


def _multi_polygon(shape: BaseGeometry) -> shapely.MultiPolygon:
    """Return the polygons of a geometry as one."""
    parts = shapely.get_parts(shape)
    return shapely.MultiPolygon(parts[shapely.get_dimensions(parts) == 2])
