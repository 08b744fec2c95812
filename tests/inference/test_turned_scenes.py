"""A raster and its twin, whose pixels are stored in another order, give equal results in every verb."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rioxarray
import torch
import xarray
from affine import Affine
from shapely.geometry import box

import crispmap
from crispmap.classes import ClassDef, ClassSchema
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.geo.area_pieces import AreaPiece
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, predict_scenes, refine_scene
from crispmap.labels.registration import estimate_registration
from crispmap.models.card import ModelCard
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.resolve import resolve_scenes
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from turned_rasters import ORDERS, place_in, twin

SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ff0000")))
SIDE = (72, 56)
PLACE = Affine(1.0, 0.0, 5e5, 0.0, -1.0, 5e6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scene, models, and what they make of it."""
    folder = tmp_path_factory.mktemp("north-up")
    torch.manual_seed(0)
    for kind, network in (("coarse", fcn_rnn(3, 2)), ("refiner", RecurrentRefiner(bands=3, classes=2, iterations=2))):
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.02 * torch.randn_like(weight))
        card = ModelCard(
            kind=kind, architecture=network.architecture, arguments=network.arguments, schema=SCHEMA,
            band_names=("red", "green", "blue"), scaling=Scaling((127.0,) * 3, (64.0,) * 3), gsd_m=1.0,
            radius_px=network.radius_px, stride_px=4 if kind == "coarse" else 1,
        )  # fmt: skip
        save_model(folder / f"{kind}.safetensors", network, card)
    image = np.random.default_rng(0).integers(1, 255, (3, *SIDE), np.uint8)
    image[:, 20:40, 10:30] = 250
    image[:, :9, :13] = 0
    where = {"height": SIDE[0], "width": SIDE[1], "crs": "EPSG:32631", "transform": PLACE}
    with rasterio.open(folder / "scene.tif", "w", "GTiff", count=3, dtype="uint8", nodata=0, **where) as file:
        file.write(image)
    return folder


def options(**more):
    return PredictOptions(engine="torch", precision="float32", **more)


def predicted(folder, scene, name):
    files = [folder / f"{name}_{end}.tif" for end in ("map", "scores", "coarse")]
    predict_scenes(
        resolve_scenes([scene]), model=folder / "coarse.safetensors", refiner=folder / "refiner.safetensors",
        outputs=Outputs(*files), options=options(force=True),
    )  # fmt: skip
    return files


@pytest.fixture(scope="module")
def base(folder):
    return predicted(folder, folder / "scene.tif", "base")


