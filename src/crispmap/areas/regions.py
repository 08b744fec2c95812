"""Regions to tell areas by: the polygons of a file under the names in a column, one region a name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Geod

from crispmap.classes import CONTROL
from crispmap.errors import AreaError, CrispmapWarning, did_you_mean, number_of
from crispmap.files.address import shown
from crispmap.geo.crs import to_lonlat
from crispmap.geo.grid import Grid
from crispmap.labels.layers import drawn_layers, read_layer
from crispmap.labels.tags import match_columns
from crispmap.polygons.polygons import Geometries, PolygonAreas
from crispmap.types import DoubleArray

Overlaps: TypeAlias = Literal["error", "count"]
"""Ground in two regions: refused, or counted in both."""

_SLIVER = 1e-4  # shares of a region that it may have in common with another: two drawings of one border
_ROUNDING = 1e-9  # a smaller share comes of the precision of coordinates
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Regions:
    """Named regions."""

    path: Path  # the file
    names: tuple[str, ...]  # each once, in the order of the file
    outlines: Geometries  # (region,) valid polygons and multipolygons, none empty
    crs: CRS | None  # of the outlines

    def areas_m2(self) -> DoubleArray:
        """Return the area of each region on the ground."""
        left, low, right, high = shapely.total_bounds(self.outlines)
        parts = 10_000
        transform = Affine((right - left) / parts, 0, left, 0, (low - high) / parts, high)
        return PolygonAreas(Grid(self.crs, transform, (parts, parts))).of(self.outlines)


def read_regions(
    path: str | Path, by: str = "name", *, layer: str | None = None, overlaps: Overlaps = "error"
) -> Regions:
    """Return the regions of a vector file; features of one name are one region.

    Args:
        by: The column of their names.
        layer: The layer, where the file has several.
        overlaps: What to do about ground that lies in two regions.

    Raises:
        LabelError: If the file is missing or unreadable, or has no such layer.
        AreaError: If it has no such column, a feature has no name, one is no polygon, none has an area, or regions
            overlap and ``overlaps`` is "error".

    Warns:
        CrispmapWarning: About features left out, mended or united, and ground that counts twice.
    """
    path = Path(path)
    frame = _read(path, by, layer)
    names = frame["name"].to_numpy(np.object_)
    outlines = _mended(frame.geometry.to_numpy(), names, shown(path))
    there = ~(shapely.is_empty(outlines) | shapely.is_missing(outlines))
    if not there.any():
        raise AreaError(
            f"{shown(path)} has no region with an area.", expected="polygons", remedy="Give the file of the regions."
        )
    if not there.all():
        _warn(f"{number_of(int((~there).sum()), 'feature')} of {shown(path)} left out, without an outline: "
              f"{_listed(names[~there])}.")  # fmt: skip
    regions = _united(path, names[there], outlines[there], frame.crs)
    _check_overlaps(regions, overlaps)
    return regions


def _read(path: Path, by: str, layer: str | None) -> gpd.GeoDataFrame:
    """Return the features of the one layer of polygons with their names as text."""
    layers = drawn_layers(path, layer)
    if layers and layers[0].features == 0:
        raise AreaError(f"{shown(path)} holds no feature.", expected="polygons", remedy="Give the file of the regions.")
    if len(layers) > 1:
        raise AreaError(
            f"{shown(path)} has several layers: {', '.join(str(one.name) for one in layers)}.",
            expected="the layer of the regions", remedy=f"Name it, such as layer={layers[0].name}",
        )  # fmt: skip
    column = match_columns(layers[0].columns, (by,)).get(by)
    if column is None:
        raise AreaError(
            f"{shown(path)} has no column {by!r}.",
            expected=f"one of {', '.join(layers[0].columns) or 'none: it has no columns'}",
            remedy=did_you_mean(by, layers[0].columns) or f"Name the column of the regions' names, such as by={by}",
        )
    frame = read_layer(layers[0], (column,), None)
    values = frame[column]
    names = values.astype(str).map(lambda name: " ".join(str(name).split()))  # on one line
    nameless = int((values.isna() | (names == "")).sum())
    if nameless:
        raise AreaError(
            f"{number_of(nameless, 'feature')} of {shown(path)} without a value in the column {column!r}.",
            expected="a name for every region", remedy="Fill in the column, or name another with by=",
        )  # fmt: skip
    if odd := [name for name in names if CONTROL.search(name)]:
        raise AreaError(
            f"{shown(path)} has the name {odd[0]!r} in the column {column!r}.",
            expected="names without control characters", remedy="Correct it, or name another column with by=",
        )  # fmt: skip
    kinds = set(frame.geometry.geom_type.dropna()) - {"Polygon", "MultiPolygon", "GeometryCollection"}
    finite = bool(np.isfinite(shapely.get_coordinates(frame.geometry.to_numpy())).all())
    if kinds or not finite:
        raise AreaError(
            f"{shown(path)} holds {', '.join(sorted(kinds)) if kinds else 'coordinates that are not finite'}.",
            expected="polygons of finite coordinates", remedy="Draw regions as polygons.",
        )  # fmt: skip
    return gpd.GeoDataFrame({"name": names}, geometry=frame.geometry, crs=frame.crs)


def _mended(outlines: Geometries, names: Geometries, file: str) -> Geometries:
    """Return outlines that are valid, as polygons alone."""
    mixed = shapely.get_type_id(outlines) == shapely.GeometryType.GEOMETRYCOLLECTION
    invalid = ~(shapely.is_valid(outlines) | shapely.is_missing(outlines))
    outlines = outlines.copy()
    outlines[mixed | invalid] = [polygons_of(one) for one in shapely.make_valid(outlines[mixed | invalid])]
    if invalid.any():
        _warn(f"{number_of(int(invalid.sum()), 'outline')} of {file} mended, which crossed or touched itself: "
              f"{_listed(names[invalid])}.")  # fmt: skip
    return outlines


def polygons_of(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons of a geometry of any kind, united; empty where it has none."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.union_all([one for one in parts if one.geom_type == "Polygon"])


def _united(path: Path, names: Geometries, outlines: Geometries, crs: CRS | None) -> Regions:
    """Return the regions, features of one name united."""
    kept, first, number = np.unique(names.astype(str), return_index=True, return_inverse=True)
    if len(kept) == len(names):
        return Regions(path, tuple(names), outlines, crs)
    order = np.argsort(first)
    members = [outlines[number == one] for one in order]
    several = [str(kept[one]) for one, parts in zip(order, members, strict=True) if len(parts) > 1]
    _warn(f"{number_of(len(several), 'region')} of {shown(path)} united from features of one name: {_listed(several)}.")
    whole = np.array([one[0] if len(one) == 1 else shapely.union_all(one) for one in members], np.object_)
    return Regions(path, tuple(str(kept[one]) for one in order), whole, crs)


def _check_overlaps(regions: Regions, overlaps: Overlaps) -> None:
    """Refuse, or say, that ground lies in two regions."""
    outlines, areas = regions.outlines, shapely.area(regions.outlines)
    odd = np.flatnonzero(~shapely.is_empty(shapely.coverage_invalid_edges(outlines)))  # edges that no neighbour shares
    if not len(odd):
        return
    one, other = shapely.STRtree(outlines).query(outlines[odd], predicate="intersects")
    one, other = np.unique(np.sort(np.stack([odd[one], other]), axis=0), axis=1)
    one, other = one[one != other], other[one != other]
    shared = shapely.intersection(outlines[one], outlines[other])
    share = shapely.area(shared) / np.minimum(areas[one], areas[other])
    if not (share > _ROUNDING).any():
        return
    worst = int(np.argmax(share))
    total = sum(_ground_m2(piece, regions.crs) for piece in shared[share > _ROUNDING])
    pairs = number_of(int((share > _ROUNDING).sum()), "pair")
    said = (f"{pairs} of regions of {shown(regions.path)} overlap, by {total:,.0f} m2 in all; "
            f"most {regions.names[one[worst]]} and {regions.names[other[worst]]}")  # fmt: skip
    if overlaps == "error" and share[worst] > _SLIVER:
        raise AreaError(
            f"{said}, {100 * share[worst]:.2f} % of the smaller.",
            expected="regions that only touch, so that totals count ground once",
            remedy="Correct the file, or count such ground in both regions with overlapping_regions=count",
        )
    _warn(f"{said}. Totals over regions count that ground twice.")


def _ground_m2(geometry: shapely.Geometry, crs: CRS | None) -> float:
    if crs is None:
        return float(shapely.area(geometry))
    lonlat = shapely.transform(geometry, lambda points: np.stack(to_lonlat(crs).transform(*points.T), axis=1))
    return abs(float((crs.get_geod() or Geod(ellps="WGS84")).geometry_area_perimeter(lonlat)[0]))


def _listed(names: object) -> str:
    shown_names = [str(one) for one in names]  # type: ignore[attr-defined]
    return ", ".join(shown_names[:_SHOWN]) + (
        f" and {len(shown_names) - _SHOWN} more" if len(shown_names) > _SHOWN else ""
    )


def _warn(text: str) -> None:
    warnings.warn(text, CrispmapWarning, stacklevel=4)
