"""The shipped refiner fitted to scenes and scores: of files, and in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

import crispmap
from array_scene import ArrayScene
from crispmap.errors import CrispmapError, SceneError, SchemaError
from crispmap.inference.general import gated_refiner, general_refiner, reason_to_leave, schema_of
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.plan import Cut
from crispmap.inference.predict import Outputs, refine_scene
from crispmap.inference.refine import refined_scores
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.scene import read_whole

SHAPE = (150, 210)
WHERE = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_600_000)}


def ground(bands: int = 3, classes: int = 2) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return an image of rectangles, a class each in turn, and scores that are blurred and uncertain."""
    rng = np.random.default_rng(0)
    truth = np.zeros(SHAPE, np.intp)
    for number in range(24):
        row, col, height, width = (int(rng.integers(low, high)) for low, high in ((0, 130), (0, 190), (9, 22), (9, 22)))
        truth[row : row + height, col : col + width] = 1 + number % (classes - 1)
    colours = rng.uniform(40, 220, (classes, bands))
    image = np.moveaxis(colours[truth], 2, 0) + rng.normal(0, 4, (bands, *SHAPE))
    from scipy.ndimage import gaussian_filter

    shares = np.stack([gaussian_filter((truth == k).astype(np.float32), 4) for k in range(classes)])
    return image.clip(1, 255).astype(np.uint8), (3 * np.log(shares + 0.05)).astype(np.float32)


def written(path: Path, values: np.ndarray[Any, Any], names: tuple[str, ...] = (), **more: Any) -> Path:
    form = {"height": values.shape[1], "width": values.shape[2], "count": len(values), "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **form, **{**WHERE, **more}) as dataset:
        dataset.write(values)
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
    return path


def refined_file(folder: Path, name: str, block_px: int = 1024, **more: Any) -> bytes:
    refine_scene(
        GivenScores(folder / "scores.tif"), resolve_scenes([str(folder / "scene.tif")]),
        outputs=Outputs(folder / name), options=PredictOptions(block_px=block_px, precision="float32", **more),
    )  # fmt: skip
    return (folder / name).read_bytes()


def test_a_map_does_not_depend_on_how_its_scene_was_cut(tmp_path: Path) -> None:
    image, scores = ground()
    written(tmp_path / "scene.tif", image)
    written(tmp_path / "scores.tif", scores, ("ground", "roof"))
    whole = refined_file(tmp_path, "map.tif")
    assert refined_file(tmp_path, "cut.tif", block_px=64) == whole
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith(".")) == []


def test_scores_without_a_value_are_named_not_the_scene_alone(tmp_path: Path) -> None:
    image, scores = ground()
    written(tmp_path / "scene.tif", image)
    written(tmp_path / "scores.tif", np.full_like(scores, np.nan), ("ground", "roof"))
    with pytest.raises(SceneError) as caught:
        refined_file(tmp_path, "map.tif")
    assert str(tmp_path / "scores.tif") in caught.value.given
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("tile_px", [16, 50, 512])
@pytest.mark.parametrize("shifted", [False, True])
def test_any_tiles_give_the_same_scores(tile_px: int, shifted: bool) -> None:
    image, scores = (ArrayScene(one.astype(np.float32)) for one in ground())
    model = general_refiner([(image, scores)], schema_of(("ground", "roof")), 0.5)
    whole, _ = read_whole(refined_scores(scores, image, model))
    found, _ = read_whole(refined_scores(scores, image, model, cut=Cut(tile_px, shifted=shifted)))
    np.testing.assert_allclose(found, whole, atol=1e-4)


@pytest.mark.parametrize("bands", [1, 2, 5])
@pytest.mark.parametrize("classes", [2, 4])
def test_any_number_of_bands_and_classes_is_served(bands: int, classes: int) -> None:
    image, scores = ground(bands, classes)
    labels = crispmap.refine(scores, image, **WHERE)
    assert labels.shape == SHAPE
    assert labels.max() < classes


def test_the_same_scene_gives_the_same_model() -> None:
    pair = tuple(ArrayScene(one.astype(np.float32)) for one in ground())
    first, second = (general_refiner([pair], schema_of(("a", "b")), 0.5) for _ in range(2))
    assert first.card == second.card


def test_brighter_and_wider_values_change_nothing() -> None:
    image, scores = ground()
    wide = image.astype(np.float32) * 31 + 700
    plain = crispmap.refine(scores, image.astype(np.float32), output="scores", **WHERE)
    np.testing.assert_allclose(crispmap.refine(scores, wide, output="scores", **WHERE), plain, atol=0.02)


def test_pixels_without_data_stay_so() -> None:
    image, scores = ground()
    image[:, 40:60, 30:90] = 0
    labels = crispmap.refine(scores, image, nodata=0, **WHERE)
    assert ((labels == 255) == (image == 0).all(axis=0)).all()


def test_a_scene_without_any_data_is_refused(tmp_path: Path) -> None:
    image, scores = ground()
    written(tmp_path / "scene.tif", np.zeros_like(image), nodata=0)
    written(tmp_path / "scores.tif", scores)
    with pytest.raises(CrispmapError):
        refined_file(tmp_path, "map.tif")
    assert not (tmp_path / "map.tif").exists()


def test_one_class_is_the_second_of_two(tmp_path: Path) -> None:
    image, scores = ground()
    written(tmp_path / "scene.tif", image)
    written(tmp_path / "scores.tif", scores[1:] - scores[:1], ("roof",))
    refined_file(tmp_path, "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert set(np.unique(dataset.read(1))) == {0, 1}


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaError):
        schema_of(("roof", "roof"))


def test_the_gate_leaves_scores_that_a_refiner_would_replace() -> None:
    image, scores = (ArrayScene(one.astype(np.float32)) for one in ground())
    model, reason = gated_refiner(image, schema_of(("ground", "roof")), scores)
    assert reason == ""
    with_bias = model.network.arguments["biases"]
    with_bias[0] = 100.0  # all becomes ground
    assert "roof" in reason_to_leave(model, image, scores)
