"""Graphs kept from run to run: the same map with and without them, and never one of another model."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from model_files import BANDS, mapped, write_files, write_model
from small_models import StridedNetwork

from crispmap.errors import CrispmapWarning, ModelError
from crispmap.files.cache import VARIABLE, user_cache
from crispmap.inference.engines import EngineChoice, NetworkSource, export, graphs, open_engine, openvino_engine
from crispmap.inference.job import GivenScores
from crispmap.inference.network import MapNetwork
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, refine_scene
from crispmap.models import device, file, lazy
from crispmap.models.architecture import Architecture
from crispmap.models.file import load_model, save_model
from crispmap.models.registry import architectures, register, unregister
from crispmap.raster.resolve import resolve_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene and models of files."""
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that networks are exported for, one item an export."""
    made: list[str] = []

    def counted(source: NetworkSource, engine: str) -> torch.nn.Module:
        made.append(engine)
        return checked(source, engine)

    checked = graphs.checked_module
    monkeypatch.setattr(graphs, "checked_module", counted)
    return made


@pytest.mark.parametrize(
    ("model", "refiner", "engine", "graphs_kept"),
    [
        ("fcn", "rnn", "openvino", 1),
        ("fcn", None, "onnxruntime", 1),
        ("lite0", None, "auto", 1),
        ("coarser", "rnn", "auto", 2),
        ("squares", None, "auto", 1),
    ],
)
def test_maps_have_the_same_bytes_cold_warm_and_without_a_cache(
    folder, tmp_path, cache, exports, monkeypatch, model, refiner, engine, graphs_kept
) -> None:
    cold = mapped(folder, tmp_path / "map.tif", model, refiner, engine=engine)
    assert len(exports) == graphs_kept
    monkeypatch.setattr(file, "load_model", lambda *_: pytest.fail("a model is loaded"))
    assert mapped(folder, tmp_path / "map.tif", model, refiner, engine=engine) == cold
    assert len(exports) == graphs_kept
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, "off")
    assert mapped(folder, tmp_path / "map.tif", model, refiner, engine=engine) == cold


def test_refined_scores_of_another_tool_have_the_same_bytes(folder, tmp_path, cache, exports) -> None:
    mapped(folder, tmp_path / "map.tif", "fcn")
    exports.clear()
    found = []
    for _ in range(2):
        refine_scene(
            GivenScores(tmp_path / "map.scores.tif"), resolve_scenes([folder / "scene.tif"]),
            refiner=folder / "rnn.safetensors", outputs=Outputs(tmp_path / "fine.tif"),
            options=PredictOptions(force=True),
        )  # fmt: skip
        found.append((tmp_path / "fine.tif").read_bytes())
    assert found[0] == found[1]
    assert exports == ["openvino"]


def test_one_graph_serves_all_precisions(folder, tmp_path, cache, exports) -> None:
    offered = openvino_engine._offered(openvino_engine._core())
    for precision in offered:
        mapped(folder, tmp_path / "map.tif", "fcn", precision=precision)
        assert mapped(folder, tmp_path / "map.tif", "fcn", precision=precision)
    assert exports == ["openvino"]


def test_a_model_replaced_under_its_name_is_not_taken_for_the_old_one(folder, tmp_path, cache) -> None:
    (tmp_path / "scene.tif").write_bytes((folder / "scene.tif").read_bytes())
    write_model(tmp_path / "own.safetensors", seed=1)
    before = mapped(tmp_path, tmp_path / "map.tif", "own")
    stamp = (tmp_path / "own.safetensors").stat()
    write_model(tmp_path / "own.safetensors", seed=2)
    os.utime(tmp_path / "own.safetensors", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (tmp_path / "own.safetensors").stat().st_size == stamp.st_size
    after = mapped(tmp_path, tmp_path / "map.tif", "own")
    assert after != before
    user_cache().clear()
    assert mapped(tmp_path, tmp_path / "map.tif", "own") == after


def test_a_model_replaced_while_it_is_read_is_an_error(folder, tmp_path, cache, monkeypatch) -> None:
    path = write_model(tmp_path / "own.safetensors")

    def swapped(*arguments: object) -> object:
        write_model(path, seed=5)
        return load_model(*arguments)

    monkeypatch.setattr(file, "load_model", swapped)
    with pytest.raises(ModelError, match="replaced"):
        lazy.open_coarse(path)
    assert user_cache().entries() == []


@pytest.mark.parametrize("change", ["role", "halo", "shape", "dtype", "engine", "code", "processor", "library"])
def test_another_graph_is_made_for_whatever_decides_it(folder, cache, monkeypatch, change: str) -> None:
    network = lazy.open_coarse(folder / "fcn.safetensors").network

    def kept(role="coarse", reading=0, side=8, dtype=np.float32, engine="openvino") -> bytes:
        other = type(network)(network.sha256, {**network._known, "halo_px": reading}, list, any_shape=False)
        source = dataclasses.replace(NetworkSource.of(role, other), module=StridedNetwork)
        content = np.random.default_rng().bytes(20)
        return graphs.kept_graph(source, (np.zeros((1, side), dtype),), engine, lambda *_: content, ("openvino",))

    assert kept() == kept()
    first = kept()
    other = {"role": "map", "halo": 88, "shape": 9, "dtype": np.int64, "engine": "onnxruntime"}
    if change == "code":
        monkeypatch.setattr(graphs, "code_identity", lambda: {"code": "other"})
    elif change == "processor":
        monkeypatch.setattr(graphs, "_processor", lambda: "another")
    elif change == "library":
        monkeypatch.setattr(graphs, "versions", lambda *names: dict.fromkeys(names, "0"))
    names = {"shape": "side", "halo": "reading"}
    changed = {names.get(change, change): other[change]} if change in other else {}
    assert kept(**changed) == kept(**changed) != first


ANY_SHAPE = {name: one for name, one in architectures().items() if one.any_shape}
SMALL = {"unet-lite0": {"depth": 3, "radius_px": 56}, "rnn": {"iterations": 2, "filters": 4, "hidden": 4}}


def graph_of(module: torch.nn.Module, *inputs: np.ndarray) -> list[bytes]:
    """The network's graph without the names in it, which count on from graph to graph, and its constants."""
    example = tuple(one.astype(np.float32) if one.ndim == 4 else one for one in inputs)
    graph = export.openvino_graph(module, example)
    operations, weights = openvino_engine._unpacked(graph)
    return [re.sub(rb'names?="[^"]*"', b"", operations), weights]


