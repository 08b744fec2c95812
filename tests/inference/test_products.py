"""What is written of scores is what they say, and scores are read back as what they were."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rio_cogeo.cogeo import cog_validate
from scipy import special, stats

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError, SceneError
from crispmap.geo.grid import Grid
from crispmap.inference.products import ClassMap, Confidence, Product, Scores, class_map
from crispmap.raster.block_store import BlockStore
from crispmap.raster.scene import read_whole
from crispmap.raster.scores import open_scores
from crispmap.raster.writer import read_class_schema

PRODUCTS: list[Product] = [ClassMap(), Scores(), Scores("float16"), Scores("uint8"), Confidence()]
ENCODINGS = ["float32", "float16", "uint8"]


def schema(classes: int) -> ClassSchema:
    return ClassSchema(tuple(ClassDef(f"class {i}", f"#{i:06x}") for i in range(classes)))


def grid(shape: tuple[int, int]) -> Grid:
    return Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), shape)


def random_scores(classes: int, shape: tuple[int, int], seed: int = 0, spread: float = 3.0) -> tuple[Any, Any]:
    """Return scores with nonsense where they are invalid."""
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(classes, *shape)) * spread).astype(np.float32)
    valid = rng.random(shape) > 0.2
    scores[:, ~valid] = rng.choice([np.nan, np.inf, 1e30, 0], size=(classes, int((~valid).sum())))
    return scores, valid


def written(folder: Path, product: Product, scores: Any, valid: Any, block_px: int = 64) -> Path:
    """Write a product block by block; return its file."""
    where = grid(valid.shape)
    spec = product.spec(folder / "product.tif", where, schema(len(scores)), {"MADE": "here"})
    with BlockStore.open([spec], identity={}, block_px=block_px) as store:
        for block in where.blocks(block_px):
            inside = (..., *block.slices)
            store.write(block, [product.encode(scores[inside], valid[inside])] if valid[inside].any() else None)
        (path,) = store.finish()
    return path


def read_back(path: Path, **options: Any) -> tuple[Any, Any]:
    with open_scores(path, **options) as scene:
        return read_whole(scene)


def softmax(scores: Any) -> Any:
    return special.softmax(scores.astype(np.float64), axis=0)


# --- laws of every product ------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", PRODUCTS, ids=repr)
@given(classes=st.integers(2, 9), height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_nodata_stands_exactly_where_invalid_and_nothing_else_is_changed(
    product: Product, classes: int, height: int, width: int, seed: int
) -> None:
    scores, valid = random_scores(classes, (height, width), seed)
    given_scores, given_valid = scores.copy(), valid.copy()
    spec = product.spec(Path("p.tif"), grid(valid.shape), schema(classes), {})
    encoded = product.encode(scores, valid)
    np.testing.assert_array_equal(scores, given_scores)
    np.testing.assert_array_equal(valid, given_valid)
    assert encoded.dtype == spec.dtype
    assert spec.nodata is not None
    bands = encoded.reshape(spec.count, height, width)
    missing = np.isnan(bands) if np.isnan(spec.nodata) else bands == spec.nodata
    np.testing.assert_array_equal(missing, np.broadcast_to(~valid, bands.shape))


@pytest.mark.parametrize("product", PRODUCTS, ids=repr)
def test_a_product_is_the_same_after_a_journey(product: Product) -> None:
    scores, valid = random_scores(4, (9, 9))
    other = pickle.loads(pickle.dumps(product))  # noqa: S301 - our own bytes
    assert other == product
    np.testing.assert_array_equal(other.encode(scores, valid), product.encode(scores, valid))


def test_the_text_of_a_product_tells_it_from_all_others() -> None:
    assert len({repr(product) for product in PRODUCTS}) == len(PRODUCTS)


@pytest.mark.parametrize("product", PRODUCTS, ids=repr)
@pytest.mark.parametrize("classes", [2, 3, 4, 11])
def test_files_are_valid_cloud_optimised_geotiffs(tmp_path: Path, product: Product, classes: int) -> None:
    scores, valid = random_scores(classes, (300, 520))
    path = written(tmp_path, product, scores, valid, 256)
    assert cog_validate(path, strict=True) == (True, [], [])
    spec = product.spec(path, grid(valid.shape), schema(classes), {})
    with rasterio.open(path) as dataset:
        assert dataset.count == spec.count
        assert dataset.descriptions == spec.descriptions
        assert "alpha" not in {one.name for one in dataset.colorinterp}  # a class, not a mask
        assert dataset.tags().items() >= {"MADE": "here", **spec.tags}.items()
        assert dataset.overviews(1) == [2, 4]
        assert dataset.dtypes == (spec.read_dtype.name,) * spec.count


@pytest.mark.parametrize("product", PRODUCTS, ids=repr)
def test_no_value_of_an_overview_lies_outside_those_it_stands_for(tmp_path: Path, product: Product) -> None:
    scores, valid = random_scores(3, (300, 520))
    path = written(tmp_path, product, scores, valid, 256)
    with rasterio.open(path) as dataset, rasterio.open(path, overview_level=0) as overview:
        for band in range(1, dataset.count + 1):
            fine, coarse = dataset.read(band, masked=True), overview.read(band, masked=True)
            coarse = np.ma.masked_invalid(coarse)
            fine = np.ma.masked_invalid(fine)
            assert fine.min() <= coarse.min() <= coarse.max() <= fine.max()
            assert coarse.count() > fine.count() / 4


# --- the class map --------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 99), classes=st.integers(2, 255))
@settings(deadline=None, max_examples=15)
def test_the_class_map_holds_the_first_of_the_highest(seed: int, classes: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 3, (classes, 4, 5)).astype(np.float32)
    labels = ClassMap().encode(scores, np.ones((4, 5), np.bool_))
    for row, col in np.ndindex(4, 5):
        column = scores[:, row, col].tolist()
        assert labels[row, col] == column.index(max(column))
    np.testing.assert_array_equal(labels, class_map(scores, np.ones((4, 5), np.bool_)))


def test_the_class_map_carries_its_classes(tmp_path: Path) -> None:
    path = written(tmp_path, ClassMap(), *random_scores(3, (40, 50)))
    assert read_class_schema(path) == schema(3)
    with rasterio.open(path) as dataset:
        assert dataset.colormap(1)[2] == (0, 0, 2, 255)
        assert dataset.nodata == 255
    with pytest.raises(SceneError, match="is a class map"):
        open_scores(path)


# --- scores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("classes", [2, 3, 4, 11])
def test_scores_are_read_back_as_logits(tmp_path: Path, encoding: Any, classes: int) -> None:
    scores, valid = random_scores(classes, (70, 130))
    path = written(tmp_path, Scores(encoding), scores, valid)
    with open_scores(path) as scene:
        assert scene.band_names == schema(classes).names
        found, known = read_whole(scene)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(known, valid)
    assert (found[:, ~valid] == 0).all()
    if encoding == "float32":
        np.testing.assert_array_equal(found[:, valid], scores[:, valid])
    elif encoding == "float16":
        rounded = scores[:, valid].astype(np.float16).astype(np.float32)
        kept = rounded.argmax(0) == scores[:, valid].argmax(0)
        np.testing.assert_array_equal(found[:, valid][:, kept], rounded[:, kept])
        np.testing.assert_array_equal(found[:, valid].argmax(0), scores[:, valid].argmax(0))
    else:
        step = 1 / 254
        exact = softmax(scores[:, valid])
        # Half a step of rounding, half a step where 0 is read as more than 0, and what the sum is off by.
        np.testing.assert_allclose(softmax(found[:, valid]), exact, atol=step * (1 + classes / 2))
        assert (np.take_along_axis(exact, found[:, valid].argmax(axis=0)[None], 0)[0] > exact.max(axis=0) - step).all()


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("spread", [0.5, 3.0, 30.0])
def test_probabilities_are_rounded_and_shown_as_shares(tmp_path: Path, classes: int, spread: float) -> None:
    scores, valid = random_scores(classes, (30, 40), spread=spread)
    path = written(tmp_path, Scores("uint8"), scores, valid)
    with rasterio.open(path) as dataset:
        assert dataset.tags()["CRISPMAP_SCORES"] == "probability/254"
        assert dataset.scales == pytest.approx((1 / 254,) * classes)
        assert dataset.offsets == (0.0,) * classes
        stored = dataset.read()[:, valid]
    assert np.abs(stored / 254 - softmax(scores[:, valid])).max() <= 0.5 / 254 + 1e-6
    assert np.abs(stored.sum(axis=0).astype(int) - 254).max() <= classes / 2
    assert stored.max() <= 254


def test_probabilities_may_be_said_to_be_something_else(tmp_path: Path) -> None:
    scores, valid = random_scores(3, (30, 40))
    path = written(tmp_path, Scores("uint8"), scores, valid)
    with rasterio.open(path) as dataset:
        stored = dataset.read()[:, valid].astype(np.float32)
    np.testing.assert_array_equal(read_back(path, kind="probability")[0], read_back(path)[0])
    np.testing.assert_array_equal(read_back(path, kind="logit")[0][:, valid], stored)
    assert np.abs(read_back(path, full_scale=255)[0] - read_back(path)[0]).max() > 0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_scores_beyond_every_measure_stay_finite(tmp_path: Path, encoding: Any) -> None:
    scores = np.float32([[[1e30, -1e30, 70_000, 0]], [[-1e30, 1e30, -70_000, 1e-30]]])
    path = written(tmp_path, Scores(encoding), scores, np.ones((1, 4), np.bool_))
    found, known = read_back(path)
    assert known.all()
    assert np.isfinite(found).all()
    assert found.argmax(axis=0).tolist()[0][:3] == [0, 1, 0]


def test_coarser_scores_take_less_room(tmp_path: Path) -> None:
    """Noise, which compresses least."""
    scores, _ = random_scores(3, (512, 512))
    scores = np.nan_to_num(scores, posinf=0)
    sizes = []
    for product in PRODUCTS[1:4]:
        folder = tmp_path / repr(product)
        folder.mkdir()
        sizes.append(written(folder, product, scores, np.ones((512, 512), np.bool_), 512).stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
    assert sizes[2] < 0.33 * sizes[0]


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(InputError, match="as 'int8'") as caught:
        Scores("int8")  # type: ignore[arg-type]
    assert caught.value.expected == "one of float32, float16, uint8"


# --- certainty ------------------------------------------------------------------------------------------------


@given(classes=st.integers(2, 12), seed=st.integers(0, 99), spread=st.sampled_from([0.0, 0.1, 1.0, 10.0, 1000.0]))
@settings(deadline=None, max_examples=25)
def test_certainty_is_that_of_the_softmax(classes: int, seed: int, spread: float) -> None:
    scores, valid = random_scores(classes, (6, 7), seed, spread)
    confidence, entropy = Confidence().encode(scores, valid).astype(np.float64)[:, valid]
    exact = softmax(scores[:, valid])
    np.testing.assert_allclose(confidence, exact.max(axis=0), atol=5e-4)
    np.testing.assert_allclose(entropy, stats.entropy(exact, axis=0, base=classes), atol=5e-4)
    for band in (confidence, entropy):
        assert (band >= 0).all()
        assert (band <= 1).all()


def test_certainty_is_no_scores(tmp_path: Path) -> None:
    path = written(tmp_path, Confidence(), *random_scores(3, (40, 50)))
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == ("confidence", "entropy")
    for kind in ("auto", "logit", "probability"):
        with pytest.raises(SceneError, match=r"holds the confidence of a map"):
            open_scores(path, kind=kind)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=200)
@given(st.data(), st.integers(2, 5), st.floats(-4, 4.9))
def test_scores_in_half_precision_change_no_label(data: st.DataObject, classes: int, exponent: float) -> None:
    """Of scores that differ in float32 alone, that are equal, that are beyond half precision, and where invalid."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    base = random.normal(size=(1, 16, 16)) * 10**exponent
    scores = (base * (1 + random.integers(0, 4, (classes, 16, 16)) * 1e-6)).astype(np.float32)
    valid = random.random((16, 16)) < 0.9
    half = Scores("float16").encode(scores, valid)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half.astype(np.float32).argmax(0)[valid], scores.argmax(0)[valid])
    assert np.isfinite(half[:, valid]).all()
    assert np.isnan(half[:, ~valid]).all()
    inside = np.abs(scores) < 65_472
    errors = np.abs(half.astype(np.float32) - scores)[inside & valid]
    assert (errors <= 1.5 * np.maximum(np.abs(scores)[inside & valid] * 2.0**-10, 2.0**-24)).all()


def test_floats_are_packed_fast_and_maps_for_every_program(tmp_path: Path) -> None:
    scores, valid = random_scores(3, (40, 40))
    for product, expected in ((ClassMap(), "DEFLATE"), (Scores(), "ZSTD"), (Scores("float16"), "ZSTD"),
                              (Scores("uint8"), "DEFLATE"), (Confidence(), "ZSTD")):  # fmt: skip
        path = written(tmp_path, product, scores, valid, 256)
        with rasterio.open(path) as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == expected
        path.unlink()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_a_map_has_the_first_of_the_highest_scores(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-2, 3, (classes, 9, 7)).astype(np.float32)  # with ties
    valid = random.random((9, 7)) < 0.8
    scores[:, ~valid] = random.choice([0, np.nan, np.inf])
    before = scores.copy()
    found = class_map(scores, valid)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.where(valid, before.argmax(0), 255))
    np.testing.assert_array_equal(scores, before)
