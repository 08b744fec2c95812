from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import special

from crispmap.errors import GeoreferenceWarning, SceneError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.arrays import ArrayScene
from crispmap.raster.scene import read_whole
from crispmap.raster.scores import open_scores, read_as_scores
from crispmap.raster.spec import RasterSpec
from crispmap.raster.writer import RasterWriter, scores_writer

Maker = Callable[..., Path]


def read(path: Path, **options: Any) -> tuple[Any, Any]:
    with open_scores(path, **options) as scene:
        scores, valid = read_whole(scene)
        assert scene.band_count == len(scores)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert (scores[:, ~valid] == 0).all()
    return scores, valid


def probabilities(count: int, height: int = 20, width: int = 30, seed: int = 0) -> Any:
    logits = np.random.default_rng(seed).normal(size=(count, height, width)) * 2
    return special.softmax(logits, axis=0).astype(np.float32)


# --- one band -----------------------------------------------------------------------------------------------


def test_one_float_band_of_probabilities(make_raster: Maker) -> None:
    p = np.random.default_rng(0).uniform(0.01, 0.99, (1, 9, 9)).astype(np.float32)
    scores, valid = read(make_raster(p))
    assert valid.all()
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1], p[0], atol=1e-6)
    np.testing.assert_allclose(scores[1] - scores[0], special.logit(p[0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores[0], -scores[1])


def test_certain_probabilities_are_clipped(make_raster: Maker) -> None:
    scores, _ = read(make_raster(np.array([[[0.0, 1.0, 0.5]]], np.float32)))
    np.testing.assert_allclose(scores[1, 0] * 2, special.logit([1e-4, 1 - 1e-4, 0.5]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "largest", "scale"),
    [("uint8", 255, 255), ("uint8", 40, 255), ("uint16", 10_000, 10_000), ("uint16", 10_001, 65_535),
     ("int16", 9_000, 10_000), ("int16", 30_000, 32_767)],
)  # fmt: skip
def test_one_integer_band_is_a_share_of_its_full_scale(
    make_raster: Maker, dtype: str, largest: int, scale: int
) -> None:
    values = np.linspace(0, largest, 50).astype(dtype).reshape(1, 5, 10)
    scores, _ = read(make_raster(values))
    half = 0.5 / (scale + 1)
    expected = special.logit(np.clip(values[0] / scale, half, 1 - half))
    np.testing.assert_allclose(scores[1] - scores[0], expected, rtol=1e-3, atol=1e-5)


def test_the_full_scale_may_be_given(make_raster: Maker) -> None:
    percent = np.array([[[0, 25, 50, 100]]], np.uint8)
    scores, _ = read(make_raster(percent), full_scale=100)
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1, 0, 1:3], [0.25, 0.5], atol=1e-6)
    scores, _ = read(make_raster(percent.astype(np.float32)), full_scale=100, kind="probability")
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1, 0], [1e-4, 0.25, 0.5, 1 - 1e-4], atol=1e-6)
    scores, _ = read(make_raster(np.array([[[0, 1, 1]]], np.uint8)), full_scale=1)
    assert (np.sign(scores[1, 0]) == [-1, 1, 1]).all()
    scores, _ = read(make_raster(np.array([[[0, 50, 100]]], np.int32)), full_scale=100)
    assert (np.sign(scores[1, 0]) == [-1, 0, 1]).all()


def test_one_float_band_beyond_the_unit_interval_is_a_logit(make_raster: Maker) -> None:
    z = np.random.default_rng(0).normal(size=(1, 9, 9)).astype(np.float32) * 3
    scores, _ = read(make_raster(z))
    np.testing.assert_allclose(scores, np.stack([-z[0] / 2, z[0] / 2]))


def test_one_logit_band_that_looks_like_probabilities(make_raster: Maker) -> None:
    z = np.array([[[0.1, 0.9]]], np.float32)
    scores, _ = read(make_raster(z), kind="logit")
    np.testing.assert_allclose(scores, np.stack([-z[0] / 2, z[0] / 2]))


def test_a_class_map_is_no_scores(make_raster: Maker) -> None:
    ids = np.array([[[0, 1], [2, 1]]], np.uint8)
    path = make_raster(ids, after=lambda dataset: dataset.update_tags(CRISPMAP_CLASSES="[]"))
    for kind in ("auto", "probability"):
        with pytest.raises(SceneError, match="is a class map") as caught:
            open_scores(path, kind=kind)  # type: ignore[arg-type]
        assert "scores" in caught.value.remedy