@pytest.mark.parametrize("name", [
    pytest.param(one, marks=pytest.mark.slow if one == "unet-resnet50" else ()) for one in ANY_SHAPE
])  # fmt: skip
def test_a_graph_said_to_be_of_any_shape_is_the_same_for_all(name: str) -> None:
    torch.manual_seed(0)
    network = ANY_SHAPE[name].build(bands=3, classes=3, **SMALL.get(name, {})).eval()
    stride_px = getattr(network, "stride_px", 1)
    refines = ANY_SHAPE[name].kind == "refiner"
    margin_px = network.margin_px if refines else network.halo_px
    found = []
    for rows, cols in ((1, 1), (2, 5), (7, 4)):
        sides = rows * stride_px + 2 * margin_px, cols * stride_px + 2 * margin_px
        found.append(graph_of(network.for_inference(), *[np.zeros((1, 3, *sides))] * (2 if refines else 1)))
    assert found[0] == found[1] == found[2]


def test_the_graph_of_network_and_refiner_as_one_is_the_same_for_all_shapes(folder) -> None:
    both = MapNetwork(
        load_model(folder / "fcn.safetensors", "coarse"), load_model(folder / "rnn.safetensors", "refiner")
    )
    found = []
    for rows, cols in ((4, 4), (12, 20)):
        image, inner = ((rows + 2 * one, cols + 2 * one) for one in (both.margin_px, both.halo_px))
        places = np.arange(inner[0]), np.arange(inner[1])
        found.append(graph_of(both.module(), np.zeros((1, 3, *image)), np.ones((1, 1, *inner)), *places))
    assert found[0] == found[1]


def test_one_graph_serves_scenes_of_any_shape(folder, tmp_path, cache, exports, monkeypatch) -> None:
    with rasterio.open(folder / "scene.tif") as whole:
        profile, pixels = whole.profile, whole.read()
    for name, (height, width) in (("a", (70, 33)), ("b", (30, 64))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "coarser.safetensors").write_bytes((folder / "coarser.safetensors").read_bytes())
        with rasterio.open(tmp_path / name / "scene.tif", "w", **{**profile, "height": height, "width": width}) as part:
            part.write(pixels[:, :height, :width])
            part.descriptions = BANDS
    mapped(folder, tmp_path / "map.tif", "coarser")
    found = [mapped(tmp_path / name, tmp_path / "map.tif", "coarser") for name in ("a", "b")]
    assert exports == ["openvino"]
    monkeypatch.setenv(VARIABLE, "off")
    assert found == [mapped(tmp_path / name, tmp_path / "map.tif", "coarser") for name in ("a", "b")]


