"""Imported networks give Caffe's scores, on windows cut anywhere, with a true margin and radius."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from caffe_by_hand import Layer, caffe_maps, data_layer, encoded
from caffe_networks import PUBLISHED, Builder, boston, networks
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.models.caffe.file import read_caffe
from crispmap.models.caffe.network import CaffeNetwork, caffe_network
from crispmap.models.registry import architectures

pytestmark = pytest.mark.usefixtures("one_thread")


def network_of(layers: list[Layer], folder: Path, patch: int = 64, labels: int = 64) -> CaffeNetwork:
    path = folder / "net.caffemodel"
    path.write_bytes(encoded(layers, data=data_layer(patch, labels)))
    return caffe_network(read_caffe(path), (0, 1, 2)).double()


def z_of(network: CaffeNetwork, image: np.ndarray) -> np.ndarray:
    """The score map for an image (band, row, col)."""
    with torch.no_grad():
        scores = network(torch.from_numpy(image)[None])[0]
    assert torch.equal(scores[0], -scores[1])
    return (scores[1] - scores[0]).numpy()


def an_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 1, (3, height, width))


def check_against_caffe(network: CaffeNetwork, layers: list[Layer], offset: int) -> None:
    """Compare a window deep inside an image with what Caffe gives there for the whole of it."""
    step = network.stride_px
    start = -(-2 * network.halo_px // step) * step + step
    height, width = step, 2 * step
    image = an_image(2 * start + height + step, 2 * start + width + step)
    theirs = caffe_maps(layers, image)[0, start : start + height, start : start + width]
    first = start + offset - network.halo_px
    rows, cols = (slice(first, first + side + 2 * network.halo_px) for side in (height, width))
    np.testing.assert_allclose(z_of(network, image[:, rows, cols]), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_architectures_give_the_scores_of_caffe(name: str, tmp_path: Path) -> None:
    build, patch, labels = PUBLISHED[name]
    layers = build()
    check_against_caffe(network_of(layers, tmp_path, patch, labels), layers, (patch - labels) // 2)


@given(layers=networks(), offset=st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_any_network_gives_the_scores_of_caffe(
    layers: list[Layer], offset: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = network_of(layers, tmp_path_factory.mktemp("net"), 64 + 2 * offset, 64)
    check_against_caffe(network, layers, offset)


def test_without_padding_the_scores_are_those_of_caffe_up_to_the_border(tmp_path: Path) -> None:
    layers = boston()
    network = network_of(layers, tmp_path, 82, 16)
    image = an_image(82, 90)
    np.testing.assert_allclose(z_of(network, image), caffe_maps(layers, image)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("boston", (33, 4, 36)),
        ("inria fcn", (152, 32, 168)),
        ("inria mlp", (152, 32, 170)),
        ("two scales", (48, 8, 52)),
    ],
)
def test_margin_stride_and_radius_of_the_published_architectures(
    name: str, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    build, patch, labels = PUBLISHED[name]
    network = network_of(build(), tmp_path, patch, labels)
    assert (network.halo_px, network.stride_px, network.radius_px) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_window_on_the_stride_grid_gives_the_scores_of_the_whole(name: str, tmp_path: Path) -> None:
    build, patch, labels = PUBLISHED[name]
    network = network_of(build(), tmp_path, patch, labels)
    step, margin = network.stride_px, 2 * network.halo_px
    image = an_image(4 * step + margin, 5 * step + margin)
    whole = z_of(network, image)
    assert whole.shape == (4 * step, 5 * step)
    part = z_of(network, image[:, step : 3 * step + margin, 2 * step : 5 * step + margin])
    np.testing.assert_allclose(part, whole[step : 3 * step, 2 * step : 5 * step], rtol=0, atol=1e-11)


@given(layers=networks(), offset=st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_no_pixel_changes_a_score_beyond_the_radius(
    layers: list[Layer], offset: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = network_of(layers, tmp_path_factory.mktemp("net"), 64 + 2 * offset, 64)
    assert reach_of(network) <= network.radius_px


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_declared_radius_is_tight(name: str, tmp_path: Path) -> None:
    build, patch, labels = PUBLISHED[name]
    network = network_of(build(), tmp_path, patch, labels)
    assert reach_of(network) == network.radius_px


def reach_of(network: CaffeNetwork) -> int:
    """How far a changed pixel changes scores, over all places of it on the stride grid."""
    step, radius = network.stride_px, network.radius_px
    middle = -(-(radius + 1) // step) * step
    image = an_image(2 * middle + step + 2 * network.halo_px, 2 * middle + step + 2 * network.halo_px)
    plain, reach = z_of(network, image), 0
    for shift in range(0, step, max(1, step // 8)) if step > 8 else range(step):
        for row, col in ((middle + shift, middle + step - 1 - shift), (middle + step - 1 - shift, middle + shift)):
            touched = image.copy()
            touched[:, row + network.halo_px, col + network.halo_px] += 1000.0
            rows, cols = np.nonzero(z_of(network, touched) != plain)
            if rows.size:
                reach = max(reach, int(np.abs(rows - row).max()), int(np.abs(cols - col).max()))
    return reach


def test_red_green_and_blue_are_turned_round(tmp_path: Path) -> None:
    network = network_of(boston(), tmp_path, 82, 16)
    turned = CaffeNetwork(**(network.arguments | {"band_order": [2, 1, 0]})).double().eval()
    turned.load_state_dict(network.state_dict())
    image = an_image(70, 70)
    np.testing.assert_array_equal(z_of(turned, image), z_of(network, image[::-1].copy()))


def test_the_arguments_build_the_same_network(tmp_path: Path) -> None:
    for build, patch, labels in PUBLISHED.values():
        network = network_of(build(), tmp_path, patch, labels)
        again = architectures()["caffe"].build(**network.arguments)
        assert again.arguments == network.arguments
        again.load_state_dict(network.state_dict())


def test_a_factor_of_zero_takes_mean_and_variance_as_zero(tmp_path: Path) -> None:
    net = Builder()
    at = net.add("BatchNorm", net.add("Convolution", "data", num=2), eps=0.25)
    net.layers[-1].blobs[2] = np.zeros(1, np.float32)
    net.add("Convolution", at, num=1)
    image = an_image(4, 4)
    np.testing.assert_allclose(z_of(network_of(net.layers, tmp_path), image), caffe_maps(net.layers, image)[0])


def test_layers_that_the_scores_do_not_need_are_left_out(tmp_path: Path) -> None:
    net = Builder()
    net.add("Convolution", "data", "unused", num=1, kernel=9)
    net.add("Convolution", "data", "score", num=1)
    network = network_of(net.layers, tmp_path)
    assert [layer.name for layer in network.layers] == ["score"]
    assert (network.halo_px, network.radius_px, network.stride_px) == (0, 0, 1)


def test_a_map_may_be_joined_with_itself(tmp_path: Path) -> None:
    net = Builder()
    at = net.add("Convolution", "data", num=1)
    net.add("Eltwise", (at, at))
    image = an_image(3, 3)
    np.testing.assert_allclose(z_of(network_of(net.layers, tmp_path), image), caffe_maps(net.layers, image)[0])


GOOD: dict[str, Any] = {
    "layers": [{"name": "a", "kind": "convolution", "inputs": ["image"], "maps": 1, "kernel": 3, "pad": 1}],
    "output": "a", "band_order": [2, 1, 0], "offset_px": 0,
}  # fmt: skip


def with_layer(**changes: object) -> dict[str, Any]:
    return GOOD | {"layers": [GOOD["layers"][0] | changes]}


def test_good_arguments_are_good() -> None:
    assert CaffeNetwork(**GOOD).halo_px == 1


@pytest.mark.parametrize(
    "arguments",
    [
        with_layer(kind="attention"),
        with_layer(maps=0),
        with_layer(maps=2),
        with_layer(maps=1 << 40),
        with_layer(kernel=0),
        with_layer(kernel=1 << 20),
        with_layer(kernel="3"),
        with_layer(stride=0),
        with_layer(stride=2),
        with_layer(pad=-1),
        with_layer(groups=2),
        with_layer(inputs=[]),
        with_layer(inputs=["b"]),
        with_layer(inputs=["a"]),
        with_layer(inputs=[3]),
        with_layer(inputs=["image", "image"]),
        with_layer(name="image"),
        with_layer(depth=3),
        with_layer(kind="deconvolution", kernel=2, stride=2),
        with_layer(kind="deconvolution", kernel=2, stride=4),
        with_layer(epsilon=float("nan")),
        GOOD | {"layers": []},
        GOOD | {"layers": [3]},
        GOOD | {"layers": GOOD["layers"] * 2},
        GOOD | {"layers": [GOOD["layers"][0] | {"name": str(i)} for i in range(1001)]},
        GOOD | {"output": "b"},
        GOOD | {"output": "image"},
        GOOD | {"band_order": [1, 2, 3]},
        GOOD | {"band_order": [0.0, 1.0, 2.0]},
        GOOD | {"band_order": []},
        GOOD | {"offset_px": 0.5},
        GOOD | {"offset_px": -1},
        GOOD | {"offset_px": 5000},
    ],
)
def test_arguments_of_no_network_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)), torch.device("meta"):
        CaffeNetwork(**arguments)


def chain(*kinds: dict[str, Any]) -> dict[str, Any]:
    layers, before = [], "image"
    for index, facts in enumerate(kinds):
        layers.append({"name": str(index), "inputs": [before], **facts})
        before = str(index)
    return GOOD | {"layers": layers, "output": before}


DOWN = {"kind": "max pooling", "kernel": 255, "stride": 255}
UP = {"kind": "deconvolution", "kernel": 255, "stride": 255, "maps": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (chain(DOWN, DOWN, UP, UP), "more than 1024"),
        (chain(*[{"kind": "max pooling", "kernel": 255}] * 40, {"kind": "convolution", "maps": 1}), "more than 4096"),
        (chain({"kind": "convolution", "maps": 1 << 16}, DOWN), "one map"),
    ],
)
def test_networks_that_see_too_far_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        CaffeNetwork(**arguments)


def test_maps_of_different_sampling_are_not_joined() -> None:
    low = {"name": "low", "kind": "max pooling", "inputs": ["image"], "kernel": 2, "stride": 2}
    both = {"name": "both", "kind": "sum", "inputs": ["image", "low"]}
    with pytest.raises(ValueError, match="both"):
        CaffeNetwork(**(GOOD | {"layers": [low, both], "output": "both"}))
