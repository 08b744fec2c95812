"""Exported models: what a runtime gives is what PyTorch gives and what a map of the same pixels has."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from model_files import LITE0, SQUARES, write_model
from scipy.special import softmax
from small_models import StridedNetwork, coarse_card, random_image, refiner_card, small_refiner
from torch.export.passes import move_to_device_pass

import crispmap
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, InputError, ModelError, OutputError, SceneError
from crispmap.inference.engines.telemetry import import_openvino
from crispmap.inference.runtimes import equality, export, formats
from crispmap.inference.runtimes.deepness import tiles_for
from crispmap.inference.runtimes.network import WholeNetwork
from crispmap.inference.scores import ScoreModels
from crispmap.models.model import Model
from crispmap.project.import_caffe import import_caffe

NAMES = ("ground", 'roof "tin", red', "straße \u200f")
SCHEMA = ClassSchema(tuple(ClassDef(name, f"#00000{number}") for number, name in enumerate(NAMES)))
SIDE_PX, CLOSE = 64, 1e-5


class Network(StridedNetwork):
    """The same without a count of its calls, which no graph can hold."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.up(self.second(torch.relu(self.first(image))))
        return scores


def models(coarse_gsd_m: float = 1.0) -> tuple[Model[Any], Model[Any]]:
    network = Network().eval()
    return (
        Model(network, coarse_card(schema=SCHEMA, gsd_m=coarse_gsd_m)),
        Model(small_refiner(iterations=2).eval(), refiner_card(schema=SCHEMA)),
    )


