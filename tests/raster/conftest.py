"""Rasters made on the spot, and a disk too small for them."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

RasterMaker = Callable[..., Path]


@pytest.fixture
def make_raster(tmp_path: Path) -> RasterMaker:
    """Write an array (band, row, col) as a GeoTIFF, UTM 31N at 2 m by default; return its path."""

    def make(array: Any, name: str = "scene.tif", **options: Any) -> Path:
        array = np.asarray(array)
        after = options.pop("after", None)
        profile = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype.name,
            "crs": "EPSG:32631",
            "transform": Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0),
            **options,
        }
        path = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as dataset:
                dataset.write(array)
                if after is not None:
                    after(dataset)
        return path

    return make


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, where this machine lets us mount one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
