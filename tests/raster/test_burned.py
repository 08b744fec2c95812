"""Burned area from two dates: classes of dNBR, several dates after, and the reference of Corumbá."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from crispmap.errors import CrispmapWarning, InputError, OutputError, SceneError
from crispmap.raster.compose.burned import BurnInputs, BurnRule, map_burned
from crispmap.raster.compose.inputs import ComposeChoices, composed_ref
from crispmap.raster.files import open_scene
from crispmap.raster.scene import read_whole
from crispmap.raster.write_computed import ComputeOptions
from crispmap.raster.writer import read_class_schema

Maker = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore:.*computed from values as they are stored")


def dated(make_raster: Maker, name: str, seed: int, hole: int = -1) -> Path:
    """A date: near and short-wave infrared reflectance as floats, NaN in one row."""
    values = np.random.default_rng(seed).uniform(0.05, 0.5, (2, 30, 34)).astype(np.float32)
    if hole >= 0:
        values[:, hole] = np.nan

    def named(dataset: Any) -> None:
        dataset.descriptions = ("nir", "swir2")

    return make_raster(values, name, nodata=float("nan"), after=named)


def stored(path: Path) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def nbr(values: Any) -> Any:
    nir, swir2 = values.astype(float)
    return (nir - swir2) / (nir + swir2)


@given(st.floats(-2, 2, width=32))
def test_severity_is_that_of_the_table(value: float) -> None:
    name = BurnRule().schema.names[int(BurnRule().classes(np.array([value], np.float32))[0])]
    table = [
        (-0.25, "enhanced regrowth, high"), (-0.1, "enhanced regrowth, low"), (0.1, "unburned"), (0.27, "low severity"),
        (0.44, "moderate-low severity"), (0.66, "moderate-high severity"), (9, "high severity"),
    ]  # fmt: skip
    assert name == next(name for below, name in table if value < below)


def test_no_value_is_no_class_and_unburned_is_the_background() -> None:
    for rule in (BurnRule(), BurnRule(0.27)):
        assert rule.classes(np.array([np.nan, 0.0], np.float32)).tolist() == [255, 0]
        assert rule.schema.names[0] == "unburned"


def test_a_map_with_legend_and_the_dnbr_it_is_made_of(make_raster: Maker, tmp_path: Path) -> None:
    before, after = dated(make_raster, "before.tif", 0), dated(make_raster, "after.tif", 1, hole=3)
    done = map_burned(
        BurnInputs(before, [after]), tmp_path / "map.tif", dnbr=tmp_path / "dnbr.tif", options=ComputeOptions(64)
    )
    expected = nbr(stored(before)) - nbr(stored(after))
    dnbr, ids = stored(tmp_path / "dnbr.tif")[0], stored(tmp_path / "map.tif")[0]
    np.testing.assert_allclose(dnbr, expected, atol=1e-6)
    np.testing.assert_array_equal(ids, BurnRule().classes(dnbr))
    assert (ids[3] == 255).all()
    assert read_class_schema(tmp_path / "map.tif") == BurnRule().schema
    assert done.pixels.tolist() == np.bincount(ids.ravel(), minlength=256).tolist()
    assert done.area_m2.sum() == pytest.approx(30 * 34 * 4, rel=2e-3)


def test_of_several_dates_the_one_with_the_lowest_nbr_counts(make_raster: Maker, tmp_path: Path) -> None:
    before = dated(make_raster, "before.tif", 0)
    after = [dated(make_raster, f"after{seed}.tif", seed, hole=seed) for seed in (1, 2, 3)]
    map_burned(BurnInputs(before, after), tmp_path / "map.tif", rule=BurnRule(0.27), dnbr=tmp_path / "dnbr.tif")
    lowest = np.nanmin([nbr(stored(path)) for path in after], axis=0)
    np.testing.assert_allclose(stored(tmp_path / "dnbr.tif")[0], nbr(stored(before)) - lowest, atol=1e-6)
    with open_scene(composed_ref([str(path) for path in after], ComposeChoices(lowest="NBR"))) as scene:
        image, valid = read_whole(scene)
        assert scene.band_names == ("nir", "swir2")
    assert valid.all()
    np.testing.assert_allclose(nbr(image), lowest, atol=1e-6)


class TestBadInput:
    def test_a_date_without_the_bands(self, make_raster: Maker, tmp_path: Path) -> None:
        before, plain = dated(make_raster, "before.tif", 0), make_raster(np.ones((2, 30, 34), np.uint16), "plain.tif")
        for dates in (BurnInputs(before, [plain]), BurnInputs(before, [before, plain])):
            with pytest.raises(SceneError) as raised:
                map_burned(dates, tmp_path / "map.tif")
            assert "nir" in str(raised.value)

    def test_no_date_after_and_no_threshold(self, make_raster: Maker, tmp_path: Path) -> None:
        before = dated(make_raster, "before.tif", 0)
        with pytest.raises(InputError):
            map_burned(BurnInputs(before, []), tmp_path / "map.tif")
        for threshold in (float("nan"), float("inf"), 270.0, -100.0):
            with pytest.raises(InputError):
                BurnRule(threshold)
        with pytest.raises(InputError):
            composed_ref([str(before)], ComposeChoices(lowest="XYZ"))

    def test_outputs_that_exist_or_are_one(self, make_raster: Maker, tmp_path: Path) -> None:
        before, after = dated(make_raster, "before.tif", 0), dated(make_raster, "after.tif", 1)
        for out, dnbr in ((before, None), (tmp_path / "new.tif", after), (tmp_path / "new.tif", tmp_path / "new.tif")):
            with pytest.raises(OutputError):
                map_burned(BurnInputs(before, [after]), out, dnbr=dnbr)
        assert not (tmp_path / "new.tif").exists()


@pytest.mark.realdata
def test_corumba_is_the_reference_wherever_there_are_data(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "landsat"
    dates = BurnInputs(f"{folder}/corumba_before*", [f"{folder}/corumba_after*"], ComposeChoices("landsat8"))
    done = map_burned(dates, tmp_path / "map.tif", rule=BurnRule(0.27))
    ids, reference = stored(tmp_path / "map.tif")[0], stored(folder / "corumba_burned_dNBR027.tif")[0]
    known = ids != 255
    assert known.mean() > 0.999
    np.testing.assert_array_equal(ids[known], reference[known])
    assert done.pixels[1] == 89_179


@pytest.mark.realdata
def test_dates_900_metres_apart(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "landsat"
    dates = BurnInputs(f"{folder}/brumadinho_before*", [f"{folder}/brumadinho_after*"], ComposeChoices("landsat8"))
    with pytest.warns(CrispmapWarning, match=r"7\.5 %"):
        map_burned(dates, tmp_path / "map.tif")
    assert stored(tmp_path / "map.tif").shape == (1, 300, 370)
