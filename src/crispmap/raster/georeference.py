"""The grid of a raster, from its file."""

from __future__ import annotations

import warnings
from pathlib import Path

from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.io import DatasetReader

from crispmap.errors import GeoreferenceWarning, SceneError
from crispmap.geo.grid import Grid

_DEGREE_LIKE = 1e-3


def grid_of(dataset: DatasetReader, path: Path, assume_gsd_m: float | None) -> Grid:
    """Return the grid of an open raster, warning where there is no georeference.

    Raises:
        SceneError: If the raster is located only by ground control points or rational polynomials.
    """
    shape = (dataset.height, dataset.width)
    if not dataset.transform.is_identity:
        _warn_of_degrees(dataset, path)
        return Grid(_crs_of(dataset, path), dataset.transform, shape)
    if assume_gsd_m is not None:
        return Grid(None, Affine.scale(assume_gsd_m, -assume_gsd_m), shape)
    located_by = "ground control points" if dataset.gcps[0] else "rational polynomial coefficients"
    if dataset.gcps[0] or dataset.rpcs is not None:
        raise SceneError(
            f"{path} is located only by {located_by}.",
            expected="a raster with a geotransform",
            remedy="Rectify it first (gdalwarp), or give assume_gsd_m to work in plain pixels.",
        )
    warnings.warn(
        f"{path} has no georeference: a pixel counts as one metre. If you know the side of a pixel in metres, give it "
        "(assume_gsd_m=, or scene: assume_gsd_m:) or, where that cannot be given, write it into the file "
        "(gdal_edit.py -a_ullr).",
        GeoreferenceWarning,
        stacklevel=4,
    )
    return Grid(None, Affine.identity(), shape)


def _crs_of(dataset: DatasetReader, path: Path) -> CRS | None:
    """Return the raster's CRS, by EPSG code if it has one, so that equal systems compare equal; or raise SceneError."""
    if not dataset.crs:
        return None
    try:
        code = dataset.crs.to_epsg(confidence_threshold=90)
        return CRS.from_epsg(code) if code else CRS.from_wkt(dataset.crs.to_wkt())
    except CRSError as error:
        raise SceneError(
            f"The CRS of {path} cannot be understood: {error}",
            expected="a CRS that PROJ knows",
            remedy="Assign it again (gdal_edit.py -a_srs EPSG:...).",
        ) from error


def _warn_of_degrees(dataset: DatasetReader, path: Path) -> None:
    """Warn if a raster without CRS has pixels so small that its unit must be the degree."""
    transform = dataset.transform
    steps = (transform.a, transform.b, transform.d, transform.e)
    if not dataset.crs and max(abs(value) for value in steps) < _DEGREE_LIKE:
        warnings.warn(
            f"{path} has a transform but no CRS, and its pixels measure {abs(transform.a):.3g} units. These "
            "are probably degrees, yet count as metres. Assign the CRS (gdal_edit.py -a_srs EPSG:4326).",
            GeoreferenceWarning,
            stacklevel=5,
        )
