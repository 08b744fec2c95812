"""DataArrays in Dask chunks: mapped block by block, never loaded as a whole, and to the same map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import rioxarray
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import crispmap
import crispmap.xarray
from crispmap.errors import InputError, SceneError
from crispmap.geo.grid import Block
from crispmap.raster.arrays import scene_of
from crispmap.raster.scene import read_whole

CLASSES = crispmap.ClassSchema((crispmap.ClassDef("ground", "#000000"), crispmap.ClassDef("roof", "#ff0000")))


def image(shape: tuple[int, int], dtype: str = "float32", *, falling: bool = True, nodata: float | None = None) -> Any:
    values = np.random.default_rng(0).integers(0, 200, (2, *shape)).astype(dtype)
    y = np.arange(shape[0])[:: -1 if falling else 1] * 2.0 + 5e6
    array = xr.DataArray(
        values, dims=("band", "y", "x"), coords={"band": ["red", "nir"], "y": y, "x": np.arange(shape[1]) * 2.0 + 5e5}
    ).rio.write_crs("EPSG:32631")
    return array if nodata is None else array.rio.write_nodata(nodata)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    network = nn.Conv2d(2, 2, 3, padding=1)
    return crispmap.coarse_model(network, classes=CLASSES, bands=["red", "nir"], gsd_m=2.0, radius_px=1)


@pytest.fixture
def largest() -> Iterator[list[int]]:
    """Notes the largest array that Dask has handed out."""
    seen = [0]

    class Watch(dask.callbacks.Callback):  # type: ignore[misc]
        def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
            seen[0] = max(seen[0], getattr(result, "size", 0))

    with Watch(), dask.config.set(scheduler="threads"):
        yield seen


@settings(max_examples=30)
@given(
    chunks=st.tuples(st.integers(1, 9), st.integers(1, 9)), falling=st.booleans(),
    dtype=st.sampled_from(["uint8", "int16", "float32", "float64"]), nodata=st.sampled_from([None, 0, 7, -9999]),
    block=st.tuples(*[st.integers(-6, 12)] * 2, *[st.integers(1, 14)] * 2),
)  # fmt: skip
def test_blocks_are_those_of_the_loaded_array(
    chunks: tuple[int, int], falling: bool, dtype: str, nodata: int | None, block: tuple[int, int, int, int]
) -> None:
    if nodata == -9999 and dtype == "uint8":
        nodata = None
    loaded = image((11, 13), dtype, falling=falling, nodata=nodata)
    loaded.values[:, 2:4, 3:6] = loaded.values[0, 5, 5] if nodata is None else nodata
    if dtype.startswith("float"):
        loaded.values[1, 0, 0] = np.nan
    lazy = loaded.chunk({"y": chunks[0], "x": chunks[1]})
    one, other = scene_of(loaded), scene_of(lazy)
    assert one.grid == other.grid
    for found, expected in zip(other.read(Block(*block)), one.read(Block(*block)), strict=True):
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, expected)


def test_a_map_of_chunks_is_that_of_the_array_and_loads_no_whole(model: Any, largest: list[int]) -> None:
    loaded = image((1500, 2300), "uint8")
    lazy = loaded.chunk({"y": 256, "x": 256})
    mapped = crispmap.predict(lazy, model)
    assert largest[0] < loaded.size / 2
    assert mapped.rio.crs == loaded.rio.crs
    np.testing.assert_array_equal(mapped.to_numpy(), crispmap.predict(loaded, model).to_numpy())


def test_what_is_never_read_is_never_computed(model: Any) -> None:
    def fail(_: Any) -> Any:
        raise AssertionError("computed")

    pixels = da.zeros((2, 40, 50), chunks=(2, 10, 10), dtype="float32").map_blocks(
        fail, dtype="float32", meta=np.zeros(())
    )
    lazy = image((40, 50)).copy(data=pixels)
    scene = scene_of(lazy)
    assert scene.band_names == ("red", "nir")
    with pytest.raises(AssertionError):
        scene.read(Block(0, 0, 4, 4))


def test_nodata_of_a_data_array_counts_as_in_a_file(tmp_path: Any) -> None:
    """A sentinel in one band makes the pixel invalid, 0 only in all."""
    for nodata, expected in ((-9999, [False, False, True]), (0, [True, False, True])):
        array = image((2, 3), "int16", nodata=nodata)
        array.values[:] = [[[nodata, nodata, 5]] * 2, [[8, nodata, 5]] * 2]
        array.rio.to_raster(tmp_path / f"{nodata}.tif")
        with crispmap.open_scene(tmp_path / f"{nodata}.tif") as file:
            assert read_whole(file)[1][0].tolist() == expected
        assert read_whole(scene_of(array))[1][0].tolist() == expected


def test_values_beyond_float32_are_no_data() -> None:
    array = image((1, 2), "float64")
    array.values[0, 0, 0] = 1e300
    assert read_whole(scene_of(array))[1].tolist() == [[False, True]]


def test_a_nodata_value_that_the_type_cannot_hold_is_refused() -> None:
    with pytest.raises(SceneError):
        scene_of(image((2, 2), "uint8").chunk(), {"nodata": -1.0})


def test_bands_that_are_only_numbered_have_the_names_of_the_file(tmp_path: Any) -> None:
    array = image((4, 5), "uint8")
    array.assign_coords(band=[1, 2]).assign_attrs(long_name=("red", "near, infrared")).rio.to_raster(tmp_path / "s.tif")
    with rioxarray.open_rasterio(tmp_path / "s.tif") as read:
        assert scene_of(read).band_names == ("red", "near, infrared")
        assert scene_of(read.isel(band=[1])).band_names == ("near, infrared",)
        assert scene_of(read.assign_attrs(long_name=("red",))).band_names == ("1", "2")


def test_maps_and_scores_keep_names_and_nodata_in_a_file_of_rioxarray(model: Any, tmp_path: Any) -> None:
    array = image((6, 7), "float32", nodata=-1.0)
    array.values[:, 2, 3] = -1
    mapped = crispmap.predict(array, model)
    scores = crispmap.predict(array, model, output="scores")
    mapped.rio.to_raster(tmp_path / "map.tif")
    scores.rio.to_raster(tmp_path / "scores.tif")
    assert crispmap.area(tmp_path / "map.tif") == pytest.approx(crispmap.area(mapped))
    with crispmap.open_scene(tmp_path / "map.tif") as scene, crispmap.open_scene(tmp_path / "scores.tif") as other:
        assert scene.nodata_values == (255.0,)
        assert other.band_names == ("ground", "roof")
        for one in (scene, other):
            assert np.argwhere(~read_whole(one)[1]).tolist() == [[2, 3]]


@pytest.mark.filterwarnings("ignore:A random map:UserWarning")
def test_the_accessor_knows_the_classes_that_a_map_carries(model: Any) -> None:
    mapped = crispmap.predict(image((20, 30)), model)
    assert mapped.crispmap.area() == crispmap.area(mapped)
    assert mapped.crispmap.evaluate(mapped).mean_iou == 1.0
    assert set(mapped.crispmap.vectorize().class_name) <= {"roof"}


@pytest.mark.parametrize("lazy", [False, True])
def test_a_dataset_of_one_variable_a_band_is_an_image(model: Any, lazy: bool) -> None:
    """As catalogues give them, of one date."""
    array = image((9, 8), "int16", nodata=-5)
    array.values[:, 2, 2] = -5
    bands = {name: array.sel(band=name, drop=True).expand_dims(time=[0]) for name in ("red", "nir")}
    data = xr.Dataset(bands)
    data = data.chunk({"x": 3}) if lazy else data
    found, expected = crispmap.predict(data, model), crispmap.predict(array, model)
    assert scene_of(data).band_names == ("red", "nir")
    xr.testing.assert_equal(found, expected)
    assert found.rio.crs == array.rio.crs
    assert found[2, 2] == 255
    with pytest.raises(InputError):
        crispmap.predict(xr.Dataset(), model)
    with pytest.raises(InputError):
        crispmap.predict(xr.concat([data, data.assign_coords(time=[1])], "time"), model)
