"""``crispmap.pansharpen``: files, arrays and DataArrays give the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - brings .rio
import xarray as xr
from affine import Affine

import crispmap
from crispmap.errors import InputError

GSD = 0.5


def images() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    sharp = rng.uniform(100, 200, (1, 64, 80))
    low = sharp.reshape(32, 2, 40, 2).mean(axis=(1, 3))
    return np.stack([low * factor for factor in (0.5, 1.0, 1.5)]).astype(np.float32), sharp.astype(np.float32)


def data_array(values: Any, gsd: float) -> Any:
    height, width = values.shape[1:]
    coords = {
        "band": [f"b{one}" for one in range(len(values))],
        "y": 5_000_000 - (np.arange(height) + 0.5) * gsd,
        "x": 500_000 + (np.arange(width) + 0.5) * gsd,
    }
    return xr.DataArray(values, coords=coords, dims=("band", "y", "x")).rio.write_crs("EPSG:32631")


def write(path: Path, values: Any, gsd: float) -> Path:
    profile = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "dtype": "float32"}
    transform = Affine(gsd, 0, 500_000, 0, -gsd, 5_000_000)
    with rasterio.open(path, "w", crs="EPSG:32631", transform=transform, **profile) as dataset:
        dataset.write(values)
    return path


@pytest.mark.parametrize("method", ["hpm", "gs"])
def test_files_arrays_and_data_arrays_give_the_same(method: Any, tmp_path: Path) -> None:
    low, sharp = images()
    array = crispmap.pansharpen(low, sharp, method=method, gsd_m=GSD)
    labelled = crispmap.pansharpen(data_array(low, 2 * GSD), data_array(sharp, GSD), method=method)
    files = write(tmp_path / "ms.tif", low, 2 * GSD), write(tmp_path / "pan.tif", sharp, GSD)
    path = crispmap.pansharpen(*files, tmp_path / "out.tif", method=method)
    with rasterio.open(path) as dataset:
        written = dataset.read()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, labelled.to_numpy())
    np.testing.assert_array_equal(array, written)
    assert labelled.coords["band"].to_numpy().tolist() == ["b0", "b1", "b2"]
    assert labelled.rio.crs.to_epsg() == 32631
    opened = crispmap.pansharpen(crispmap.open_scene(files[0]), crispmap.open_scene(files[1]), method=method)
    np.testing.assert_array_equal(opened, array)


def test_arrays_keep_their_order() -> None:
    low, sharp = images()
    north = crispmap.pansharpen(low, sharp, transform=Affine(GSD, 0, 500_000, 0, -GSD, 5_000_000), crs=32631)
    up = Affine(GSD, 0, 500_000, 0, GSD, 5_000_000 - 64 * GSD)
    south = crispmap.pansharpen(low[:, ::-1], sharp[:, ::-1], transform=up, crs=32631)
    np.testing.assert_array_equal(south[:, ::-1], north)


def test_bands_of_files_are_chosen(tmp_path: Path) -> None:
    low, sharp = images()
    bands = write(tmp_path / "ms.tif", low, 2 * GSD)
    pans = write(tmp_path / "pan.tif", np.concatenate([0 * sharp, sharp]), GSD)
    path = crispmap.pansharpen(bands, pans, tmp_path / "out.tif", bands=[3, 1], pan_band=2)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), crispmap.pansharpen(low[[2, 0]], sharp, gsd_m=GSD))


def test_pixels_without_data_are_nan() -> None:
    low, sharp = images()
    low[:, 3, 4] = np.nan
    found = crispmap.pansharpen(low, sharp, gsd_m=GSD)
    expected = np.zeros(sharp.shape[1:], bool)
    expected[6:8, 8:10] = True
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(expected, found.shape))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    low, sharp = images()
    file = write(tmp_path / "ms.tif", low, 2 * GSD)
    pan = write(tmp_path / "pan.tif", sharp, GSD)
    for given in (
        lambda: crispmap.pansharpen(low, sharp),  # no georeference
        lambda: crispmap.pansharpen(low, str(pan)),
        lambda: crispmap.pansharpen(file, sharp),
        lambda: crispmap.pansharpen(file, pan),  # no file to write
        lambda: crispmap.pansharpen(low, sharp, tmp_path / "out.tif", gsd_m=GSD),
        lambda: crispmap.pansharpen(file, pan, tmp_path / "out.tif", gsd_m=GSD),
        lambda: crispmap.pansharpen(low[0], sharp, gsd_m=GSD),
        lambda: crispmap.pansharpen(low, sharp, gsd_m=GSD, method="hsv"),  # type: ignore[arg-type]
        lambda: crispmap.pansharpen([file, 3], pan, tmp_path / "out.tif"),  # type: ignore[list-item]
        lambda: crispmap.pansharpen(3, sharp, gsd_m=GSD),  # type: ignore[arg-type]
        lambda: crispmap.pansharpen(low, sharp, gsd_m=GSD, force=True),
        lambda: crispmap.pansharpen(file, tmp_path / "*.tif", tmp_path / "out.tif"),
    ):
        with pytest.raises(InputError):
            given()
    with pytest.raises(TypeError, match="colour"):
        crispmap.pansharpen(low, sharp, gsd_m=GSD, colour=3)  # type: ignore[call-arg]
    assert not (tmp_path / "out.tif").exists()
