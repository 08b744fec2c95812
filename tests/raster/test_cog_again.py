"""A copy that GDAL fails without a reason is tried once more, and no more than once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import OutputError
from crispmap.geo.grid import Grid
from crispmap.raster.writer import class_map_writer

GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), (40, 50))
SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("road", "#ff0000")))


@pytest.mark.parametrize("failures", [1, 2])
def test_a_copy_that_fails_without_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    copy, calls = rasterio.shutil.copy, []

    def failing(*arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        if len(calls) <= failures:
            raise SystemError("Unknown GDAL Error.")
        copy(*arguments, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", failing)
    labels = np.random.default_rng(0).integers(0, 2, GRID.shape).astype(np.uint8)

    def write() -> None:
        with class_map_writer(tmp_path / "map.tif", GRID, SCHEMA) as writer:
            writer.write(GRID.block, labels)

    if failures == 1:
        write()
        with rasterio.open(tmp_path / "map.tif") as written:
            assert np.array_equal(written.read(1), labels)
    else:
        with pytest.raises(OutputError, match="Unknown GDAL Error"):
            write()
        assert len(calls) == 2