def own_probabilities(pixels: np.ndarray, coarse: Model[Any], refiner: Model[Any] | None) -> np.ndarray:
    scores: np.ndarray = crispmap.predict(pixels, coarse, refiner, output="scores", gsd_m=1.0, device="cpu")
    return softmax(scores, axis=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def fixed(folder: Path) -> export.ExportedModel:
    coarse, refiner = models()
    return crispmap.export_model(coarse, folder / "fixed.onnx", refiner=refiner, size_px=SIDE_PX)


# --- equality ----------------------------------------------------------------------------------------------------


def test_openvino_gives_any_image_what_its_map_has(folder: Path) -> None:
    """The network works at twice the pixels of the refiner; batch and size are free; NaN is no data."""
    coarse, refiner = models(coarse_gsd_m=2.0)
    done = crispmap.export_model(coarse, folder / "free.xml", refiner=refiner)
    assert [one.suffix for one in done.paths] == [".xml", ".bin"]
    assert (done.stride_px, done.side_px) == (4, 2)
    assert done.largest_difference < CLOSE
    compiled = import_openvino().Core().compile_model(done.path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for shape, images in (((46, 64), 1), ((6, 18), 2)):
        pixels = np.stack([random_image(shape, seed=seed) for seed in range(images)])
        pixels[0, 1, :3, 1:4] = np.nan
        found = compiled(pixels)[0]
        for one, probabilities in zip(pixels, found, strict=True):
            own = own_probabilities(one, coarse, refiner)
            valid = ~np.isnan(own[0])
            np.testing.assert_allclose(probabilities[:, valid], own[:, valid], atol=CLOSE)
    facts = json.loads(import_openvino().Core().read_model(done.path).get_rt_info(["crispmap"]).astype(str))
    assert facts["bands"] == ["red", "green"]


def test_a_program_of_pytorch_holds_nothing_pickled_and_gives_the_same(folder: Path) -> None:
    coarse, _ = models()
    done = crispmap.export_model(coarse, folder / "program.pt2")
    with zipfile.ZipFile(done.path) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    assert not any(content[:2] in (b"PK", b"\x80\x02") for content in contents)
    pixels = random_image((21, 14))
    found = torch.export.load(done.path).module()(torch.from_numpy(pixels[None])).numpy()[0]
    np.testing.assert_allclose(found, own_probabilities(pixels, coarse, None), atol=CLOSE)
    elsewhere = move_to_device_pass(torch.export.load(done.path), "meta").module()  # as one does for a GPU
    given = elsewhere(torch.zeros(2, 2, 20, 15, device="meta"))
    assert (given.device.type, given.shape) == ("meta", (2, 3, 20, 15))


def test_the_command_compares_on_random_and_real_pixels(folder: Path, fixed: export.ExportedModel) -> None:
    assert {one.pixels for one in fixed.differences} == {"random"}
    coarse, _ = models()
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", height=90, width=120, count=2, dtype="uint8", nodata=0,
        crs="EPSG:32631", transform=Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as file:  # fmt: skip
        file.write(np.clip(random_image((90, 120)), 1, 255).astype(np.uint8))
        file.write(np.zeros((2, 20, 30), np.uint8), window=rasterio.windows.Window(40, 30, 30, 20))
        file.descriptions = ("red", "green")
    done = crispmap.export_model(coarse, folder / "real.pt2", scene=folder / "scene.tif")
    assert {one.pixels for one in done.differences} == {"random", "real"}
    assert done.largest_difference < CLOSE
    with pytest.raises(SceneError):
        crispmap.export_model(coarse, folder / "small.pt2", scene=folder / "scene.tif", size_px=400)
    assert not (folder / "small.pt2").exists()


def test_nothing_is_written_where_probabilities_differ(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = [equality.Difference("random", 0.0, value) for value in (2e-4, float("nan"))]
    for one in far:
        monkeypatch.setattr(export, "differences", lambda *_, one=one: iter([one]))
        with pytest.raises(ModelError):
            crispmap.export_model(models()[0], folder / "differs.pt2")
    assert not (folder / "differs.pt2").exists()


def test_a_graph_of_other_weights_is_found_to_differ() -> None:
    network, other = (
        WholeNetwork(ScoreModels(one)) for one in (models()[0], Model(Network(seed=1).eval(), coarse_card()))
    )
    run = formats.runner(other.module())
    (found,) = equality.differences(network, run, run, [("random", equality.random_pixels(network)[1])])
    assert found.torch == 0
    assert found.map is not None
    assert found.map > equality.MOST_DIFFERENT


# --- Deepness ----------------------------------------------------------------------------------------------------


class Plugin:
    """What the QGIS plugin Deepness does with a model and a whole layer, in our words (read in 2026-11)."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.meta = {k: json.loads(v) for k, v in self.session.get_modelmeta().custom_metadata_map.items()}
        (self.input,) = self.session.get_inputs()
        (output,) = self.session.get_outputs()
        assert len(output.shape) == 4
        assert output.shape[2] == output.shape[3]
        self.tile = self.input.shape[-1]
        assert self.tile == int(self.meta["tile_size"]) == int(self.meta["tiles_size"])
        overlap = int(self.tile * int(self.meta["tiles_overlap"]) / 100 * 2) // 2
        self.step, self.half = self.tile - overlap, overlap // 2

    @property
    def class_names(self) -> list[str]:
        items = sorted(self.meta["class_names"].items(), key=lambda item: int(item[0]))
        assert [int(key) for key, _ in items] == list(range(len(items)))
        return [name for _, name in items]

    def process(self, tile: np.ndarray) -> np.ndarray:
        """Class ids of a tile (row, col, band)."""
        mean, std = (np.array(self.meta[f"standardization_{name}"], np.float32) for name in ("mean", "std"))
        batch = tile[None, :, :, : self.input.shape[-3]]
        batch = (np.float32(batch * 1.0 / 255.0) - mean) / std
        result = self.session.run(None, {self.input.name: np.transpose(batch, (0, 3, 1, 2))})[0]
        result[result < self.meta["seg_thresh"]] = 0.0
        labels: np.ndarray = np.argmax(result, axis=1)[0]
        return labels

    def run(self, image: np.ndarray) -> np.ndarray:
        """The class map of a layer (row, col, band); beyond it, pixels are 0."""
        counts = [max(0, -(-(length - self.tile) // self.step)) + 1 for length in image.shape[:2]]
        shape = [self.tile + (count - 1) * self.step for count in counts]
        layer = np.zeros((*shape, image.shape[2]), image.dtype)
        layer[: image.shape[0], : image.shape[1]] = image
        whole = np.zeros(shape, np.int64)
        for row in range(counts[0]):
            for col in range(counts[1]):
                corner = (row * self.step, col * self.step)
                labels = self.process(layer[tuple(slice(one, one + self.tile) for one in corner)])
                kept = []
                for place, start, count in zip((row, col), corner, counts, strict=True):
                    first = start + (0 if place == 0 else self.half)
                    kept.append((first, start + self.tile - (0 if place == count - 1 else self.half)))
                inside = tuple(
                    slice(low - start, high - start) for (low, high), start in zip(kept, corner, strict=True)
                )
                whole[tuple(slice(*one) for one in kept)] = labels[inside]
        return whole[: image.shape[0], : image.shape[1]]


def test_deepness_makes_the_map_of_crispmap(fixed: export.ExportedModel) -> None:
    plugin = Plugin(fixed.path)
    assert plugin.meta["model_type"].capitalize() == "Segmentor"
    assert plugin.meta["resolution"] == 100
    assert plugin.meta["seg_small_segment"] == 0
    assert plugin.class_names == list(NAMES)
    coarse, refiner = models()
    whole = plugin.tile + 2 * plugin.step, plugin.tile + plugin.step
    for shape, edge in ((whole, 0), ((whole[0] - 7, whole[1] - 10), fixed.context_px)):
        scene = np.clip(random_image(shape, seed=3), 0, 255).astype(np.uint8)
        found = plugin.run(np.moveaxis(scene, 0, -1))
        own = own_probabilities(scene.astype(np.float32), coarse, refiner)
        certain = np.ptp(np.sort(own, axis=0)[-2:], axis=0) > CLOSE
        inside = np.s_[: shape[0] - edge, : shape[1] - edge]  # beyond the layer the plugin sees black
        assert certain.mean() > 0.999
        np.testing.assert_array_equal(found[inside][certain[inside]], own.argmax(0)[inside][certain[inside]])


def test_the_file_is_valid_onnx(fixed: export.ExportedModel) -> None:
    model = onnx.load(fixed.path)
    onnx.checker.check_model(model)
    assert [one.name for one in (*model.graph.input, *model.graph.output)] == ["image", "probabilities"]


@settings(max_examples=40)
@given(st.integers(1, 64), st.integers(0, 400), st.integers(0, 30))
def test_tiles_keep_only_what_their_border_cannot_reach(stride: int, halo: int, reach: int) -> None:
    network = _network(stride, -(-halo // stride) * stride, reach)
    tiles = tiles_for(network)
    step = tiles.side_px - tiles.overlap_px
    assert step > 0
    assert step % stride == 0 == tiles.side_px % stride
    assert tiles.overlap_px // 2 >= network.context_px == reach + -(-halo // stride) * stride
    assert tiles_for(network, tiles.side_px).overlap_percent == tiles.overlap_percent


def _network(stride_px: int, halo_px: int, reach_px: int) -> WholeNetwork:
    coarse, refiner = models()
    coarse.network.stride_px, coarse.network.halo_px = stride_px, halo_px
    refiner.network.margin_px = reach_px
    return WholeNetwork(ScoreModels(coarse, refiner))


@pytest.mark.parametrize("size_px", [10, 8, 0])
def test_sizes_that_cannot_be_exact_are_refused_with_one_that_can(tmp_path: Path, size_px: int) -> None:
    with pytest.raises(InputError):
        crispmap.export_model(models()[0], tmp_path / "m.pt2", size_px=size_px)
    coarse, refiner = models(coarse_gsd_m=2.0)
    with pytest.raises(InputError):
        crispmap.export_model(coarse, tmp_path / "m.pt2", refiner=refiner, size_px=63)


# --- bad input, told before work ---------------------------------------------------------------------------------


@pytest.fixture
def unworked(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr("crispmap.api.exporting.coarse_of", work)


@pytest.mark.usefixtures("unworked")
class TestBeforeWork:
    @pytest.mark.parametrize(("name", "options"), [("svm", {"vectors": 2}), ("svm-texture", {"vectors": 2})])
    def test_models_without_layers(self, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
        path = write_model(tmp_path / "m.safetensors", name, **options)
        with pytest.raises(InputError, match=name):
            crispmap.export_model(path, tmp_path / "m.onnx")

    @pytest.mark.parametrize("name", ["crf", "bayes", "heat"])
    def test_refiners_without_layers(self, tmp_path: Path, name: str) -> None:
        path = write_model(tmp_path / "r.safetensors", name)
        with pytest.raises(InputError, match=name):
            crispmap.export_model(models()[0], tmp_path / "m.onnx", refiner=path)

    @pytest.mark.parametrize(
        ("out", "options"),
        [("m.tflite", {}), ("m", {}), ("m.onnx", {"format": "torch"}), ("m.onnx", {"format": "pickle"})],
    )
    def test_formats(self, tmp_path: Path, out: str, options: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            crispmap.export_model(models()[0], tmp_path / out, **options)

    def test_files_that_are_there(self, tmp_path: Path) -> None:
        (tmp_path / "m.bin").write_bytes(b"mine")
        with pytest.raises(OutputError):
            crispmap.export_model(models()[0], tmp_path / "m.xml")
        (tmp_path / "n.onnx").mkdir()
        with pytest.raises(OutputError):
            crispmap.export_model(models()[0], tmp_path / "n.onnx", force=True)
        path = write_model(tmp_path / "model.safetensors")
        (tmp_path / "link.onnx").symlink_to(path)
        with pytest.raises(OutputError):
            crispmap.export_model(path, tmp_path / "link.onnx", force=True)
        assert (tmp_path / "m.bin").read_bytes() == b"mine"


def test_models_that_do_not_go_together(tmp_path: Path) -> None:
    coarse, refiner = models()
    for other in (models(coarse_gsd_m=0.5)[0], models(coarse_gsd_m=1.5)[0]):
        with pytest.raises(InputError) as caught:
            crispmap.export_model(other, tmp_path / "m.pt2", refiner=refiner)
        assert "gsd_m=" in caught.value.remedy
    turned = dataclasses.replace(refiner, card=refiner_card(schema=SCHEMA, band_names=("green", "red")))
    for wrong in (turned, Model(refiner.network, refiner_card()), coarse):
        with pytest.raises(ModelError):
            crispmap.export_model(coarse, tmp_path / "m.pt2", refiner=wrong)
    with pytest.raises(ModelError):
        crispmap.export_model(refiner, tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_no_graph_holds_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="strided cannot be exported to torch"):
        crispmap.export_model(Model(StridedNetwork().eval(), coarse_card()), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_sees_everything_is_exported_with_a_warning(tmp_path: Path) -> None:
    coarse, _ = models()
    coarse.network.radius_px = None
    with pytest.warns(CrispmapWarning):
        done = crispmap.export_model(coarse, tmp_path / "m.pt2")
    assert {one.map for one in done.differences} == {None}
    assert done.context_px > 0


# --- every family ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".xml", ".pt2"])  # the former is made of ONNX
@pytest.mark.parametrize(
    ("name", "options", "refiner"),
    [
        ("fcn-rnn", {}, "rnn"), ("fcn-igarss", {}, None), (*LITE0, "rnn"), (*SQUARES, None), ("mnih", {}, None),
        ("unet", {"width": 4}, "wide"), ("smp", {"encoder": "resnet18", "depth": 3, "radius_px": 72}, None),
    ],
)  # fmt: skip
def test_every_family_travels(
    tmp_path: Path, name: str, options: dict[str, Any], refiner: str | None, suffix: str
) -> None:
    coarse = write_model(tmp_path / "c.safetensors", name, **options)
    second = None if refiner is None else write_model(tmp_path / "r.safetensors", refiner)
    done = crispmap.export_model(coarse, tmp_path / f"m{suffix}", refiner=second)
    assert done.largest_difference <= equality.MOST_DIFFERENT


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_published_weights_travel_and_are_tried_on_a_real_scene(tmp_path: Path, real_data: Path, suffix: str) -> None:
    model = tmp_path / "mlp.safetensors"
    import_caffe(real_data / "published_weights/inria_mlp.caffemodel", model)
    done = crispmap.export_model(model, tmp_path / f"m{suffix}", scene=real_data / "kampala/A_z20_rgb.tif")
    assert {one.pixels for one in done.differences} == {"random", "real"}
    assert done.largest_difference < CLOSE
