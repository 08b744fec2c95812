"""Maps of classifiers of squares: one pixel a square, however the scene is cut, and at the model's pixel size."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from crispmap.api.maps import predict
from crispmap.errors import CrispmapWarning, ModelError, SceneError
from crispmap.geo.squares import SQUARES_TAG, Squares
from crispmap.inference.coarse import gsd_ratio
from crispmap.inference.job import MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Confidence, Scores
from crispmap.inference.run import Output
from crispmap.models.architecture import Architecture
from crispmap.models.cerranet.network import cerranet
from crispmap.models.file import load_model, save_model
from crispmap.models.registry import register, unregister
from crispmap.models.squares import SquareClassifier
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.resample import ResampledScene
from inference.map_jobs import SCHEMA, card, make_maps, write_image

SIDE = 16
QUICK = PredictOptions(engine="torch", precision="float32")


class MeanClassifier(SquareClassifier):
    """Classes by the mean of each square and its context, and by one corner of it."""

    def __init__(self, bands=3, classes=3, context_px=0):
        super().__init__(bands, classes, Squares(SIDE, "majority"), context_px)
        self.architecture, self.arguments = "mean-of-squares", {"context_px": context_px, "bands": bands, "classes": 3}
        self.line = nn.Linear(2 * bands, classes)

    def classify(self, squares):
        return self.line(torch.cat([squares.mean(dim=(-2, -1)), squares[..., 0, -1]], dim=1))


@pytest.fixture(autouse=True)
def architecture():
    register(Architecture("mean-of-squares", "coarse", "a test", MeanClassifier, learner=None))
    yield
    unregister("mean-of-squares")


@pytest.fixture(params=[0, 5], ids=["alone", "with context"])
def network(request):
    torch.manual_seed(5)
    return MeanClassifier(context_px=request.param).eval()


def model_file(folder, network, **changes):
    path = folder / "squares.safetensors"
    return save_model(path, network, card("coarse", network, stride_px=network.stride_px, **changes), force=True)


def square_by_square(network, image, valid):
    """The classes and scores of every square of a whole scene, its sides rounded up by reflection."""
    context = network.train_margin_px
    more = [-length % SIDE for length in valid.shape]
    scaled = np.where(valid, (image - 127) / np.float32(64), 0).astype(np.float32)
    pads = ((0, 0), (context, context + more[0]), (context, context + more[1]))
    scaled = np.pad(scaled, pads, mode="symmetric")
    known = np.pad(valid, ((0, more[0]), (0, more[1])))
    rows, cols = (length // SIDE for length in known.shape)
    scores = np.zeros((3, rows, cols), np.float32)
    there = np.zeros((rows, cols), bool)
    for row in range(rows):
        for col in range(cols):
            top, left, seen = row * SIDE, col * SIDE, SIDE + 2 * context
            square = torch.from_numpy(scaled[None, :, top : top + seen, left : left + seen])
            with torch.inference_mode():
                scores[:, row, col] = network.classify(square)[0].numpy()
            there[row, col] = known[top : top + SIDE, left : left + SIDE].any()
    return scores, there


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.transform, file.tags()


def test_a_map_has_one_pixel_a_square_with_the_class_of_the_square(network, tmp_path):
    scene = write_image(tmp_path / "scene.tif", (150, 203))
    job = MapJob(SceneRef.of(scene), model_file(tmp_path, network))
    outputs = [
        Output(ClassMap(), tmp_path / "map.tif"), Output(Scores(), tmp_path / "scores.tif"),
        Output(Confidence(), tmp_path / "confidence.tif"),
    ]  # fmt: skip
    make_maps(job, outputs, SCHEMA, options=QUICK)
    with open_scene(SceneRef.of(scene)) as opened:
        image, valid = opened.read(opened.grid.block)
    expected, there = square_by_square(network, image, valid)
    assert not there.all()  # the scene has a hole
    labels, transform, tags = read(outputs[0].path)
    assert labels.shape == (1, 10, 13)
    np.testing.assert_array_equal(labels[0], np.where(there, expected.argmax(axis=0), 255))
    assert transform.almost_equals(rasterio.Affine(SIDE, 0, 5e5, 0, -SIDE, 5e6))
    assert json.loads(tags[SQUARES_TAG]) == {"side_px": SIDE, "label": "majority"}
    scores, *_ = read(outputs[1].path)
    np.testing.assert_allclose(scores[:, there], expected[:, there], atol=1e-5)
    assert np.isnan(scores[:, ~there]).all()
    confidence, *_ = read(outputs[2].path)
    shares = np.exp(expected) / np.exp(expected).sum(axis=0)
    np.testing.assert_allclose(confidence[0][there], shares.max(axis=0)[there], atol=2e-3)


@pytest.mark.parametrize(
    ("engine", "tile_px", "block_px"),
    [("torch", 64, 48), ("torch", 16, 500), ("torch", 33, 1), ("openvino", 64, 48)],
)
def test_a_map_does_not_depend_on_how_its_scene_is_cut(network, tmp_path, engine, tile_px, block_px):
    job = MapJob(SceneRef.of(write_image(tmp_path / "scene.tif", (150, 203))), model_file(tmp_path, network))
    found = []
    for number, (tile, block) in enumerate([(256, 1024), (tile_px, block_px)]):
        output = Output(ClassMap(), tmp_path / f"{number}.tif")
        options = PredictOptions(engine=engine, precision="float32", block_px=block, verify_seams=3)
        result = make_maps(replace(job, tile_px=tile), [output], SCHEMA, options=options)
        assert (result.seams.windows, result.seams.changed) == (3, 0)
        found.append(read(output.path)[0])
    np.testing.assert_array_equal(*found)


def test_a_scene_of_other_pixels_is_mapped_at_those_of_the_model(network, tmp_path):
    scene = write_image(tmp_path / "scene.tif", (300, 404), gsd_m=1.0, hole=False)
    job = MapJob(SceneRef.of(scene), model_file(tmp_path, network, gsd_m=4.0))
    with job.opened() as opened:
        assert "4 m" in opened.pixel_sizes
    make_maps(job, [Output(ClassMap(), tmp_path / "map.tif")], SCHEMA, options=QUICK)
    with open_scene(SceneRef.of(scene)) as opened:
        coarser = ResampledScene(opened, *gsd_ratio(opened, 4.0))
        image, valid = coarser.read(coarser.grid.block)
    expected, there = square_by_square(network, image, valid)
    labels, transform, _ = read(tmp_path / "map.tif")
    assert there.all()
    assert transform.a == pytest.approx(4 * SIDE, rel=1e-3)
    assert labels.shape == (1, 5, 7)
    np.testing.assert_array_equal(labels[0], expected.argmax(axis=0))


def test_a_scene_smaller_than_a_square_is_refused(network, tmp_path):
    job = MapJob(SceneRef.of(write_image(tmp_path / "scene.tif", (300, 56))), model_file(tmp_path, network, gsd_m=4.0))
    with pytest.raises(SceneError, match="76 x 15 pixels"):
        make_maps(job, [Output(ClassMap(), tmp_path / "map.tif")], SCHEMA, options=QUICK)


def test_a_model_in_memory_writes_the_map_of_its_file_and_maps_arrays_on_their_pixels(network, tmp_path):
    scene, path = write_image(tmp_path / "scene.tif", (96, 128)), model_file(tmp_path, network)
    files = [
        predict(scene, model, out=tmp_path / name) for model, name in ((path, "a.tif"), (load_model(path), "b.tif"))
    ]
    (one, _, tags), (other, _, others) = map(read, files)
    np.testing.assert_array_equal(one, other)
    assert tags[SQUARES_TAG] == others[SQUARES_TAG]
    with rasterio.open(scene) as file:
        image = file.read()
    labels = predict(
        image, load_model(path), transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6), crs="EPSG:32631", nodata=0
    )
    seen = labels != 255
    np.testing.assert_array_equal(np.kron(one[0], np.ones((SIDE, SIDE), np.uint8))[seen], labels[seen])


def test_cerranet_maps_alike_with_every_engine(tmp_path):
    torch.manual_seed(3)
    network = cerranet(3, 3, square_px=100, width=4).eval()
    job = MapJob(SceneRef.of(write_image(tmp_path / "scene.tif", (300, 420))), model_file(tmp_path, network))
    found = {}
    for engine in ("torch", "openvino", "onnxruntime"):
        output = Output(Scores(), tmp_path / f"{engine}.tif")
        make_maps(job, [output], SCHEMA, options=PredictOptions(engine=engine, precision="float32"))
        found[engine] = read(output.path)[0]
    assert found["torch"].shape == (3, 3, 5)
    for engine in ("openvino", "onnxruntime"):
        np.testing.assert_allclose(found[engine], found["torch"], atol=1e-4)


def test_bands_of_a_scene_that_has_more_are_chosen_by_name(network, tmp_path):
    scene = write_image(tmp_path / "scene.tif", (96, 128), hole=False)
    with rasterio.open(scene) as file:
        image, profile = file.read(), file.profile
    more, names = image[[1, 0, 2, 0, 1]], ("nir", "blue", "green", "other", "red")
    more[[4, 2, 1]] = image
    profile.update(count=5, photometric="minisblack")
    with rasterio.open(tmp_path / "more.tif", "w", **profile) as file:
        file.write(more)
        file.descriptions = names
    model = model_file(tmp_path, network)
    make_maps(MapJob(SceneRef.of(scene), model), [Output(ClassMap(), tmp_path / "a.tif")], SCHEMA, options=QUICK)
    job = MapJob(SceneRef.of(tmp_path / "more.tif"), model)
    with pytest.warns(CrispmapWarning, match=r"red, green, blue.*5,3,2"):
        make_maps(job, [Output(ClassMap(), tmp_path / "b.tif")], SCHEMA, options=QUICK)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], read(tmp_path / "b.tif")[0])
    with rasterio.open(tmp_path / "more.tif", "r+") as file:
        file.descriptions = ("red", "red", "green", "blue", "nir")
    with (
        pytest.raises(ModelError, match="5 bands"),
        MapJob(SceneRef.of(tmp_path / "more.tif"), model).opened() as opened,
    ):
        opened.work()