def test_order_is_kept(make_raster: Maker) -> None:
    """The larger the stored value, the larger the score of class 1: re-thresholding loses nothing."""
    scores, _ = read(make_raster(np.arange(256, dtype=np.uint8).reshape(1, 16, 16)))
    z = (scores[1] - scores[0]).ravel()
    assert (np.diff(z[1:-1]) > 0).all()
    assert (np.diff(z) >= 0).all()


# --- several bands ------------------------------------------------------------------------------------------


@given(count=st.integers(2, 7), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=15)
def test_bands_of_probabilities_become_centred_logs(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    p = probabilities(count, seed=seed)
    grid = Grid(None, Affine.scale(2, -2), p.shape[1:])
    path = tmp_path_factory.mktemp("p") / "p.tif"
    with RasterWriter(RasterSpec(path, grid, count=count, dtype="float32", nodata=None)) as writer:
        writer.write(grid.block, p)
    scores, _ = read(path)
    np.testing.assert_allclose(special.softmax(scores, axis=0), p, atol=2e-3)
    np.testing.assert_allclose(scores.sum(axis=0), 0, atol=1e-4)
    np.testing.assert_array_equal(scores.argmax(axis=0), p.argmax(axis=0))


def test_two_bands_equal_one(make_raster: Maker) -> None:
    p = np.random.default_rng(0).uniform(0.01, 0.99, (5, 5)).astype(np.float32)
    two, _ = read(make_raster(np.stack([1 - p, p])))
    one, _ = read(make_raster(p[None]))
    np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize(("dtype", "scale"), [("uint8", 255), ("uint16", 10_000), ("uint16", 65_535)])
def test_integer_bands_that_sum_to_the_scale(make_raster: Maker, dtype: str, scale: int) -> None:
    p = probabilities(3)
    p[:, 0, 0] = 0, 1, 0
    scores, _ = read(make_raster(np.rint(p * scale).astype(dtype)))
    np.testing.assert_allclose(special.softmax(scores, axis=0), p, atol=0.02)


def test_bands_of_logits_stay_as_they_are(make_raster: Maker) -> None:
    z = np.random.default_rng(0).normal(size=(4, 9, 9)).astype(np.float32)
    np.testing.assert_array_equal(read(make_raster(z))[0], z)
    p = probabilities(3)
    np.testing.assert_array_equal(read(make_raster(p), kind="logit")[0], p)


def test_bands_within_the_unit_interval_that_do_not_sum_to_one_are_refused(make_raster: Maker) -> None:
    path = make_raster(np.full((3, 4, 4), 0.9, np.float32))
    with pytest.raises(SceneError):
        open_scores(path)
    scores, _ = read(path, kind="probability")  # as independent probabilities: equal ones, no preference
    np.testing.assert_allclose(scores, 0, atol=1e-6)


def test_an_image_is_not_taken_for_scores(make_raster: Maker) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (3, 9, 9)).astype(np.uint8)
    with pytest.raises(SceneError, match=r"do not sum to 255[\s\S]*not of image bands"):
        open_scores(make_raster(rgb))


# --- invalid pixels -----------------------------------------------------------------------------------------


def test_invalid_pixels_have_score_zero(make_raster: Maker) -> None:
    p = probabilities(3)
    p[:, 3, 4] = np.nan
    p[1, 5, 6] = np.nan
    _, valid = read(make_raster(p, nodata=float("nan")))
    assert sorted(zip(*np.nonzero(~valid), strict=True)) == [(3, 4), (5, 6)]
    one = np.full((1, 3, 3), -9999.0, np.float32)
    one[0, 1, 1] = 0.7
    scores, valid = read(make_raster(one, nodata=-9999.0))
    assert valid.sum() == 1
    assert special.expit(2 * scores[1, 1, 1]) == pytest.approx(0.7)


def test_a_raster_without_any_valid_pixel_is_read_as_zeros(make_raster: Maker) -> None:
    for dtype, count in (("float32", 1), ("float32", 3), ("uint8", 1), ("uint8", 3)):
        scores, valid = read(make_raster(np.zeros((count, 4, 4), dtype), nodata=0))
        assert not valid.any()
        assert len(scores) == max(2, count)


