"""Rasters at another pixel size: means of images, classes and shares of class maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, GridError, InputError, OutputError, SceneError
from crispmap.labels.osm import preset_schema
from crispmap.raster.files import read_grid
from crispmap.raster.resampled_file import Resampling, resample_file
from crispmap.raster.spec import CLASSES_TAG
from crispmap.raster.write_computed import ComputeOptions
from crispmap.raster.writer import read_class_schema

Maker = Callable[..., Path]
SCHEMA = preset_schema(["building", "road"])


def class_map(make_raster: Maker, ids: Any, name: str = "map.tif", schema: ClassSchema = SCHEMA) -> Path:
    def tagged(dataset: Any) -> None:
        dataset.update_tags(**{CLASSES_TAG: schema.to_json()})

    return make_raster(np.asarray(ids, np.uint8)[None], name, nodata=255, after=tagged)


def stored(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def shares_by_hand(ids: Any, ratio: int, classes: int) -> Any:
    """Shares of the known pixels of each square, NaN where less than half is known."""
    height, width = ids.shape[0] // ratio, ids.shape[1] // ratio
    squares = ids[: height * ratio, : width * ratio].reshape(height, ratio, width, ratio)
    known = (squares != 255).sum(axis=(1, 3))
    counts = np.stack([(squares == one).sum(axis=(1, 3)) for one in range(classes)])
    return np.where(2 * known >= ratio**2, counts / np.maximum(known, 1), np.nan)


@given(ratio=st.integers(2, 5), seed=st.integers(0, 99), unknown=st.sampled_from([0.0, 0.4]))
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_modes_and_shares_are_those_of_squares(
    make_raster: Maker, tmp_path: Path, ratio: int, seed: int, unknown: float
) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 3, (ratio * 6, ratio * 7))
    ids[rng.random(ids.shape) < unknown] = 255
    path = class_map(make_raster, ids)
    options = ComputeOptions(64, force=True)
    resample_file(path, tmp_path / "share.tif", Resampling(2.0 * ratio, "share"), options=options)
    resample_file(path, tmp_path / "mode.tif", Resampling(2.0 * ratio), options=options)
    expected = shares_by_hand(ids, ratio, 3)
    np.testing.assert_allclose(stored(tmp_path / "share.tif"), expected, atol=1e-6)
    known = ~np.isnan(expected[0])
    modes = np.where(known, np.where(known, expected, 0).argmax(axis=0), 255)  # of equal shares the lowest id
    np.testing.assert_array_equal(stored(tmp_path / "mode.tif")[0], modes)
    assert read_class_schema(tmp_path / "mode.tif") == SCHEMA


def test_shares_over_any_ratio_sum_to_one_and_keep_the_area_of_classes(make_raster: Maker, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (60, 63))
    resample_file(class_map(make_raster, ids), tmp_path / "share.tif", Resampling(4.2, "share"))
    shares = stored(tmp_path / "share.tif")
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
    inner = shares[:, :28]  # whole pixels of the coarser grid
    assert inner[1].mean() == pytest.approx((ids[:59] == 1).mean(), abs=0.01)


def test_a_class_map_gets_finer_without_new_ids(make_raster: Maker, tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (9, 11))
    for method in ("mode", "nearest"):
        out = tmp_path / f"{method}.tif"
        resample_file(class_map(make_raster, ids), out, Resampling(0.5, method))  # type: ignore[arg-type]
        np.testing.assert_array_equal(stored(out)[0], ids.repeat(4, axis=0).repeat(4, axis=1))


def test_an_image_becomes_means_in_its_own_type_over_all_of_its_ground(make_raster: Maker, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 60_000, (2, 21, 32)).astype(np.uint16)
    path = make_raster(values, nodata=0)
    _, grid = resample_file(path, tmp_path / "out.tif", Resampling(8.0))
    assert grid.shape == (6, 8)  # the last row reaches beyond the image, with less than half: no data there
    found = stored(tmp_path / "out.tif")
    assert found.dtype == np.uint16
    means = values[:, :20].reshape(2, 5, 4, 8, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(found[:, :5], means, atol=0.51)
    assert (found[:, 5] == 0).all()


def test_no_cut_changes_a_byte(make_raster: Maker, tmp_path: Path) -> None:
    path = class_map(make_raster, np.random.default_rng(0).integers(0, 3, (200, 230)))
    contents = set()
    for block_px in (64, 100, 1024):
        out = tmp_path / f"{block_px}.tif"
        resample_file(path, out, Resampling(3.1), options=ComputeOptions(block_px))
        contents.add(out.read_bytes())
    assert len(contents) == 1


class TestBadInput:
    @pytest.mark.parametrize("method", ["average", "bilinear", "cubic"])
    def test_ids_are_not_averaged(self, make_raster: Maker, tmp_path: Path, method: Any) -> None:
        path = class_map(make_raster, np.zeros((4, 4)))
        with pytest.raises(InputError):
            resample_file(path, tmp_path / "out.tif", Resampling(4.0, method))

    def test_indices_into_a_colour_table_are_not_averaged(self, make_raster: Maker, tmp_path: Path) -> None:
        colours = {0: (0, 0, 0, 255), 1: (0, 255, 0, 255)}
        path = make_raster(np.ones((1, 4, 4), np.uint8), after=lambda dataset: dataset.write_colormap(1, colours))
        for method in ("auto", "average"):
            with pytest.raises(InputError):
                resample_file(path, tmp_path / "out.tif", Resampling(4.0, method))  # type: ignore[arg-type]
        with pytest.warns(CrispmapWarning):
            resample_file(path, tmp_path / "out.tif", Resampling(4.0, "nearest"))

    @pytest.mark.parametrize("method", ["mode", "share", "mean"])
    def test_an_image_has_no_classes(self, make_raster: Maker, tmp_path: Path, method: Any) -> None:
        path = make_raster(np.ones((1, 4, 4), np.uint8))
        with pytest.raises(InputError):
            resample_file(path, tmp_path / "out.tif", Resampling(4.0, method))
        assert read_grid(path).shape == (4, 4)

    def test_a_value_of_no_class(self, make_raster: Maker, tmp_path: Path) -> None:
        with pytest.raises(SceneError) as raised:
            resample_file(class_map(make_raster, np.full((4, 4), 7)), tmp_path / "out.tif", Resampling(4.0))
        assert "7" in raised.value.given
        two = make_raster(np.zeros((2, 4, 4), np.uint8), "two.tif")
        with pytest.raises(SceneError):
            resample_file(two, tmp_path / "out.tif", Resampling(4.0, schema=SCHEMA))

    @pytest.mark.parametrize("gsd_m", [0.0, -2.0, float("nan")])
    def test_no_pixel_size(self, make_raster: Maker, tmp_path: Path, gsd_m: float) -> None:
        for path in (class_map(make_raster, np.zeros((4, 4))), make_raster(np.ones((1, 4, 4), np.uint8), "image.tif")):
            with pytest.raises(GridError):
                resample_file(path, tmp_path / "out.tif", Resampling(gsd_m))

    def test_the_raster_itself_is_not_replaced(self, make_raster: Maker) -> None:
        path = class_map(make_raster, np.zeros((4, 4)))
        with pytest.raises(OutputError):
            resample_file(path, path, Resampling(4.0), options=ComputeOptions(force=True))
