"""A warning where a scene, or its map, is unlike what models have learned from; and no change of any map."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from small_models import BANDS, SCHEMA, StridedNetwork, coarse_card, random_image, refiner_card, small_refiner

from array_scene import ArrayScene
from crispmap.data.statistics import measure_statistics
from crispmap.errors import CrispmapWarning
from crispmap.inference.familiarity import SHARES, STATISTICS, warn_of_strange_scene
from crispmap.inference.in_memory import map_in_memory
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes
from crispmap.inference.scores import ScoreModels
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import load_model, save_model
from crispmap.models.model import Model
from crispmap.raster.resolve import resolve_scenes

SHAPE = (150, 130)
OPTIONS = PredictOptions(engine="torch", precision="float32", block_px=64)


def learned_from(image, **shares):
    scene = ArrayScene(image, names=BANDS)
    found = measure_statistics([(scene, scene.grid.block)])
    return {STATISTICS: found.to_dict(), SHARES: shares or {"ground": 0.5, "roof": 0.3, "road": 0.2}}


def models(facts):
    return ScoreModels(Model(StridedNetwork().eval(), coarse_card(provenance=facts)))


def said(work):
    """What is warned of while something is done."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        work()
    return [str(one.message) for one in found if issubclass(one.category, CrispmapWarning)]


def shares_of_map(image):
    labels, _ = map_in_memory(ArrayScene(image), ScoreModels(Model(StridedNetwork().eval(), coarse_card())))
    counts = np.bincount(labels.ravel(), minlength=3)[:3]
    return dict(zip(SCHEMA.names, (counts / counts.sum()).tolist(), strict=True))


def test_a_scene_in_other_units_is_named_with_the_figures():
    image = random_image(SHAPE)
    facts = learned_from(image)
    (text,) = said(lambda: warn_of_strange_scene(ArrayScene(image / 100, names=BANDS), models(facts)))
    assert "coarse network" in text
    assert all(f"{name} is " in text for name in BANDS)
    assert said(lambda: warn_of_strange_scene(ArrayScene(random_image(SHAPE, seed=9)), models(facts))) == []


def test_values_are_compared_at_the_pixel_size_of_the_model():
    """Averages of noise spread less than the noise: a scene four times as fine is none the stranger for it."""
    fine = random_image((400, 400), seed=3)
    coarse = fine.reshape(2, 20, 20, 20, 20).mean(axis=(2, 4))
    facts = learned_from(coarse)
    assert said(lambda: warn_of_strange_scene(ArrayScene(fine, gsd=(0.05, 0.05)), models(facts))) == []
    assert said(lambda: warn_of_strange_scene(ArrayScene(fine), models(facts)))


def test_shares_far_from_the_labels_are_named():
    image = random_image(SHAPE)
    shares = shares_of_map(image)
    assert said(lambda: map_in_memory(ArrayScene(image), models(learned_from(image, **shares)))) == []
    most = max(shares, key=shares.__getitem__)
    rare = {name: 0.01 if name == most else 0.495 for name in SCHEMA.names}
    (text,) = said(lambda: map_in_memory(ArrayScene(image), models(learned_from(image, **rare))))
    assert f"is {most}" in text


@pytest.mark.parametrize(
    "facts", [{}, {STATISTICS: None}, {STATISTICS: {"mean": [1]}, SHARES: 7}, {SHARES: {"sea": 1}}]
)
def test_of_cards_that_do_not_tell_nothing_is_said(facts):
    assert said(lambda: map_in_memory(ArrayScene(random_image(SHAPE) * 1000), models(facts))) == []


def write_scene(path, image):
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=SHAPE[0], width=SHAPE[1], dtype="float32", crs="EPSG:32631",
        transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as file:  # fmt: skip
        file.write(image)
        file.descriptions = BANDS


@pytest.fixture
def place(tmp_path):
    """Two scenes, one of them in other units, and models that learned from the first, or whose cards do not tell."""
    torch.manual_seed(0)
    network, refiner, image = fcn_rnn(2, 3), small_refiner(), random_image(SHAPE)
    card = coarse_card(architecture="fcn-rnn", arguments=network.arguments, radius_px=network.radius_px, stride_px=4)
    facts = learned_from(image, ground=0.02, roof=0.02, road=0.96)
    save_model(tmp_path / "older.safetensors", network, card)
    save_model(tmp_path / "coarse.safetensors", network, replace(card, provenance=facts))
    save_model(tmp_path / "refiner.safetensors", refiner, refiner_card(arguments=refiner.arguments, provenance=facts))
    write_scene(tmp_path / "usual.tif", image)
    write_scene(tmp_path / "strange.tif", image / 100)
    return tmp_path


def mapped(place, scene, model, folder, **options):
    predict_scenes(
        resolve_scenes([place / scene]), model=place / model, refiner=place / "refiner.safetensors",
        outputs=Outputs(folder / "m.tif", scores=folder / "s.tif"), options=replace(OPTIONS, force=True, **options),
    )  # fmt: skip


def test_a_scene_is_warned_of_once_and_its_map_is_the_same(place):
    network = load_model(place / "coarse.safetensors")
    found = {}
    for model in ("older.safetensors", "coarse.safetensors"):
        texts = said(lambda model=model: mapped(place, "strange.tif", model, place))
        with rasterio.open(place / "s.tif") as file:
            found[model] = texts, file.read()
    assert network.card.provenance
    np.testing.assert_array_equal(found["older.safetensors"][1], found["coarse.safetensors"][1])
    assert found["older.safetensors"][0] == [], "the first of the models has no statistics"
    texts = found["coarse.safetensors"][0]
    assert sum("strange.tif" in text for text in texts) == 1
    assert len(texts) <= 2


def test_the_map_of_a_file_is_warned_of_and_not_the_scene_where_that_is_usual(place):
    (text,) = said(lambda: mapped(place, "usual.tif", "coarse.safetensors", place))
    assert "m.tif" in text
    again = said(lambda: mapped(place, "usual.tif", "coarse.safetensors", place, block_px=1024))
    assert again == [text], "whatever the blocks"