def test_blocks_beyond_the_border_are_reflected(make_raster: Maker) -> None:
    path = make_raster(probabilities(3, 5, 6))
    whole, _ = read(path)
    with open_scores(path) as scene:
        image, _ = scene.read(Block(-4, -9, 20, 30))
    padded = np.pad(whole, [(0, 0), (4, 11), (9, 15)], mode="symmetric")
    np.testing.assert_array_equal(image, padded)


# --- kinds that are ambiguous ------------------------------------------------------------------------------------


def test_values_out_of_range_outside_the_sample_are_an_error(make_raster: Maker) -> None:
    values = np.full((1, 256 * 5, 256 * 33), 0.5, np.float32)  # every third window is looked at
    values[0, 0, 0] = 7
    with open_scores(make_raster(values)) as scene:
        scene.read(Block(5, 5, 9, 9))
        with pytest.raises(SceneError, match=r"probabilities of 0\.5\.\.7 at rows 0\.\.3, columns 0\.\.4"):
            scene.read(Block(0, 0, 4, 5))


def test_values_out_of_range_are_an_error_when_said_to_be_probabilities(make_raster: Maker) -> None:
    path = make_raster(np.full((1, 2, 2), -3.0, np.float32))
    with open_scores(path, kind="probability") as scene, pytest.raises(SceneError, match="between 0 and 1"):
        read_whole(scene)


@pytest.mark.parametrize("classes", [2, 3, 8, 21])
def test_class_ids_are_refused_unless_the_scale_is_given(make_raster: Maker, classes: int) -> None:
    path = make_raster(np.arange(classes, dtype=np.uint8).reshape(1, 1, classes))
    with pytest.raises(SceneError):
        open_scores(path)
    read(path, full_scale=255)
    read(make_raster(np.array([[[0, 0]]], np.uint8)))


SHARE = np.random.default_rng(0).random((9, 9))
UNCLEAR = {
    "float percent": (SHARE * 100, 100), "float of 8 bits": (SHARE * 255, 255), "float of 10000": (SHARE * 1e4, 1e4),
    "float beyond 1": (SHARE * 1.5, 1.5), "8-bit percent": ((SHARE * 100).astype(np.uint8), 100),
    "16-bit percent": ((SHARE * 100).astype(np.uint16), 100), "per mille": ((SHARE * 1000).astype(np.int16), 1000),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(UNCLEAR))
def test_values_of_an_unknown_scale_are_asked_about(make_raster: Maker, name: str) -> None:
    """The error names their range, and with the scale given they are the shares they are."""
    values, scale = UNCLEAR[name]
    path = make_raster(np.asarray(values, values.dtype if values.dtype.kind in "ui" else np.float32)[None])
    with pytest.raises(SceneError) as caught:
        open_scores(path)
    assert "full_scale=" in caught.value.remedy
    assert f"{float(np.float32(values.max())):.4g}"[:4] in caught.value.given
    scores, _ = read(path, full_scale=scale)
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1], values / scale, atol=0.01)


# --- the habits of other tools -----------------------------------------------------------------------------------

HABITS = [
    ("float32", 1), ("float32", 100), ("float32", 255), ("uint8", 100), ("uint8", 255), ("uint16", 100),
    ("int16", 1000), ("int16", 10_000), ("uint16", 10_000), ("int16", 32_767), ("uint16", 65_535), ("int32", 10_000),
]  # fmt: skip


@settings(max_examples=40)
@given(st.sampled_from(HABITS), st.integers(2, 7), st.integers(0, 99))
def test_classes_that_sum_to_a_known_scale_need_no_word(habit: tuple[str, int], count: int, seed: int) -> None:
    dtype, scale = habit
    p = probabilities(count, 6, 8, seed)
    stored = p * np.float32(scale)
    stored = np.rint(stored).astype(dtype) if dtype != "float32" else stored
    source = ArrayScene(stored, Grid(None, Affine.scale(1, -1), (6, 8)))
    scene = read_as_scores(source, {})
    scores, _ = read_whole(scene)
    np.testing.assert_allclose(special.softmax(scores, axis=0), p, atol=count * 0.6 / scale + 2e-3)
    assert scene.reading().startswith("probabilities" if scale == 1 else f"probabilities of 0 to {scale:,}")
    shared = np.concatenate([stored[:1] * 0.5, stored[1:]]).astype(dtype)  # independent shares, or an image
    with pytest.raises(SceneError) as caught:
        read_as_scores(ArrayScene(shared, source.grid), {})
    assert "kind=" in caught.value.remedy