def pixels(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.transform, dataset.shape, dataset.nodatavals


def assert_same_raster(one, other):
    for mine, expected in zip(pixels(one), pixels(other), strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("order", ["south-up", "turned left"])
def test_maps_and_scores_of_the_twin_are_the_same(folder, base, tmp_path, order):
    scene = twin(folder / "scene.tif", ORDERS[order], tmp_path / "twin.tif")
    for one, other in zip(predicted(folder, scene, "twin"), base, strict=True):
        assert_same_raster(one, other)
    scores = twin(base[2], ORDERS[order], tmp_path / "scores.tif")
    refine_scene(
        GivenScores(scores), resolve_scenes([folder / "scene.tif"]), refiner=folder / "refiner.safetensors",
        outputs=Outputs(tmp_path / "refined.tif"), options=options(),
    )  # fmt: skip
    assert_same_raster(tmp_path / "refined.tif", base[0])


@pytest.mark.parametrize("order", ["mirrored", "transposed"])
def test_figures_and_polygons_of_the_twin_are_the_same(folder, base, tmp_path, order):
    turned = twin(base[0], ORDERS[order], tmp_path / "map.tif")
    reference = twin(base[0], ORDERS["south-up"], tmp_path / "reference.tif")
    rules = ScoringRules(areas={"test": [AreaPiece(window=(3, 5, 40, 30))]})
    expected = evaluate_file(base[0], base[0], rules).to_dict()
    assert evaluate_file(turned, reference, rules).to_dict() == expected
    for file, out in ((base[0], "one.geojson"), (turned, "two.geojson")):
        vectorize_file(file, tmp_path / out)
    assert (tmp_path / "one.geojson").read_text().replace("one", "two") == (tmp_path / "two.geojson").read_text()


def test_the_offset_from_the_twin_is_the_same(folder, tmp_path):
    frame = gpd.GeoDataFrame(
        {"class_name": ["building"]}, geometry=[box(5e5 + 12, 5e6 - 41, 5e5 + 32, 5e6 - 21)], crs="EPSG:32631"
    )
    frame.to_file(tmp_path / "labels.gpkg")
    scene = twin(folder / "scene.tif", ORDERS["south-up"], tmp_path / "twin.tif")
    found = [
        estimate_registration(tmp_path / "labels.gpkg", against, max_shift_m=5).found.offset
        for against in (folder / "scene.tif", scene)
    ]
    assert found[0] == found[1]


def as_data_array(values, transform):
    rows, cols = values.shape[-2:]
    x = [(transform @ (col + 0.5, 0.5))[0] for col in range(cols)]
    y = [(transform @ (0.5, row + 0.5))[1] for row in range(rows)]
    dims = ("band", "y", "x")[3 - values.ndim :]
    array = xarray.DataArray(values, coords={"y": y, "x": x}, dims=dims)
    return array.rio.write_crs("EPSG:32631")


@pytest.mark.parametrize("order", ["south-up", "turned about", "transposed"])
def test_arrays_of_any_order_get_the_map_in_their_own_order(folder, order):
    model = crispmap.load_model(folder / "coarse.safetensors")
    image, turn = pixels(folder / "scene.tif")[0], ORDERS[order]
    place = place_in(turn, PLACE, SIDE)
    expected = crispmap.predict(image, model, transform=PLACE, crs="EPSG:32631")
    found = crispmap.predict(np.ascontiguousarray(turn(image)), model, transform=place, crs="EPSG:32631")
    np.testing.assert_array_equal(found, turn(expected))
    if place.b == 0:
        found = crispmap.predict(as_data_array(turn(image), place), model)
        np.testing.assert_array_equal(found.to_numpy(), turn(expected))
        assert found.y.to_numpy()[0] == (place @ (0.5, 0.5))[1]


def test_a_data_array_whose_rows_were_put_in_another_order_lies_where_its_coordinates_say(folder, base):
    """Its attributes have the transform of the file it was read from."""
    whole = rioxarray.open_rasterio(folder / "scene.tif")
    model = crispmap.load_model(folder / "coarse.safetensors")
    expected = crispmap.predict(whole, model)
    np.testing.assert_array_equal(crispmap.predict(whole.sortby("y"), model).sortby("y", ascending=False), expected)
    cut = crispmap.area(expected[10:20, 5:15]), crispmap.area(expected[10:20, 5:15].sortby("y"))
    assert cut[0] == pytest.approx(cut[1])


@pytest.mark.filterwarnings("ignore:A random map")
def test_a_reference_in_memory_lies_on_the_pixels_of_a_file_as_it_is_stored(folder, base, tmp_path):
    """Whoever reads an array from a file has its pixels in the order of the file."""
    turned = twin(base[0], ORDERS["south-up"], tmp_path / "map.tif")
    stored, place = pixels(turned)[:2]
    assert crispmap.evaluate(str(turned), stored[0]).mean_iou == 1.0
    assert crispmap.evaluate(str(base[0]), as_data_array(stored[0], place)).mean_iou == 1.0
    assert crispmap.evaluate(str(turned), as_data_array(pixels(base[0])[0][0], PLACE)).mean_iou == 1.0


def test_training_pairs_of_a_file_and_an_array_lie_on_one_another(folder, tmp_path):
    turned = twin(folder / "scene.tif", ORDERS["south-up"], tmp_path / "twin.tif")
    image, mask = pixels(folder / "scene.tif")[0], (pixels(folder / "scene.tif")[0][0] == 250).astype(np.uint8)
    with crispmap.Dataset.from_arrays([turned], [mask[::-1]], classes=["background", "building"]) as data:
        piece = data.pieces("coarse")[0]
        block = piece.image.grid.block
        np.testing.assert_array_equal(piece.image.read(block)[0], image)
        np.testing.assert_array_equal(piece.labels.read(block), mask)
