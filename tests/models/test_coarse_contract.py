"""What every coarse network promises, checked on each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from crispmap.models.base import CoarseNetwork, bilinear_kernel
from crispmap.models.cerranet.network import cerranet
from crispmap.models.fcn.network import fcn_igarss, fcn_rnn
from crispmap.models.patch_network.network import PatchNetwork
from crispmap.models.registry import architectures
from crispmap.models.smp.network import smp, unet_lite0
from crispmap.models.svm.network import svm, svm_texture
from crispmap.models.timm_classifier.network import timm_classifier
from crispmap.models.unet.network import unet

LITE0_RADIUS_PX, RESNET_RADIUS_PX = 56, 72  # of three levels
NETWORKS = {
    "fcn-rnn": lambda: fcn_rnn(3, 3),
    "fcn-rnn, 7 bands, 5 classes": lambda: fcn_rnn(7, 5),
    "fcn-rnn, binary": lambda: fcn_rnn(4, 2, binary=True),
    "fcn-igarss": lambda: fcn_igarss(3),
    "fcn-igarss, 1 band, 4 classes": lambda: fcn_igarss(1, 4),
    "mnih": lambda: PatchNetwork(2),
    "mnih, 4 classes": lambda: PatchNetwork(1, 4),
    "unet, of one filter": lambda: unet(2, 2, width=1),
    "unet, of three filters, 3 classes": lambda: unet(1, 3, width=3),
    "cerranet, of four filters": lambda: cerranet(2, 3, square_px=64, width=4),
    "cerranet, context of 8 pixels": lambda: cerranet(1, 2, square_px=64, context_px=8, width=4),
    "unet-lite0, shallow": lambda: unet_lite0(4, 2, depth=3, radius_px=LITE0_RADIUS_PX),
    "smp, shallow": lambda: smp(2, 3, encoder="resnet18", depth=3, radius_px=RESNET_RADIUS_PX),
    "timm, a small one": lambda: timm_classifier(4, 3, square_px=32, model="test_convnext"),
    "timm, context of 8 pixels": lambda: timm_classifier(1, 2, square_px=32, context_px=8, model="test_efficientnet"),
    "svm": lambda: random_machine(svm(3, 2, vectors=40)),
    "svm-texture, 4 classes": lambda: random_machine(svm_texture(2, 4, vectors=70)),
}


OTHERS_OF_A_CLASS = {"unet-resnet50", "deeplabv3-resnet50"}  # the class of smp, which other names build too


def random_machine(network: CoarseNetwork) -> CoarseNetwork:
    """A machine whose every constant matters, though nothing fitted it."""
    for values in network.buffers():
        values.copy_(torch.rand_like(values) + 0.1)
    return network


LONG = {"smp, shallow"}  # where another of its kind, unet-lite0, is never left out


@pytest.fixture(params=[pytest.param(one, marks=pytest.mark.slow if one in LONG else ()) for one in NETWORKS])
def network(request: pytest.FixtureRequest) -> CoarseNetwork:
    torch.manual_seed(0)
    return NETWORKS[request.param]().double().eval()


def scores_of(network: CoarseNetwork, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.for_inference()(image)


def random_image(network: CoarseNetwork, height: int, width: int, batch: int = 1) -> torch.Tensor:
    margin = 2 * network.halo_px
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, network.bands, height + margin, width + margin, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("strides", [(1, 1), (4, 8), (10, 3)])
def test_scores_cover_the_image_less_its_margin(network: CoarseNetwork, strides: tuple[int, int]) -> None:
    shape = strides[0] * network.stride_px, strides[1] * network.stride_px
    scores = scores_of(network, random_image(network, *shape, batch=2))
    assert scores.shape == (2, network.classes, *shape)


def test_a_window_on_the_stride_grid_gives_the_scores_of_the_whole(network: CoarseNetwork) -> None:
    stride = network.stride_px
    image = random_image(network, 12 * stride, 16 * stride)
    whole = scores_of(network, image)
    row, col, height, width = 3 * stride, 5 * stride, 4 * stride, 6 * stride
    margin = 2 * network.halo_px
    part = scores_of(network, image[..., row : row + height + margin, col : col + width + margin])
    torch.testing.assert_close(part, whole[..., row : row + height, col : col + width], rtol=0, atol=1e-12)


def test_the_declared_radius_is_true_and_tight(network: CoarseNetwork) -> None:
    size = network.stride_px * ((2 * network.radius_px) // network.stride_px + 3)
    image = random_image(network, size, size)
    plain = scores_of(network, image)
    reach = 0
    for shift in range(0, network.stride_px, 1 if network.train_margin_px else 7):
        row, col = size // 2 + shift, size // 2 - shift
        touched = image.clone()
        touched[..., row + network.halo_px, col + network.halo_px] += 10.0
        changed = (scores_of(network, touched) != plain).any(dim=1)[0].nonzero()
        distance = (changed - torch.tensor([row, col])).abs().max().item()
        assert distance <= network.radius_px
        reach = max(reach, distance)
    # The radius of padded networks is measured, of a whole cell of the stride at once.
    known = 1 if network.train_margin_px else network.stride_px
    assert network.radius_px - reach < known


@pytest.mark.slow
def test_the_radius_of_padded_networks_is_measured() -> None:
    assert unet_lite0(4, 2, depth=3).radius_px == LITE0_RADIUS_PX
    assert smp(2, 3, encoder="resnet18", depth=3).radius_px == RESNET_RADIUS_PX


def test_the_arguments_build_the_same_architecture(network: CoarseNetwork) -> None:
    again = architectures()[network.architecture].build(**network.arguments)
    assert {n: p.shape for n, p in again.state_dict().items()} == {n: p.shape for n, p in network.state_dict().items()}


def test_gradients_reach_every_weight(network: CoarseNetwork) -> None:
    if not list(network.parameters()):
        pytest.skip("fitted, not trained by gradients")
    network(random_image(network, 2 * network.stride_px, 2 * network.stride_px)).square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_every_coarse_network_of_the_registry_is_held_to_this() -> None:
    held = {name.split(",")[0] for name in NETWORKS}
    assert set(architectures("coarse", trainable=True)) == held | OTHERS_OF_A_CLASS


def layers_of(network: nn.Module) -> list[tuple[int, int, int, int]]:
    return [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0])
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def test_fcn_rnn_has_the_layers_of_the_paper() -> None:
    assert layers_of(fcn_rnn(3, 3)) == [(3, 64, 12, 4), (64, 128, 3, 1), (128, 128, 3, 1), (128, 3, 9, 1), (3, 3, 8, 4)]


def test_fcn_igarss_has_the_layers_of_the_paper() -> None:
    assert layers_of(fcn_igarss(3)) == [(3, 64, 12, 4), (64, 112, 4, 1), (112, 80, 3, 1), (80, 1, 9, 1), (1, 1, 8, 4)]


@pytest.mark.parametrize(("side", "expected"), [(80, 16), (482, 416), (480, 416)])
def test_fcn_igarss_has_the_sizes_of_the_published_network(side: int, expected: int) -> None:
    assert scores_of(fcn_igarss(3), torch.zeros(1, 3, side, side)).shape[-2:] == (expected, expected)


@pytest.mark.parametrize("build", [fcn_igarss, PatchNetwork])
def test_binary_scores_are_the_sigmoid_of_one_map(build: Callable[..., CoarseNetwork]) -> None:
    network = build(3).double()
    scores = scores_of(network, random_image(network, 16, 16))
    z = scores[:, 1] - scores[:, 0]
    torch.testing.assert_close(scores.softmax(1)[:, 1], z.sigmoid())
    torch.testing.assert_close(scores.sum(1), torch.zeros_like(z))


@pytest.mark.parametrize("build", [fcn_rnn, PatchNetwork])
def test_a_binary_network_refuses_three_classes(build: Callable[..., CoarseNetwork]) -> None:
    with pytest.raises(ValueError, match="2 classes"):
        build(3, 3, binary=True)


def test_the_bilinear_kernel_keeps_a_constant() -> None:
    up = nn.functional.conv_transpose2d(torch.ones(1, 1, 6, 6), bilinear_kernel(8, 4)[None, None], stride=4, padding=4)
    torch.testing.assert_close(up[..., 4:-4, 4:-4], torch.ones(1, 1, 12, 12))


def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(fcn_rnn(3, 3).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