def test_classes_said_to_be_probabilities_keep_the_scale_of_their_sum(make_raster: Maker) -> None:
    p = probabilities(3)
    scores, _ = read(make_raster(p * np.float32(100)), kind="probability")
    np.testing.assert_allclose(special.softmax(scores, axis=0), p, atol=1e-3)


@pytest.mark.parametrize(("dtype", "nodata"), [("int16", -9999), ("uint16", 65_535)])
def test_probability_cubes_of_sits(make_raster: Maker, dtype: str, nodata: int) -> None:
    """As sits writes them: 1 to 10,000, a band a class, nameless, nothing said of scale; both its types."""
    p = probabilities(4)
    stored = np.clip(np.rint(p * 10_000), 1, 10_000).astype(dtype)
    stored[:, :3] = nodata
    path = make_raster(stored, nodata=nodata, name="TERRA_MODIS_012010_2013-09-14_2014-08-29_probs_v1.tif")
    with open_scores(path, class_names=("Cerrado", "Forest", "Pasture", "Soy")) as scene:
        scores, valid = read_whole(scene)
        assert scene.reading() == "probabilities of 0 to 10,000, its bands in order Cerrado, Forest, Pasture, Soy"
    assert not valid[:3].any()
    np.testing.assert_allclose(special.softmax(scores, axis=0)[:, valid], p[:, valid], atol=1e-3)


def test_nodata_that_an_integer_file_does_not_declare_is_named_in_the_remedy(make_raster: Maker) -> None:
    stored = np.rint(probabilities(3) * 10_000).astype(np.int16)
    stored[:, 0, 0] = -9999
    with pytest.raises(SceneError) as caught:
        open_scores(make_raster(stored))
    assert "nodata" in caught.value.remedy


def test_a_scale_that_the_file_declares_is_taken(make_raster: Maker) -> None:
    def declare(dataset: Any) -> None:
        dataset.scales = (0.0001,)

    values = np.array([[[3, 400, 700]]], np.int16)  # far below the scale, and clear all the same
    with pytest.raises(SceneError):
        open_scores(make_raster(values, name="bare.tif"))
    path = make_raster(values, after=declare)
    with open_scores(path) as scene:
        assert scene.reading() == "probabilities of 0 to 10,000 of band_1, the second of two classes"
    scores, _ = read(path)
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1, 0], values[0, 0] / 1e4, atol=1e-6)
    image = np.random.default_rng(0).integers(300, 4000, (3, 9, 9), np.int16)  # reflectance declares it too
    with pytest.raises(SceneError):
        open_scores(make_raster(image, name="image.tif", after=lambda file: setattr(file, "scales", (1e-4,) * 3)))


def test_logits_and_our_own_files_say_so_too(make_raster: Maker, tmp_path: Path) -> None:
    with open_scores(make_raster(np.array([[[-3.0, 2.0]]], np.float32)), class_names=("a", "b")) as scene:
        assert scene.reading() == "logits of b, the second of two classes"
    grid = Grid(None, Affine.scale(2, -2), (1, 2))
    with scores_writer(tmp_path / "s.tif", grid, ("a", "b")) as writer:
        writer.write(grid.block, np.zeros((2, 1, 2), np.float32))
    with open_scores(tmp_path / "s.tif") as scene:
        assert scene.reading() == "logits, its bands in order a, b"


@pytest.mark.parametrize("values", [[-3.0, 2.0, -9999.0], [0.2, 0.7, -3.4e38], [0.1, 0.9, 1e4]], ids=str)
def test_floats_far_from_0_are_nodata_that_is_not_declared(make_raster: Maker, values: list[float]) -> None:
    path = make_raster(np.array([[values]], np.float32))
    with pytest.raises(SceneError) as caught:
        open_scores(path)
    assert "nodata" in caught.value.remedy
    read(make_raster(np.array([[values]], np.float32), nodata=values[2]))


