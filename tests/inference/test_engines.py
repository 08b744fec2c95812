"""What every engine promises, checked on each of them with each kind of network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from small_models import StridedNetwork, coarse_card, refiner_card
from torch import nn

from crispmap.errors import ModelError
from crispmap.geo.grid import Block
from crispmap.inference.engines import PRECISIONS, Array, Engine, EngineChoice, Precision, open_engine
from crispmap.inference.engines.interface import PrecisionError
from crispmap.inference.network import MapNetwork, reflected_places
from crispmap.models.base import CoarseNetwork
from crispmap.models.fcn.network import fcn_igarss, fcn_rnn
from crispmap.models.model import Model
from crispmap.models.smp.network import smp, unet_lite0
from crispmap.refiners.rnn.refiner import VARIANTS, RecurrentRefiner

BANDS, CLASSES, SIDE_PX = 4, 3, 24
REFINERS = [f"{variant}, {features}" for variant in VARIANTS for features in ("image", "derivatives")]
PADDED = ["lite0", "resnet"]
NETWORKS = ["fcn-rnn", "fcn-igarss", "fused", *PADDED, *REFINERS]
# Every export to ONNX takes seconds.
QUICK_ONNX = {"fused", "fcn-igarss"}
CASES = [
    pytest.param(engine, network, marks=[] if engine != "onnxruntime" or network in QUICK_ONNX else pytest.mark.slow)
    for engine in ("torch", "openvino", "onnxruntime")
    for network in NETWORKS
]


def fused() -> MapNetwork:
    return MapNetwork(
        Model(fcn_rnn(BANDS, CLASSES), coarse_card()),
        Model(RecurrentRefiner(CLASSES, BANDS, iterations=2, filters=4, hidden=6), refiner_card()),
    )


def module(name: str) -> nn.Module:
    torch.manual_seed(3)
    if name == "fcn-rnn":
        return fcn_rnn(BANDS, CLASSES)
    if name == "fcn-igarss":
        return fcn_igarss(BANDS, 2)
    if name == "fused":
        return fused().module()
    if name in PADDED:
        return padded(name).for_inference()
    variant, features = name.split(", ")
    return refiner(variant, features).for_inference()


def padded(name: str) -> CoarseNetwork:
    if name == "lite0":
        return unet_lite0(BANDS, CLASSES, depth=3, radius_px=56).eval()
    return smp(BANDS, CLASSES, encoder="resnet18", depth=3, radius_px=72).eval()


def refiner(variant: str, features: str) -> RecurrentRefiner:
    made = RecurrentRefiner(CLASSES, BANDS, iterations=3, variant=variant, features=features, filters=4, hidden=6)
    with torch.no_grad():
        made.hidden_bias.uniform_(-0.5, 0.5)
        made.output_bias.uniform_(-0.5, 0.5)
    return made


def example(name: str, seed: int = 0) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)

    def maps(count: int, margin_px: int) -> Array:
        return rng.normal(size=(1, count, SIDE_PX + 2 * margin_px, SIDE_PX + 2 * margin_px)).astype(np.float32)

    if name.startswith("fcn"):
        return (maps(BANDS, module(name).halo_px),)
    if name in PADDED:
        return (maps(BANDS, padded(name).halo_px),)
    if name != "fused":
        margin_px = refiner(*name.split(", ")).margin_px
        return maps(CLASSES, margin_px), maps(BANDS, margin_px)
    network = fused()
    known = (rng.random((1, 1, SIDE_PX + 2 * network.halo_px, SIDE_PX + 2 * network.halo_px)) < 0.9).astype(np.float32)
    places = reflected_places(Block(0, SIDE_PX, SIDE_PX, SIDE_PX), network.halo_px, (200, SIDE_PX + 9))
    return maps(BANDS, network.margin_px), known, *places


@cache
def opened(engine: str, name: str, precision: Precision = "float32", threads: int = 1) -> Engine:
    return open_engine(module(name), example(name), EngineChoice(engine, precision, "cpu", threads))


def bytes_of(outputs: list[Array]) -> bytes:
    return b"".join(output.tobytes() for output in outputs)


@pytest.mark.parametrize(("engine", "network"), CASES)
def test_scores_are_those_of_the_module(engine: str, network: str) -> None:
    made = opened(engine, network)
    inputs = example(network, seed=7)
    with torch.inference_mode():
        expected = module(network)(*(torch.from_numpy(array) for array in inputs))
    expected = [expected] if isinstance(expected, torch.Tensor) else expected
    outputs = made.run(*inputs)
    assert len(outputs) == len(expected)
    for output, scores in zip(outputs, expected, strict=True):
        assert output.dtype == np.float32
        assert output.shape == tuple(scores.shape)
        assert np.abs(output - scores.numpy()).max() <= 1e-4 * scores.abs().max()


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_an_engine_says_what_it_is(engine: str) -> None:
    made = opened(engine, "fcn-igarss")
    assert (made.name, made.precision, made.device) == (engine, "float32", "cpu")
    assert made.text.startswith(f"{engine} ")
    assert made.text.endswith(", float32, cpu")


def reduced() -> list[tuple[str, Precision]]:
    """Engine and precision, reduced, that this machine offers."""
    found: list[tuple[str, Precision]] = [("torch", "bfloat16")]
    for precision in PRECISIONS[1:]:
        try:
            opened("openvino", "fused", precision)
        except PrecisionError:
            continue
        found.append(("openvino", precision))
    return found


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_bytes_do_not_depend_on_the_number_of_threads(engine: str) -> None:
    check_threads(engine, "float32")


def test_bytes_do_not_depend_on_the_number_of_threads_in_reduced_precision() -> None:
    for engine, precision in reduced():
        check_threads(engine, precision)


def check_threads(engine: str, precision: Precision) -> None:
    tiles = [example("fused", seed) for seed in range(6)]
    results = []
    for threads in (1,) if engine == "onnxruntime" else (1, 2, 4):
        made = opened(engine, "fused", precision, threads)
        for callers in {threads, 4}:  # more callers than threads wait, and change nothing
            with ThreadPoolExecutor(callers) as pool:
                results.append([bytes_of(outputs) for outputs in pool.map(made.run, *zip(*tiles, strict=True))])
    assert all(result == results[0] for result in results)
    assert len(set(results[0])) == len(tiles)


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_results_belong_to_the_caller_and_inputs_are_left_alone(engine: str) -> None:
    made = opened(engine, "fcn-igarss")
    first, second = example("fcn-igarss", 1), example("fcn-igarss", 2)
    given = first[0].copy()
    (scores,) = made.run(*first)
    kept = scores.copy()
    made.run(*second)
    assert np.array_equal(scores, kept)
    assert np.array_equal(first[0], given)
    scores[:] = 0  # writable, and nobody else's
    assert np.array_equal(made.run(*first)[0], kept)


def test_openvino_computes_with_the_weights_it_was_opened_with() -> None:
    network, inputs = module("fcn-igarss").train(), example("fcn-igarss")
    made = open_engine(network, inputs, EngineChoice("openvino"))
    before = made.run(*inputs)[0]
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    assert np.array_equal(made.run(*inputs)[0], before)


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime"])
def test_what_is_not_finite_is_refused_and_the_engine_goes_on(engine: str) -> None:
    made, (image,) = opened(engine, "fcn-igarss"), example("fcn-igarss")
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = image.copy()
        spoilt[0, 0, 60, 60] = bad
        for _ in range(2):
            with pytest.raises(ModelError, match="range the model was trained on"):
                made.run(spoilt)
    assert np.isfinite(made.run(image)[0]).all()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_scores_that_overflow_are_refused(engine: str) -> None:
    class Loud(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * 1e30

    image = np.full((1, 2, 30, 30), 1e20, np.float32)
    with pytest.raises(ModelError, match="The network gives scores that are infinite"):
        open_engine(Loud(), (image,), EngineChoice(engine)).run(image)


@pytest.mark.parametrize("engine", ["torch", "openvino", "onnxruntime", "auto"])
@pytest.mark.parametrize("place", ["first", "second"])  # what a ReLU follows is lost in some libraries
def test_weights_that_are_not_finite_are_refused(engine: str, place: str) -> None:
    network = StridedNetwork()
    with torch.no_grad():
        network.get_submodule(place).weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match=rf"{place}.weight .*not numbers"):
        open_engine(network, (np.zeros((1, 2, 30, 30), np.float32),), EngineChoice(engine, device="cpu"))


def test_reduced_precision_is_near_float32_and_not_the_same() -> None:
    inputs = example("fused", seed=5)
    exact = opened("torch", "fused").run(*inputs)[0]
    for engine, precision in reduced():
        made = opened(engine, "fused", precision)
        scores = made.run(*inputs)[0]
        assert made.precision == precision
        assert scores.dtype == np.float32
        assert 0 < np.abs(scores - exact).max() < 0.05 * np.abs(exact).max()
