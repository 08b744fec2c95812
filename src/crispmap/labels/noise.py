"""Label noise simulated on good vectors: misregistration, omission and coarse outlines, each of a known amount.

Misregistration is a smooth random field (Gaussian covariance, drawn as random Fourier features: Rahimi and Recht,
"Random features for large-scale kernel machines", 2007), because the causes in OpenStreetMap - the image people traced
from, the relief - change slowly from place to place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.geo.local_plane import LocalPlane, Points
from crispmap.labels.geometry import Geometries, is_line, is_polygon, single_parts
from crispmap.types import DoubleArray

_WAVES = 256


@dataclass(frozen=True)
class LabelNoise:
    """Amounts of label noise; everything is 0 or absent by default.

    Raises:
        InputError: If an amount is negative or not finite, or a share is not within 0..1.
    """

    shift_m: float = 0.0  # root mean square, over the objects, of a smooth random displacement, in metres on the ground
    smooth_m: float = 100.0  # correlation length of that displacement: at this distance the correlation is exp(-1/2)
    offset_m: tuple[float, float] = (0.0, 0.0)  # a displacement (east, north) of everything
    jitter_m: float = 0.0  # root mean square of a displacement of each object by itself
    # share of the objects left out, 0..1; or a share by class id
    omission: float | Mapping[int, float] = field(default=0.0)
    omission_cluster_m: float = 0.0  # where above 0, objects are left out by neighbourhoods of about this size
    road_width_m: float | None = None  # the total width given to every line, in place of its own; None keeps it
    generalise_m: float = 0.0  # outlines lose detail finer than this, and polygons closer than this become one

    def __post_init__(self) -> None:
        shares = list(self.omission.values()) if isinstance(self.omission, Mapping) else [self.omission]
        if not all(0 <= share <= 1 for share in shares):
            raise InputError(f"The omission is {self.omission}.", expected="a share from 0 to 1")
        for name in ("shift_m", "jitter_m", "omission_cluster_m", "generalise_m"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}.", expected="0 or more metres")
        for name in ("smooth_m", "road_width_m"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value}.", expected="a length above 0 metres")
        if not all(math.isfinite(value) for value in self.offset_m):
            raise InputError(f"offset_m is {self.offset_m}.", expected="metres (east, north)")

    @property
    def is_none(self) -> bool:
        """Whether nothing is changed, for any ``smooth_m``."""
        return self == LabelNoise(smooth_m=self.smooth_m)


def simulate_noise(features: gpd.GeoDataFrame, noise: LabelNoise, *, seed: int = 0) -> gpd.GeoDataFrame:
    """Return features with noise of known amounts; noise of amount 0 returns them unchanged.

    The order is: omission, generalisation, displacement. Polygons move rigidly, by the field at their centroid (people
    draw a roof in the right shape at the wrong place); lines bend with the field, vertex by vertex, so that connected
    roads stay connected. Jitter moves each object rigidly.

    Args:
        features: Columns geometry (polygons and lines), class_id and width_m, in any CRS; the result has the same.
        seed: The same seed gives the same result; each kind of noise has its own stream, so that adding one leaves the
            others as they were.
    """
    if noise.is_none or features.empty:
        return features.copy()
    omit, shift, jitter = np.random.default_rng(seed).spawn(3)
    frame = LocalPlane.of_bounds(features.crs, tuple(features.total_bounds))
    result = features
    if noise.omission:
        result = _omit(result, noise, frame, omit)
    if noise.generalise_m > 0:
        result = _generalise(result, noise.generalise_m, frame)
    if noise.shift_m > 0 or noise.jitter_m > 0 or any(noise.offset_m):
        geometries = _displaced(result.geometry.to_numpy(), noise, frame, (shift, jitter))
        result = result.set_geometry(gpd.GeoSeries(geometries, index=result.index, crs=features.crs))
    if noise.road_width_m is not None:
        lines = is_line(result.geometry.to_numpy())
        result = result.assign(width_m=np.where(lines, noise.road_width_m, np.nan))
    return result.reset_index(drop=True)


def move(features: gpd.GeoDataFrame, dx_m: float, dy_m: float) -> gpd.GeoDataFrame:
    """Return features displaced by metres on the ground (east, north), in their own CRS."""
    return simulate_noise(features, LabelNoise(offset_m=(dx_m, dy_m)))


class SmoothField:
    """A random function of the place with mean 0, variance 1 and covariance exp(-d^2 / (2 length^2))."""

    def __init__(self, length_m: float, outputs: int, rng: np.random.Generator) -> None:
        self._waves = rng.normal(0.0, 1.0 / length_m, (outputs, 2, _WAVES))
        self._phases = rng.uniform(0.0, 2.0 * math.pi, (outputs, 1, _WAVES))

    def at(self, points: Points) -> DoubleArray:
        """Return the values at points (n, 2) in metres, shape (n, outputs)."""
        values = np.empty((len(points), len(self._waves)))
        for start in range(0, len(points), 8192):  # bounds the memory at 8192 x _WAVES cosines
            part = points[start : start + 8192]
            angles = part[None] @ self._waves + self._phases
            values[start : start + 8192] = np.cos(angles).sum(axis=2).T
        return np.asarray(values * math.sqrt(2.0 / _WAVES))


def _omit(
    features: gpd.GeoDataFrame, noise: LabelNoise, frame: LocalPlane, rng: np.random.Generator
) -> gpd.GeoDataFrame:
    """Drop, of every class, the share of the objects with the lowest score."""
    centres = frame.to_metres(_centroids(features.geometry.to_numpy()))
    score = rng.random(len(features))
    if noise.omission_cluster_m > 0:
        score = SmoothField(noise.omission_cluster_m, 1, rng).at(centres)[:, 0]
    ids = features["class_id"].to_numpy()
    kept = np.ones(len(features), dtype=bool)
    for class_id in np.unique(ids):
        share = noise.omission.get(int(class_id), 0.0) if isinstance(noise.omission, Mapping) else noise.omission
        members = np.flatnonzero(ids == class_id)
        lowest = members[np.argsort(score[members], kind="stable")]
        kept[lowest[: round(share * len(members))]] = False
    return features[kept]


def _displaced(
    geometries: Geometries,
    noise: LabelNoise,
    frame: LocalPlane,
    streams: tuple[np.random.Generator, np.random.Generator],
) -> Geometries:
    """Return geometries moved by offset, field and jitter."""
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    metres = frame.to_metres(coordinates)
    centres = frame.to_metres(_centroids(geometries))
    displacement = np.tile(np.array(noise.offset_m, dtype=np.float64), (len(metres), 1))
    if noise.shift_m > 0:
        smooth = SmoothField(noise.smooth_m, 2, streams[0])
        at_centres = smooth.at(centres)
        places = np.where(is_line(geometries)[owner, None], metres, centres[owner])
        displacement += smooth.at(places) * _scale_to(at_centres, noise.shift_m)
    if noise.jitter_m > 0:
        own = streams[1].normal(size=(len(geometries), 2))
        displacement += (own * _scale_to(own, noise.jitter_m))[owner]
    return np.asarray(shapely.set_coordinates(geometries.copy(), frame.to_crs(metres + displacement)))


def _scale_to(vectors: DoubleArray, rms: float) -> float:
    """Return the factor that scales vectors (n, 2) to a root mean square length."""
    return rms / math.sqrt(float((vectors**2).sum(axis=1).mean()))


def _generalise(features: gpd.GeoDataFrame, size_m: float, frame: LocalPlane) -> gpd.GeoDataFrame:
    """Close gaps below a size between the polygons of a class, and simplify all outlines to half that size."""
    geometries = shapely.transform(features.geometry.to_numpy(), frame.to_metres)
    ids = features["class_id"].to_numpy()
    areas = is_polygon(geometries)
    parts, rows = [], []
    for class_id in np.unique(ids[areas]):
        members = np.flatnonzero(areas & (ids == class_id))
        closed, first = _closed(geometries[members], size_m / 2)
        parts.append(closed)
        rows.append(members[first])
    others = np.flatnonzero(~areas)
    shapes = np.concatenate([*parts, geometries[others]])
    order = np.concatenate([*rows, others]).astype(np.intp)
    simple = shapely.simplify(shapes, size_m / 2, preserve_topology=True)
    simple, source = single_parts(np.asarray(simple))
    place = np.argsort(order[source], kind="stable")
    chosen = features.iloc[order[source][place]]
    shapes = shapely.transform(simple[place], frame.to_crs)
    return chosen.set_geometry(gpd.GeoSeries(shapes, index=chosen.index, crs=features.crs))


def _closed(polygons: Geometries, radius_m: float) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the union of polygons with gaps up to twice the radius closed, and a source polygon of each part."""
    grown = shapely.union_all(shapely.buffer(polygons, radius_m, join_style="mitre"))
    parts, _ = single_parts(np.array([shapely.buffer(grown, -radius_m, join_style="mitre")], dtype=object))
    first = shapely.STRtree(polygons).nearest(parts)
    return parts, np.asarray(first, dtype=np.int64)


def _centroids(geometries: Geometries) -> Points:
    return np.asarray(shapely.get_coordinates(shapely.centroid(geometries)))