def test_far_values_outside_the_sample_are_an_error_too(make_raster: Maker) -> None:
    values = np.full((1, 256 * 5, 256 * 33), -0.5, np.float32)  # every third window is looked at
    values[0, 0, 0] = -9999
    with open_scores(make_raster(values)) as scene, pytest.raises(SceneError):
        scene.read(Block(0, 0, 4, 5))


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_negative_whole_numbers_are_asked_about(make_raster: Maker, dtype: str) -> None:
    path = make_raster(np.array([[[-300, 20_000]]], dtype))
    for kind in ("auto", "probability"):
        with pytest.raises(SceneError):
            open_scores(path, kind=kind)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read(path, kind="logit")[0][1, 0], [-150, 10_000])


def test_log_probabilities_and_logits_of_an_empty_scene_are_logits(make_raster: Maker) -> None:
    p = probabilities(3)
    np.testing.assert_allclose(special.softmax(read(make_raster(np.log(p)))[0], axis=0), p, atol=1e-5)
    z = np.array([[[-4.0, -0.5, -7.0]]], np.float32)
    np.testing.assert_array_equal(read(make_raster(z))[0][1] * 2, z[0])


def test_a_scale_of_logits_is_refused(make_raster: Maker) -> None:
    with pytest.raises(SceneError):
        open_scores(make_raster(np.array([[[-3.0, 2.0]]], np.float32)), kind="logit", full_scale=10)


def test_32_bit_integers_need_a_scale(make_raster: Maker) -> None:
    with pytest.raises(SceneError, match="scores as int32"):
        open_scores(make_raster(np.array([[[0, 1]]], np.int32)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "odds"}, "kind of scores is 'odds'"),
        ({"full_scale": 0}, "full_scale is 0"),
        ({"class_names": ("a",)}, r"1 class names are given[\s\S]*2 names: its one band scores the second"),
    ],
)
def test_bad_options_are_refused(make_raster: Maker, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        open_scores(make_raster(np.full((1, 2, 2), 0.5, np.float32)), **options)


def test_class_names(make_raster: Maker) -> None:
    def name(dataset: Any) -> None:
        dataset.set_band_description(1, "building")

    with open_scores(make_raster(np.full((1, 2, 2), 0.5, np.float32), after=name)) as scene:
        assert scene.band_names == ("background", "building")
    path = make_raster(probabilities(3))
    with open_scores(path) as scene:
        assert scene.band_names == ("band_1", "band_2", "band_3")
    with open_scores(path, class_names=["x", "y", "z"]) as scene:
        assert scene.band_names == ("x", "y", "z")
    with pytest.raises(SceneError, match="3 names: one for each of its 3 bands"):
        open_scores(path, class_names=["x", "y"])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="does not exist"):
        open_scores(tmp_path / "none.tif")


def test_a_plain_picture_of_probabilities(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / "soft.png")
    with pytest.warns(GeoreferenceWarning) as caught:
        open_scores(tmp_path / "soft.png").close()
    assert caught[0].filename == __file__
    with open_scores(tmp_path / "soft.png", assume_gsd_m=0.5) as scene:
        assert scene.grid.gsd_m() == (0.5, 0.5)


def test_our_own_scores_come_back_as_they_were(tmp_path: Path) -> None:
    z = np.random.default_rng(0).uniform(size=(3, 50, 60)).astype(np.float32)  # looks like probabilities
    z[:, :4] = np.nan
    grid = Grid(None, Affine.scale(2, -2), (50, 60))
    with scores_writer(tmp_path / "s.tif", grid, ("a", "b", "c")) as writer:
        writer.write(grid.block, z)
    scores, valid = read(tmp_path / "s.tif")
    np.testing.assert_array_equal(scores[:, valid], z[:, 4:].reshape(3, -1))
    assert not valid[:4].any()


@pytest.mark.realdata
def test_the_authors_coarse_map_of_boston(real_data: Path) -> None:
    with Image.open(real_data / "boston3/fullyconv_softClassif.png") as picture:
        stored = np.asarray(picture)
    with open_scores(real_data / "boston3/fullyconv_softClassif.png", assume_gsd_m=1) as scene:
        assert scene.band_names == ("background", "band_1")
        scores, valid = read_whole(scene)
    assert valid.all()
    np.testing.assert_array_equal(scores.argmax(axis=0), stored > 127)
    np.testing.assert_allclose(special.softmax(scores, axis=0)[1], stored / 255, atol=0.003)
