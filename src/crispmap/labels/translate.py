"""Translated vectors, written to a new file with every layer and column."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyproj import CRS

from crispmap.errors import LabelError, OutputError, number_of
from crispmap.events import SILENT, Events
from crispmap.files.atomic import scratch_folder
from crispmap.geo.crs import in_crs
from crispmap.geo.grid import Grid
from crispmap.geo.local_plane import LocalPlane, Points
from crispmap.labels.layers import NEIGHBOURHOOD_M, drawn_layers, read_layer
from crispmap.labels.nearby import near_boxes
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import parse_crs, source_crs
from crispmap.raster.targets import GEOPACKAGE_SIDECARS, check_target, put_in_place, sync_file, write_failure

SUFFIX = ".gpkg"

_OWN_COLUMNS = ("fid", "geom")


def check_moved_target(out: str | Path, *, force: bool = False) -> Path:
    """Return the path of a GeoPackage after checking that it may be written.

    Raises:
        OutputError: If it is not a GeoPackage, exists without ``force``, or cannot be written.
    """
    target = Path(out)
    if target.suffix.lower() != SUFFIX:
        raise OutputError(
            f"Moved vectors cannot be written to {target}.",
            expected=f"a GeoPackage, which holds any layers in any coordinate system: a name that ends in {SUFFIX}",
            remedy=f"Name it {target.with_suffix(SUFFIX)}.",
        )
    return check_target(target, force=force)


def write_moved(
    path: str | Path,
    out: str | Path,
    grid: Grid,
    shift_m: tuple[float, float],
    *,
    options: LabelOptions | None = None,
    force: bool = False,
) -> int:
    """Write the vectors near a grid, displaced by metres (east, north), to a GeoPackage; return their number.

    Layers, columns and coordinate systems are kept, so that the file can replace the original under the same tag rules.
    Only features within NEIGHBOURHOOD_M of the grid are written: the displacement is known only there. Heights are
    dropped. The file is complete or absent.

    Args:
        grid: Where the displacement holds; east and north are those of its centre, or x and y without a CRS.
        options: ``layer``, ``encoding`` and ``assume_crs`` apply; the file written declares the latter.

    Raises:
        LabelError: If the vectors cannot be read, or none is near the grid.
        OutputError: If the file exists without ``force``, or it cannot be written.
    """
    target = check_moved_target(out, force=force)
    layers = near_layers(path, grid, options)
    write_layers(target, [(name, _moved(frame, grid, np.array(shift_m))) for name, frame in layers])
    return sum(len(frame) for _, frame in layers)


def near_layers(
    path: str | Path, grid: Grid, options: LabelOptions | None = None, events: Events = SILENT
) -> list[tuple[str, gpd.GeoDataFrame]]:
    """Return the layers of a file by name, each with its features near a grid, all columns and its CRS.

    Of how many are farther, and not returned, ``events`` is told where the format counts features.

    Raises:
        LabelError: If the vectors cannot be read, or none is within NEIGHBOURHOOD_M of the grid.
    """
    options = options or LabelOptions()
    assumed = parse_crs(options.assume_crs)
    layers, given = [], drawn_layers(Path(path), options.layer, options.encoding)
    for one in given:
        crs = source_crs(one, assumed, grid)
        found = pd.concat([read_layer(one, one.columns, box) for box, _ in near_boxes(grid, crs, NEIGHBOURHOOD_M)])
        found = found[~found.index.duplicated()]
        if len(found):
            layers.append((one.name or one.path.stem, found.set_crs(crs, allow_override=True)))
    if not layers:
        raise LabelError(
            f"No feature of {path} is near the scene.",
            expected="vectors that overlap the scene",
            remedy="Check that the two files show the same place.",
        )
    far = sum(one.features for one in given) - sum(len(frame) for _, frame in layers)
    if far > 0 and all(one.features >= 0 for one in given):
        events.note(
            f"Left out: {number_of(far, 'feature')} of {path} that {'is' if far == 1 else 'are'} without geometry or "
            f"farther than {NEIGHBOURHOOD_M:g} m from the scene"
        )
    return layers


def _moved(frame: gpd.GeoDataFrame, grid: Grid, metres: Points) -> gpd.GeoDataFrame:
    """Return features displaced by metres (east, north) as they are at a grid's centre."""
    plane = LocalPlane(frame.crs, _centre(grid, frame.crs))
    shapes = shapely.transform(frame.geometry.to_numpy(), lambda points: plane.to_crs(plane.to_metres(points) + metres))
    return frame.set_geometry(gpd.GeoSeries(shapes, frame.index, frame.crs))


def _centre(grid: Grid, crs: CRS | None) -> tuple[float, float]:
    """Return the centre of a grid as a point (x, y) of a CRS."""
    centre = np.array([grid.transform @ (grid.width / 2, grid.height / 2)])
    ((x, y),) = in_crs(centre, grid.crs, crs).tolist()
    return x, y


def _storable(frame: gpd.GeoDataFrame) -> dict[str, Any]:
    """Return columns as a GeoPackage takes them: names unique regardless of case, and plain values."""
    columns: dict[str, Any] = {}
    taken = set(_OWN_COLUMNS)
    for name in frame.columns.drop(frame.geometry.name):
        free = str(name)
        while free.casefold() in taken:
            free += "_"
        taken.add(free.casefold())
        column = frame[name].reset_index(drop=True)
        columns[free] = column.map(_plain) if column.dtype == object else column
    return columns


def _plain(value: Any) -> Any:
    """Return a list or a mapping as JSON text, anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def write_layers(target: Path, layers: list[tuple[str, gpd.GeoDataFrame]]) -> None:
    """Write layers to a temporary GeoPackage and rename it onto the target."""
    try:
        with scratch_folder(target) as folder:
            scratch = folder / target.name
            for name, layer in layers:
                frame = gpd.GeoDataFrame(_storable(layer), geometry=layer.geometry.to_numpy(), crs=layer.crs)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # of a layer without CRS
                    pyogrio.write_dataframe(frame, scratch, layer=name, driver="GPKG", append=False)
            sync_file(scratch)
            put_in_place(scratch, target, GEOPACKAGE_SIDECARS)
    except (OSError, pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError) as error:
        raise write_failure(target, error, kept="what was written so far has been removed") from error
