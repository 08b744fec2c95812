"""Models on other scenes than they were trained on: at another pixel size, and with the biases in a refiner's card."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from pyproj import CRS
from small_models import BANDS, SCHEMA, coarse_card, random_image, refiner_card, small_refiner

import crispmap
from crispmap.errors import CrispmapWarning, InputError, ModelError
from crispmap.evaluation.recalibration import apply_biases
from crispmap.geo.grid import Grid
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes, refine_scene
from crispmap.inference.scores import ScoreModels
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import load_model, save_model
from crispmap.raster.resolve import resolve_scenes
from crispmap.types import IGNORE

GRID = Grid(CRS.from_epsg(32631), Affine(1.0, 0, 5e5, 0, -1.0, 5e6), (90, 70))
BIASES = (0.0, 1.25, -0.5)
FAR = 0.4  # m, less than two thirds of the pixel size the models were trained at


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scene with a hole, a coarse network and a refiner trained at 1 m, whose card has biases."""
    folder = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    network, refiner = fcn_rnn(2, 3), small_refiner()
    save_model(
        folder / "coarse.safetensors", network,
        coarse_card(architecture="fcn-rnn", arguments=network.arguments, radius_px=network.radius_px, stride_px=4),
    )  # fmt: skip
    card = refiner_card(arguments=refiner.arguments, provenance={"class_biases": list(BIASES)})
    save_model(folder / "refiner.safetensors", refiner, card)
    save_model(folder / "unbiased.safetensors", refiner, refiner_card(arguments=refiner.arguments))
    image = random_image(GRID.shape)
    image[:, 20:30, :15] = 0
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", count=2, height=GRID.height, width=GRID.width, dtype="float32",
        crs=GRID.crs.to_wkt(), transform=GRID.transform, nodata=0,
    ) as file:  # fmt: skip
        file.write(image)
        file.descriptions = BANDS
    return folder


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def tags(path):
    with rasterio.open(path) as file:
        return file.tags()


def mapped(place, outputs, **options):
    return predict_scenes(
        resolve_scenes([place / "scene.tif"]), model=place / "coarse.safetensors",
        refiner=place / "refiner.safetensors", outputs=outputs,
        options=PredictOptions(engine="torch", precision="float32", **options),
    )  # fmt: skip


# --- pixel size ------------------------------------------------------------------------------------------


def test_the_tags_tell_at_which_pixel_size_each_model_worked(place, tmp_path):
    (own,) = mapped(place, Outputs(tmp_path / "own.tif"))
    (asked,) = mapped(place, Outputs(tmp_path / "asked.tif"), gsd_m=1.25)
    assert own.pixel_sizes == ""
    assert asked.pixel_sizes == (
        "the coarse network works at 1.25 m, the refiner works at 1.25 m; the scene has pixels of 1 m"
    )
    for name, expected in (("own.tif", "1"), ("asked.tif", "1.25")):
        found = tags(tmp_path / name)
        assert (found["CRISPMAP_COARSE_GSD_M"], found["CRISPMAP_REFINER_GSD_M"]) == (expected, expected)
    assert tags(tmp_path / "own.tif")["CRISPMAP_JOB"] != tags(tmp_path / "asked.tif")["CRISPMAP_JOB"]


def test_models_at_a_chosen_pixel_size_are_models_trained_at_it(place, tmp_path):
    """Whatever the blocks, whether from files, from memory, or from an array."""
    for name in ("coarse", "refiner"):
        model = load_model(place / f"{name}.safetensors").working_at(1.25)
        save_model(tmp_path / f"{name}.safetensors", model.network, model.card)
    predict_scenes(
        resolve_scenes([place / "scene.tif"]), model=tmp_path / "coarse.safetensors",
        refiner=tmp_path / "refiner.safetensors", outputs=Outputs(tmp_path / "there.tif", tmp_path / "s.tif"),
        options=PredictOptions(engine="torch", precision="float32"),
    )  # fmt: skip
    mapped(place, Outputs(tmp_path / "m.tif", tmp_path / "scores.tif"), gsd_m=1.25, block_px=64)
    np.testing.assert_array_equal(read(tmp_path / "scores.tif"), read(tmp_path / "s.tif"))
    models = [load_model(place / f"{name}.safetensors") for name in ("coarse", "refiner")]
    in_memory = crispmap.predict(place / "scene.tif", *models, out=tmp_path / "memory.tif", working_gsd_m=1.25)
    shares = (read(tmp_path / "m.tif") == read(in_memory)).mean()
    assert shares > 0.999
    of_array = crispmap.predict(read(place / "scene.tif"), *models, gsd_m=1.0, working_gsd_m=1.25)
    assert (read(tmp_path / "m.tif")[0] == of_array)[read(tmp_path / "m.tif")[0] != IGNORE].mean() > 0.9