def test_network_and_refiner_as_one_are_told_from_each_alone(folder, cache) -> None:
    coarse, refiner = (lazy.open_coarse(folder / "fcn.safetensors"), lazy.open_refiner(folder / "rnn.safetensors"))
    in_memory = load_model(folder / "rnn.safetensors", kind="refiner")
    found = {MapNetwork(*both).source.identity for both in ((coarse, refiner), (coarse, None), (None, refiner))}
    assert len(found) == 3
    assert () not in found
    assert MapNetwork(coarse, in_memory).source.identity == ()


@pytest.mark.parametrize("name", ["fcn", "lite0", "squares", "rnn"])
def test_a_model_opened_without_its_network_says_what_the_network_says(folder, cache, name: str) -> None:
    path, whole = folder / f"{name}.safetensors", load_model(folder / f"{name}.safetensors")
    opened = lazy.open_refiner if name == "rnn" else lazy.open_coarse
    for _ in range(2):  # loaded, and kept
        model = opened(path)
        assert model.card == whole.card
        for fact in lazy._REFINER if name == "rnn" else (*lazy._COARSE, "squares"):
            assert getattr(model.network, fact) == getattr(whole.network, fact), fact
        if name != "rnn":
            for context_px in (0, 1, 30, 31, 200):
                assert model.network.reading(context_px).halo_px == whole.network.reading(context_px).halo_px
    assert repr(model) == repr(whole)  # counts the weights, which loads them
    assert not hasattr(model.network, "no_such_thing")


def test_models_of_the_wrong_kind_and_damaged_ones_are_refused_cold_and_warm(folder, tmp_path, cache) -> None:
    for _ in range(2):
        with pytest.raises(ModelError, match="holds a coarse model"):
            lazy.open_refiner(folder / "fcn.safetensors")
        lazy.open_coarse(folder / "fcn.safetensors")
    whole = (folder / "fcn.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-100])
    for path in (tmp_path / "cut.safetensors", tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelError):
            lazy.open_coarse(path)


def test_weights_that_are_no_numbers_are_refused_cold_and_again(folder, tmp_path, cache) -> None:
    (tmp_path / "scene.tif").write_bytes((folder / "scene.tif").read_bytes())
    model = load_model(folder / "fcn.safetensors", kind="coarse")
    next(iter(model.network.parameters())).data[0] = np.nan
    save_model(tmp_path / "bad.safetensors", model.network, model.card)
    for _ in range(2):
        with pytest.raises(ModelError, match="infinite or not numbers"):
            mapped(tmp_path, tmp_path / "map.tif", "bad")


def test_a_damaged_graph_is_made_again_and_told(folder, tmp_path, cache, exports) -> None:
    first = mapped(folder, tmp_path / "map.tif", "fcn")
    (graph,) = (one.path for one in user_cache().entries() if "for openvino" in one.what)
    found = bytearray(graph.read_bytes())
    found[-1] ^= 1
    graph.write_bytes(found)
    with pytest.warns(CrispmapWarning, match="damaged"):
        assert mapped(folder, tmp_path / "map.tif", "fcn") == first
    assert exports == ["openvino"] * 2
    assert mapped(folder, tmp_path / "map.tif", "fcn") == first


def test_networks_whose_code_is_not_known_are_not_kept(folder, tmp_path, cache) -> None:
    register(Architecture("strided", "coarse", "a small network", StridedNetwork))
    try:
        network = StridedNetwork(3)
        card = load_model(folder / "fcn.safetensors").card
        card = dataclasses.replace(card, architecture="strided", arguments={"bands": 3}, radius_px=6, stride_px=2)
        save_model(tmp_path / "own.safetensors", network, card)
        (tmp_path / "scene.tif").write_bytes((folder / "scene.tif").read_bytes())
        mapped(tmp_path, tmp_path / "map.tif", "own")
    finally:
        unregister("strided")
    open_engine(StridedNetwork(), (np.zeros((1, 2, 30, 30), np.float32),), EngineChoice("openvino"))
    assert user_cache().entries() == []


def test_cuda_is_looked_for_by_its_driver(monkeypatch, tmp_path) -> None:
    def missing(_: str) -> None:
        raise OSError

    look = device.cuda_may_be_here.__wrapped__
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: name)
    assert look()
    monkeypatch.setattr(device.sys, "platform", "darwin")
    assert not look()
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(device.ctypes, "CDLL", missing)
    assert look() == Path("/dev/kfd").exists()
