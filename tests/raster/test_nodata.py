"""Nodata values given for a scene, and borders that are without data and do not say so."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import CrispmapWarning, SceneError
from crispmap.raster.arrays import scene_of
from crispmap.raster.files import open_scene
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.nodata import NodataRule
from crispmap.raster.refs import SceneRef

Maker = Callable[..., Path]
SIDE = 200


def valid_of(path: Path, **choices: Any) -> np.ndarray:
    with open_scene(path, **choices) as scene:
        return scene.read(scene.grid.block)[1]


@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16", "float32"]),
    value=st.sampled_from([0, 7, 255, -9999, 300]),
    tolerance=st.integers(0, 40),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=80)
def test_a_rule_is_the_comparison_it_says(dtype: str, value: int, tolerance: int, seed: int) -> None:
    kind = np.dtype(dtype)
    low, high = (0, 400) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    rng = np.random.default_rng(seed)
    raw = np.clip(value + rng.integers(-45, 45, (3, 6, 8)), low, high).astype(kind)
    rule = NodataRule.of([value] * 3, [dtype] * 3, tolerance)
    held = np.abs(raw.astype(np.float64) - value) <= tolerance
    if kind.kind != "f" and not low <= value <= high:
        expected = np.ones((6, 8), np.bool_)
    elif value == 0 or dtype == "uint8":
        expected = ~held.all(axis=0)
    else:
        expected = ~held.any(axis=0)
    np.testing.assert_array_equal(rule.valid(raw), expected)


def test_a_value_given_stands_in_the_place_of_the_files_own(make_raster: Maker) -> None:
    array = np.random.default_rng(0).choice([0, 5, 9, 200], (2, 20, 30)).astype(np.uint8)
    path = make_raster(array, nodata=5)
    for nodata in (0, 9.0, None):
        chosen = 5 if nodata is None else nodata
        np.testing.assert_array_equal(valid_of(path, nodata=nodata), (array != chosen).any(axis=0))
    assert valid_of(path, nodata=float("nan")).all()
    np.testing.assert_array_equal(valid_of(path, nodata_tolerance=4), ~((array >= 1) & (array <= 9)).all(axis=0))
    scene = scene_of(array, {"nodata": 9.0, "nodata_tolerance": 4}, gsd_m=1.0)
    np.testing.assert_array_equal(scene.read(scene.grid.block)[1], ~((array >= 5) & (array <= 13)).all(axis=0))


@pytest.mark.parametrize(
    "choices",
    [
        {"nodata": -9999}, {"nodata": 0.5}, {"nodata": float("inf")}, {"nodata_tolerance": 3},
        {"nodata": 0, "nodata_tolerance": -1}, {"nodata": 0, "nodata_tolerance": float("nan")},
        {"nodata": float("nan"), "nodata_tolerance": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_nodata_is_refused(make_raster: Maker, choices: dict[str, float]) -> None:
    array = np.ones((2, 5, 6), np.uint8)
    with pytest.raises(SceneError):
        open_scene(make_raster(array), **choices)  # type: ignore[arg-type]
    with pytest.raises(SceneError):
        scene_of(array, choices, gsd_m=1.0)  # type: ignore[arg-type]


def test_a_fingerprint_changes_with_the_nodata_value(make_raster: Maker) -> None:
    ref = SceneRef.of(make_raster(np.ones((1, 5, 6), np.uint8), nodata=0))
    others = [ref.choosing(nodata=1.0), ref.choosing(nodata_tolerance=2.0), ref.choosing(nodata=float("nan"))]
    assert len({fingerprint(one) for one in (ref, *others)}) == 4
    assert fingerprint(ref.choosing(nodata=None)) == fingerprint(ref)


def collared(corners: int, fill: int = 0) -> np.ndarray:
    """An image of noise about 120, with corners cut off."""
    rows, cols = np.indices((SIDE, SIDE))
    image = np.random.default_rng(0).integers(60, 180, (3, SIDE, SIDE)).astype(np.uint8)
    for corner in range(corners):
        down = SIDE - 1 - rows if corner & 1 else rows
        across = SIDE - 1 - cols if corner & 2 else cols
        image[:, down + across < 90] = fill
    return image


def messages(path: Path, **choices: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        valid_of(path, **choices)
    return [str(one.message) for one in found if issubclass(one.category, CrispmapWarning)]


@pytest.mark.parametrize("fill", [0, 255, 100])
def test_a_border_of_one_value_that_is_not_declared_is_told(make_raster: Maker, fill: int) -> None:
    path = make_raster(collared(4, fill))
    assert [f"nodata={fill}" in text for text in messages(path)] == [True]
    assert messages(path, nodata=fill) == []
    assert messages(path, nodata=float("nan")) == []
    assert messages(make_raster(collared(4, fill), nodata=fill)) == []


def test_a_frame_all_around_is_told_and_an_empty_image_is_not(make_raster: Maker) -> None:
    image = collared(0)
    framed = np.zeros_like(image)
    framed[:, 50:-50, 50:-50] = image[:, 50:-50, 50:-50]
    assert len(messages(make_raster(framed))) == 1
    assert messages(make_raster(np.zeros_like(image))) == []


def test_ordinary_images_and_masked_ones_are_not_told(make_raster: Maker) -> None:
    assert messages(make_raster(collared(0))) == []
    assert messages(make_raster(collared(1))) == []
    mask = np.where(collared(4)[0], 255, 0).astype(np.uint8)
    assert messages(make_raster(collared(4), after=lambda dataset: dataset.write_mask(mask))) == []


def compressed(make_raster: Maker, name: str = "scene.tif", **options: Any) -> Path:
    options = {
        "compress": "JPEG",
        "photometric": "YCBCR",
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
    } | options
    return make_raster(collared(4), name, **options)


def test_a_collar_blurred_by_jpeg_is_told_and_the_remedy_clears_it(make_raster: Maker) -> None:
    path = compressed(make_raster, nodata=0)
    truth = collared(4).any(axis=0)
    assert ["nodata_tolerance=16" in text for text in messages(path)] == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        before = valid_of(path)
    after = valid_of(path, nodata_tolerance=16)
    assert messages(path, nodata_tolerance=16) == []
    assert (before & ~truth).sum() > 5 * (after & ~truth).sum()
    assert (~after & truth).sum() < 0.01 * truth.sum()
    undeclared = messages(compressed(make_raster, "none.tif"))
    assert ["nodata=0 and nodata_tolerance=16" in text for text in undeclared] == [True]


def test_lossless_collars_are_not_told(make_raster: Maker) -> None:
    assert messages(make_raster(collared(4), nodata=0, compress="DEFLATE")) == []
    webp = make_raster(collared(4), "w.tif", nodata=0, compress="WEBP", WEBP_LOSSLESS=True, tiled=True)
    with rasterio.open(webp) as dataset:
        assert "WEBP" in dataset.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"]
    assert messages(webp) == []