def test_refine_works_at_a_chosen_pixel_size_too(place, tmp_path):
    mapped(place, Outputs(tmp_path / "m.tif", coarse=tmp_path / "coarse.tif"))
    found = []
    for name, gsd_m in (("own", None), ("asked", 0.8)):
        outputs = Outputs(tmp_path / f"{name}.tif", scores=tmp_path / f"{name}_scores.tif")
        refine_scene(
            GivenScores(tmp_path / "coarse.tif"), resolve_scenes([place / "scene.tif"]),
            refiner=place / "refiner.safetensors", outputs=outputs, options=PredictOptions(engine="torch", gsd_m=gsd_m),
        )  # fmt: skip
        found.append(read(tmp_path / f"{name}_scores.tif"))
    assert tags(tmp_path / "asked.tif")["CRISPMAP_REFINER_GSD_M"] == "0.8"
    assert not np.allclose(*map(np.nan_to_num, found), atol=1e-3)


def test_a_pixel_size_far_from_the_training_is_warned_of(place):
    models = ScoreModels(load_model(place / "coarse.safetensors", kind="coarse"))
    with pytest.warns(CrispmapWarning, match=r"coarse network was trained at 1 m .* 0\.4 m.* 2\.5 times"):
        assert models.working_at(FAR).all[0].card.gsd_m == FAR
    assert models.working_at(None) is models
    assert models.all[0].card.gsd_m == 1.0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_pixel_sizes_are_refused(bad):
    with pytest.raises(InputError):
        PredictOptions(gsd_m=bad)


# --- recalibration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block_px", [64, 1024])
def test_the_recalibrated_map_is_the_coarse_scores_with_the_cards_biases(place, tmp_path, block_px):
    outputs = Outputs(tmp_path / "m.tif", coarse=tmp_path / "coarse.tif", recalibrated=tmp_path / "r.tif")
    mapped(place, outputs, block_px=block_px)
    scores, found = read(tmp_path / "coarse.tif"), read(tmp_path / "r.tif")[0]
    assert np.array_equal(found, apply_biases(scores, BIASES))
    assert (found == IGNORE).sum() == 150
    assert not np.array_equal(found, apply_biases(scores, (0, 0, 0)))
    assert json.loads(tags(tmp_path / "r.tif")["CRISPMAP_CLASS_BIASES"]) == dict(zip(SCHEMA.names, BIASES, strict=True))
    mapped(place, Outputs(tmp_path / "alone.tif"))
    assert np.array_equal(read(tmp_path / "alone.tif"), read(tmp_path / "m.tif")), "the map itself stays as it is"


def test_a_recalibrated_map_needs_a_refiner_whose_card_has_biases(place, tmp_path):
    for refiner in (None, place / "unbiased.safetensors"):
        with pytest.raises(ModelError):
            predict_scenes(
                resolve_scenes([place / "scene.tif"]), model=place / "coarse.safetensors", refiner=refiner,
                outputs=Outputs(tmp_path / "m.tif", recalibrated=tmp_path / "r.tif"),
            )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [None, "x", [1.0], [0, 1, None], [0, 1, float("nan")], {"a": 1}, 3])
def test_biases_that_are_none_are_refused(bad):
    card: ModelCard = refiner_card(provenance={"class_biases": bad})
    with pytest.raises(ModelError):
        _ = card.class_biases
