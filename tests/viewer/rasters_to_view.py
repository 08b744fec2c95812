"""Rasters for tests of the viewer, small and written as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from crispmap.classes import ClassDef, ClassSchema
from crispmap.files.quiet import ignoring
from crispmap.raster.spec import CLASSES_TAG

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SCHEMA = ClassSchema((ClassDef("background", "#f0f0e8"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61")))


def write(path: Path, values: NDArray[Any], *, crs: str | None = "EPSG:32631", transform: Affine = PLACE,
          nodata: float | None = None, tags: dict[str, str] | None = None, overviews: tuple[int, ...] = (),
          how: str = "nearest") -> Path:  # fmt: skip
    """Write values (band, row, col), or (row, col), as a GeoTIFF."""
    values = values[None] if values.ndim == 2 else values
    count, height, width = values.shape
    options: dict[str, Any] = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    place = {} if transform.is_identity else {"crs": crs, "transform": transform}
    options |= {"count": count, "height": height, "width": width, "dtype": values.dtype, "nodata": nodata, **place}
    with ignoring(NotGeoreferencedWarning), rasterio.open(path, "w", driver="GTiff", **options) as target:
        target.write(values)
        target.update_tags(**(tags or {}))
    if overviews:
        with rasterio.open(path, "r+") as target:
            target.build_overviews(overviews, rasterio.enums.Resampling[how])
    return path


def class_map(path: Path, ids: NDArray[Any], **options: Any) -> Path:
    """Write class ids as a map of ours."""
    return write(path, ids.astype(np.uint8), nodata=255, tags={CLASSES_TAG: SCHEMA.to_json()}, **options)


def some_ids(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return class ids in lumps, with some that are unknown."""
    rng = np.random.default_rng(seed)
    lumps = rng.integers(0, 4, (-(-height // 7), -(-width // 7))).astype(np.uint8)
    ids = lumps.repeat(7, axis=0).repeat(7, axis=1)[:height, :width]
    return np.where(ids == 3, np.uint8(255), ids)


def some_image(height: int, width: int, bands: int = 3, dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    """Return an image of noise."""
    top = 255 if dtype == "uint8" else 3000
    return np.random.default_rng(seed).integers(1, top, (bands, height, width)).astype(dtype)
