"""Rasters stored in any order of rows and columns are read as their north-up twins, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GridError
from crispmap.files.turn import Turn
from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import MaskLabels
from crispmap.raster.arrays import scene_of
from crispmap.raster.describe import describe_raster
from crispmap.raster.files import open_scene, read_grid
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.refs import SceneRef
from turned_rasters import ORDERS, place_in, twin

Maker = Callable[..., Path]
SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000")))
shared_path = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def masked(array: Any, kind: str) -> dict[str, Any]:
    if kind == "nodata":
        return {"nodata": 0}
    if kind == "mask":
        mask = np.where(np.indices(array.shape[1:]).sum(0) % 3, 255, 0).astype(np.uint8)
        return {"after": lambda dataset: dataset.write_mask(mask)}
    if kind == "alpha":
        gray, alpha = [ColorInterp.gray, ColorInterp.undefined], [ColorInterp.alpha]
        return {"after": lambda dataset: setattr(dataset, "colorinterp", gray + alpha)}
    return {}


@given(
    order=st.sampled_from(sorted(ORDERS)),
    kind=st.sampled_from(["plain", "nodata", "mask", "alpha"]),
    dtype=st.sampled_from(["uint8", "int16", "float32"]),
    place=st.tuples(*[st.integers(-5, 12)] * 2, *[st.integers(0, 20)] * 2),
)
@shared_path
def test_a_raster_and_its_twin_read_alike(
    make_raster: Maker, order: str, kind: str, dtype: str, place: tuple[int, int, int, int]
) -> None:
    array = np.random.default_rng(1).choice([0, 0, 1, 7, 100], (3, 11, 17)).astype(dtype)
    path = make_raster(array, "base.tif", **masked(array, kind))
    other = twin(path, ORDERS[order], path.with_name("twin.tif"))
    with open_scene(path) as one, open_scene(other) as turned:
        assert turned.grid == one.grid
        assert turned.band_names == one.band_names
        for mine, expected in zip(turned.read(Block(*place)), one.read(Block(*place)), strict=True):
            np.testing.assert_array_equal(mine, expected)
            assert mine.flags.c_contiguous
        whole = ORDERS[order](one.read(one.grid.block)[0])
        assert [int(one) for one in whole.shape[1:]] == list(turned.turn.inverse.shape(turned.grid.shape))


@given(order=st.sampled_from(sorted(ORDERS)), height=st.integers(2, 6), width=st.integers(2, 6))
@settings(deadline=None)
def test_a_turn_and_its_inverse_are_one_another(order: str, height: int, width: int) -> None:
    pixels = np.arange(height * width).reshape(height, width)
    transform = Affine(2.0, 0.0, 10.0, 0.0, -3.0, 50.0)
    stored, place = ORDERS[order](pixels), place_in(ORDERS[order], transform, pixels.shape)
    turn = Turn.to_north_up(place)
    np.testing.assert_array_equal(turn.pixels(stored), pixels)
    np.testing.assert_array_equal(turn.inverse.pixels(turn.pixels(stored)), stored)
    assert turn.transform(place, stored.shape) == transform
    assert turn.inverse.transform(transform, pixels.shape) == place


@pytest.mark.parametrize("degrees", [0, 20, -40])
def test_a_raster_that_is_a_little_rotated_is_read_as_stored(make_raster: Maker, degrees: float) -> None:
    place = Affine.translation(500_000, 5_000_000) @ Affine.rotation(degrees) @ Affine.scale(2.0, -2.0)
    array = np.arange(30, dtype=np.uint8).reshape(1, 5, 6)
    with open_scene(make_raster(array, transform=place)) as scene:
        assert scene.grid.transform.almost_equals(place)
        np.testing.assert_array_equal(scene.read(scene.grid.block)[0], array)


@pytest.mark.parametrize("side", [1.0, 2.0])
def test_pixels_without_a_coordinate_system_keep_their_order(make_raster: Maker, side: float) -> None:
    """As of maps at another pixel size of scenes without georeference, whose y is counted down the image."""
    array = np.arange(30, dtype=np.uint8).reshape(1, 5, 6)
    path = make_raster(array, crs=None, transform=Affine.scale(side))
    with open_scene(path, assume_gsd_m=1.0) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.block)[0], array)
    found = scene_of(array, transform=Affine.scale(side), gsd_m=side)
    np.testing.assert_array_equal(found.read(found.grid.block)[0], array)


def test_where_coordinates_grow_to_the_south_west_that_is_north_up(make_raster: Maker) -> None:
    array = np.arange(30, dtype=np.uint8).reshape(1, 5, 6)
    place = Affine(-2.0, 0.0, 50_000.0, 0.0, 2.0, 3_700_000.0)  # Hartebeesthoek94 / Lo19: westing and southing
    with open_scene(make_raster(array, crs="EPSG:2048", transform=place)) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.block)[0], array)


@pytest.mark.parametrize("order", sorted(ORDERS))
@pytest.mark.parametrize("kind", ["plain", "nodata", "mask"])
def test_a_mask_on_a_coarser_grid_and_its_twin_give_the_same_labels(make_raster: Maker, order: str, kind: str) -> None:
    """Scene pixels have their centre on corners of the mask's: which neighbour counts must not depend on the order."""
    ids = np.random.default_rng(0).integers(0, 2, (1, 24, 36)).astype(np.uint8)
    options = {"nodata": 9} if kind == "nodata" else masked(ids, kind)
    path = make_raster(ids, transform=Affine(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_000_000.0), **options)
    other = twin(path, ORDERS[order], path.with_name("twin.tif"))
    grid = Grid(read_grid(path).crs, Affine(2.0, 0.0, 499_998.0, 0.0, -2.0, 5_000_004.0), (15, 22))
    found = []
    for file in (path, other):
        labels = MaskLabels(file, SCHEMA, grid)
        found.append(labels.read(grid.block))
        labels.close()
    np.testing.assert_array_equal(*found)
    assert set(np.unique(found[0])) == {0, 1, 255}


def test_bands_in_files_of_one_order_are_one_scene_and_of_two_are_refused(make_raster: Maker) -> None:
    array = np.random.default_rng(0).integers(0, 200, (3, 9, 14)).astype(np.uint8)
    files = [make_raster(array[[band]], f"{band}.tif") for band in range(3)]
    turned = [twin(file, ORDERS["south-up"], file.with_name(f"up_{file.name}")) for file in files]
    with open_scene(SceneRef("scene", tuple(map(str, turned)))) as scene:
        np.testing.assert_array_equal(scene.read(scene.grid.block)[0], array)
    with pytest.raises(GridError), open_scene(SceneRef("scene", (str(files[0]), str(turned[1])))):
        pass


def test_a_fingerprint_tells_the_twins_apart(make_raster: Maker) -> None:
    path = make_raster(np.arange(30, dtype=np.uint8).reshape(1, 5, 6))
    other = twin(path, ORDERS["south-up"], path.with_name("twin.tif"))
    assert fingerprint(path) != fingerprint(other)
    with rasterio.open(other) as dataset:
        assert dataset.transform.e > 0


def test_facts_tell_where_a_raster_is_turned(make_raster: Maker) -> None:
    path = make_raster(np.arange(30, dtype=np.uint8).reshape(1, 5, 6))
    facts = describe_raster(twin(path, ORDERS["south-up"], path.with_name("twin.tif"))).to_dict()
    expected = describe_raster(path).to_dict()
    assert "stored" in facts
    assert "stored" not in expected
    assert facts["bounds"] == expected["bounds"]
