"""Pictures from arrays, read back with Pillow."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError
from crispmap.report.pages.html import data_uri
from crispmap.report.pictures.maps import (
    ERROR_COLOURS,
    class_map_png,
    class_rgb,
    diverging_png,
    error_map_png,
    heat_png,
)
from crispmap.report.pictures.photos import UNKNOWN_GREY, averaged, every, every_nth, photo_jpeg, rgb_preview
from crispmap.report.pictures.strip import strip_png
from crispmap.types import IGNORE

SCHEMA = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61")))
SETTINGS = settings(deadline=None, max_examples=30)


def rgba(content: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


# --- rgb_preview -------------------------------------------------------------------------------------------------


def test_preview_stretches_between_the_percentiles() -> None:
    ramp = np.arange(10_001, dtype=np.float32).reshape(1, 1, -1).repeat(3, axis=0)
    shown = rgb_preview(ramp)
    assert shown.shape == (3, 1, 10_001)
    assert shown.dtype == np.uint8
    assert shown[0, 0, 200] == 0
    assert shown[0, 0, 9800] == 255
    assert shown[0, 0, 5000] in (127, 128)
    assert (np.diff(shown[0, 0].astype(int)) >= 0).all()


@SETTINGS
@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=9)))
def test_preview_of_anything_is_a_picture(image: np.ndarray[Any, Any]) -> None:
    shown = rgb_preview(image)
    assert shown.shape == (3, *image.shape[1:])
    assert (shown[~np.isfinite(image[[0, 1, 2] if len(image) > 2 else [0, 0, 0]])] == UNKNOWN_GREY).all()


@SETTINGS
@given(arrays(np.int16, (3, 6, 7), elements=st.integers(0, 2000)), st.sampled_from([0.5, 2, 8]), st.integers(-99, 99))
def test_preview_ignores_gain_and_offset(image: np.ndarray[Any, Any], gain: float, offset: int) -> None:
    as_it_is, changed = (rgb_preview(one).astype(int) for one in (image, image * gain + offset))
    np.testing.assert_allclose(as_it_is, changed, atol=1)  # halves of a level round either way


def test_preview_shows_constant_unknown_and_grey_images() -> None:
    assert (rgb_preview(np.full((3, 4, 5), 7.0)) == UNKNOWN_GREY).all()
    assert (rgb_preview(np.full((4, 2, 2), np.nan)) == UNKNOWN_GREY).all()
    grey = rgb_preview(np.arange(12.0).reshape(1, 3, 4))
    np.testing.assert_array_equal(grey[0], grey[2])
    assert grey.max() == 255


def test_preview_shows_the_rare_pixels_of_a_nearly_constant_band() -> None:
    image = np.zeros((1, 100, 100))
    image[0, 3, 4] = 5
    assert rgb_preview(image)[0, 3, 4] == 255


def test_preview_leaves_out_what_a_mask_calls_unknown() -> None:
    image = np.random.default_rng(2).normal(100, 5, (3, 20, 20))
    valid = np.ones((20, 20), bool)
    valid[:12] = False
    masked = rgb_preview(np.where(valid, image, 0), valid=valid)
    np.testing.assert_array_equal(masked[:, 12:], rgb_preview(image[:, 12:]))
    assert (masked[:, :12] == UNKNOWN_GREY).all()
    with pytest.raises(InputError, match="mask"):
        rgb_preview(image, valid=valid[1:])


def test_preview_picks_bands() -> None:
    image = np.random.default_rng(1).normal(size=(4, 5, 5))
    np.testing.assert_array_equal(rgb_preview(image, (3, 0, 1)), rgb_preview(image[[3, 0, 1]]))


@pytest.mark.parametrize(
    ("image", "bands"),
    [
        (np.zeros((4, 4)), (0, 1, 2)),
        (np.zeros((3, 0, 4)), (0, 1, 2)),
        (np.zeros((0, 4, 4)), (0, 1, 2)),
        (np.zeros((3, 4, 4)), (0, 1, 3)),
        (np.zeros((3, 4, 4)), (-1, 1, 2)),
    ],
)
def test_preview_refuses(image: np.ndarray[Any, Any], bands: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"shape|Bands"):
        rgb_preview(image, bands)


# --- thinning and photos -----------------------------------------------------------------------------------------


@SETTINGS
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 80))
def test_thinned_maps_and_photos_have_one_size(height: int, width: int, limit: int) -> None:
    labels = np.arange(height * width).reshape(height, width).astype(np.uint8)
    thin = every(labels, limit)
    photo = Image.open(io.BytesIO(photo_jpeg(np.zeros((3, height, width), np.uint8), max_side_px=limit)))
    assert thin.shape == (photo.height, photo.width)
    assert max(thin.shape) <= limit
    assert set(thin.ravel()) <= set(labels.ravel())


def test_nothing_is_thinned_without_need() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(every(labels, 4), labels)
    np.testing.assert_array_equal(every(np.arange(9)[None], 3), [[1, 4, 7]])


@SETTINGS
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_averaged_images_keep_their_mean_and_the_size_of_thinned_maps(height: int, width: int, n: int) -> None:
    image = np.random.default_rng(height).integers(0, 255, (2, height, width), dtype=np.uint8)
    means = averaged(image, n)
    assert means.shape == every_nth(image, n).shape
    whole = image[:, : height // n * n, : width // n * n]
    inner = means[:, : height // n, : width // n]
    np.testing.assert_allclose(inner.sum((1, 2)) * n * n, whole.astype(np.float64).sum((1, 2)), rtol=1e-4)
    assert (means >= image.min() - 1e-3).all()
    assert (means <= image.max() + 1e-3).all()


def test_photo_keeps_its_colours() -> None:
    rgb = np.zeros((3, 32, 48), np.uint8)
    rgb[0], rgb[1, :, 24:] = 200, 90
    shown = np.asarray(Image.open(io.BytesIO(photo_jpeg(rgb, quality=95)))).astype(int)
    np.testing.assert_allclose(shown[:, :16].mean((0, 1)), (200, 0, 0), atol=4)
    np.testing.assert_allclose(shown[:, 32:].mean((0, 1)), (200, 90, 0), atol=4)


@pytest.mark.parametrize(
    "rgb",
    [np.zeros((3, 4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((3, 4), np.uint8), np.zeros((3, 0, 4), np.uint8)],
)
def test_photo_refuses(rgb: np.ndarray[Any, Any]) -> None:
    with pytest.raises(InputError, match="photo"):
        photo_jpeg(rgb)


# --- maps --------------------------------------------------------------------------------------------------------


@SETTINGS
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_class_map_reads_back_as_its_colours(labels: np.ndarray[Any, Any]) -> None:
    shown = rgba(class_map_png(labels, SCHEMA))
    assert shown.shape == (*labels.shape, 4)
    for class_id, one in enumerate(SCHEMA):
        assert (shown[labels == class_id] == (*one.rgb, 255)).all()
    assert (shown[labels >= len(SCHEMA)][:, 3] == 0).all()


def test_class_map_of_the_largest_schema() -> None:
    schema = ClassSchema(tuple(ClassDef(f"class {k}", f"#{k:02x}8040") for k in range(255)))
    shown = rgba(class_map_png(np.arange(256, dtype=np.uint8).reshape(16, 16), schema))
    assert shown[15, 14].tolist() == [254, 128, 64, 255]
    assert shown[15, 15, 3] == 0


def test_class_map_is_small() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (64, 64)).astype(np.uint8)
    assert len(class_map_png(labels, SCHEMA)) < 64 * 64 / 4 + 200


def test_class_rgb_agrees_with_the_png() -> None:
    labels = np.array([[0, 1], [2, IGNORE]], np.uint8)
    shown = rgba(class_map_png(labels, SCHEMA))
    picture = np.moveaxis(class_rgb(labels, SCHEMA, unknown=(1, 2, 3)), 0, -1)
    known = labels != IGNORE
    np.testing.assert_array_equal(picture[known], shown[known][:, :3])
    assert picture[1, 1].tolist() == [1, 2, 3]


def test_heat_grows_lighter_and_is_transparent_where_unknown() -> None:
    probability = np.array([[0, 0.25, 0.5, 0.75, 1, np.nan, -3, 7]], np.float32)
    shown = rgba(heat_png(probability)).astype(int)[0]
    lightness = shown[:5, :3] @ (0.299, 0.587, 0.114)
    assert (np.diff(lightness) > 20).all()
    assert shown[5, 3] == 0
    np.testing.assert_array_equal(shown[6], shown[0])
    np.testing.assert_array_equal(shown[7], shown[4])


@SETTINGS
@given(st.integers(0, 2**31), st.integers(0, 2))
def test_error_map_counts_what_the_arrays_say(seed: int, class_id: int) -> None:
    predicted, reference = np.random.default_rng(seed).choice([0, 1, 2, IGNORE], (2, 9, 8)).astype(np.uint8)
    shown = rgba(error_map_png(predicted, reference, class_id))
    for row, col in np.ndindex(predicted.shape):
        ours, theirs = predicted[row, col], reference[row, col]
        if IGNORE in (ours, theirs):
            assert shown[row, col, 3] == 0
            continue
        kinds = {(1, 1): "hit", (0, 1): "miss", (1, 0): "false alarm", (0, 0): "neither"}
        kind = kinds[int(ours == class_id), int(theirs == class_id)]
        assert tuple(shown[row, col]) == ERROR_COLOURS[kind]


def test_pictures_of_values_are_white_at_0_red_above_blue_below() -> None:
    values = np.zeros((8, 8))
    values[0, 0], values[0, 1] = 5, -5
    picture = rgba(diverging_png(values))[..., :3].astype(int)
    assert (picture[4, 4] == 255).all()
    assert picture[0, 0, 0] > picture[0, 0, 2]
    assert picture[0, 1, 2] > picture[0, 1, 0]
    assert (rgba(diverging_png(np.zeros((5, 5)))) == 255).all()


@pytest.mark.parametrize("shape", [(0, 3), (2, 2, 2), (4,)])
def test_maps_refuse_what_is_no_plane(shape: tuple[int, ...]) -> None:
    labels = np.zeros(shape, np.uint8)
    for make in (
        lambda: class_map_png(labels, SCHEMA),
        lambda: heat_png(labels.astype(np.float32)),
        lambda: error_map_png(labels, labels, 0),
    ):
        with pytest.raises(InputError, match="row, col"):
            make()


def test_error_map_refuses_other_shapes() -> None:
    with pytest.raises(InputError, match="one shape"):
        error_map_png(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 1)


def test_data_uri_names_the_kind() -> None:
    png, jpeg = class_map_png(np.zeros((2, 2), np.uint8), SCHEMA), photo_jpeg(np.zeros((3, 2, 2), np.uint8))
    assert data_uri(png).startswith("data:image/png;base64,")
    head, _, tail = data_uri(jpeg).partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(tail) == jpeg


# --- strips ------------------------------------------------------------------------------------------------------


def test_strip_holds_every_picture_with_crisp_pixels() -> None:
    labels = np.array([[0, 1], [2, 1]], np.uint8)
    picture = class_rgb(labels, SCHEMA)
    legend = [(one.name, one.rgb) for one in SCHEMA]
    sheet = rgba(strip_png([[picture] * 3, [picture] * 3], ("a", "b", "c"), legend, tile_px=64))[..., :3]
    for one, tiles in ((SCHEMA[2], 1), (SCHEMA[1], 2)):
        area = (sheet == one.rgb).all(-1).sum()
        # Six pictures of 64 pixels a side, a quarter for each label, and a square in the legend.
        assert 0 <= area - 6 * tiles * 32 * 32 <= 256


def test_strip_fits_large_and_mixed_pictures() -> None:
    pictures = [np.full((3, 300, 100), 7, np.uint8), np.full((3, 5, 9), 9, np.uint8)]
    sheet = rgba(strip_png([pictures], ("large", "small"), tile_px=100))
    assert sheet.shape[1] == 8 + 2 * 108
    assert (sheet[..., 0] == 7).sum() == 100 * 33
    assert (sheet[..., 0] == 9).sum() == 11 * 11 * 45


def test_strip_tiles_grow_to_the_nearest_whole_multiple() -> None:
    sheet = rgba(strip_png([[np.zeros((3, 160, 160), np.uint8)]], ("a",), tile_px=256))
    assert sheet.shape[1] == 320 + 16


def test_strip_breaks_a_long_legend_into_lines() -> None:
    picture = np.zeros((3, 64, 64), np.uint8)
    legend = [(f"a rather long name {k}", (200, 10 * k, 7)) for k in range(9)]
    sheet = rgba(strip_png([[picture] * 4], ("a",) * 4, legend, tile_px=64))[..., :3]
    for _, colour in legend:
        assert (sheet == colour).all(-1).sum() == 14 * 14


def test_strip_refuses_rows_that_do_not_fit() -> None:
    picture = np.zeros((3, 2, 2), np.uint8)
    for rows in ([], [[picture]]):
        with pytest.raises(InputError, match="headings"):
            strip_png(rows, ("a", "b"))


def test_pictures_are_the_same_every_time() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (40, 40)).astype(np.uint8)
    heat = rng.random((40, 40), dtype=np.float32)
    rgb = class_rgb(labels, SCHEMA)
    for make in (
        lambda: class_map_png(labels, SCHEMA),
        lambda: heat_png(heat),
        lambda: photo_jpeg(rgb),
        lambda: strip_png([[rgb]], ("x",), [("y", (1, 2, 3))]),
    ):
        assert make() == make()
