"""Mnih's patch network: the published layers, patch by patch and with shared features."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from crispmap.models.fcn.network import fcn_igarss
from crispmap.models.patch_network.network import PatchNetwork


def built(bands: int = 3, classes: int = 2, seed: int = 0) -> PatchNetwork:
    torch.manual_seed(seed)
    network = PatchNetwork(bands, classes).double().eval()
    for name, weight in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(weight, -0.5, 0.5)
    return network


def as_published(network: PatchNetwork, patch: Tensor) -> Tensor:
    """The maps (map, 16, 16) of one patch (band, 64, 64), layer by layer as figure 1a names them."""
    first, second, third = network.convolutions
    features = functional.relu(functional.conv2d(patch, first.weight, first.bias, stride=4))
    assert features.shape == (64, 14, 14)
    features = functional.relu(functional.conv2d(features, second.weight, second.bias))
    assert features.shape == (112, 11, 11)
    features = functional.relu(functional.conv2d(features, third.weight, third.bias))
    assert features.shape == (80, 9, 9)
    return (network.classify.weight @ features.flatten() + network.classify.bias).view(-1, 16, 16)


@given(
    rows=st.integers(1, 4),
    cols=st.integers(1, 4),
    batch=st.integers(1, 3),
    classes=st.integers(2, 4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=12)
@torch.no_grad()
def test_a_map_is_the_published_patches_side_by_side_shared_or_not(
    rows: int, cols: int, batch: int, classes: int, seed: int
) -> None:
    network = built(bands=2, classes=classes, seed=seed)
    image = torch.randn(batch, 2, 16 * rows + 48, 16 * cols + 48, dtype=torch.float64)
    scores = network(image)
    assert scores.shape == (batch, classes, 16 * rows, 16 * cols)
    for one in range(batch):
        for row in range(0, 16 * rows, 16):
            for col in range(0, 16 * cols, 16):
                maps = as_published(network, image[one, :, row : row + 64, col : col + 64])
                expected = torch.cat([-maps / 2, maps / 2]) if classes == 2 else maps
                torch.testing.assert_close(scores[one, :, row : row + 16, col : col + 16], expected)
    torch.testing.assert_close(network.shared(image), scores, rtol=0, atol=1e-12)


@torch.no_grad()
def test_shared_features_differ_by_rounding_alone_in_float32() -> None:
    network = built().float()
    image = torch.randn(1, 3, 208, 240)
    scores = network(image)
    # On any processor: sums of 6,480 products round by some sqrt(6480) of float32's 1.2e-7, which is 1e-5.
    assert (network.shared(image) - scores).abs().max() <= 2e-5 * scores.abs().max()


def test_training_shares_features_and_gives_the_same_gradients() -> None:
    network = built(classes=3)
    image = torch.randn(2, 3, 80, 96, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 32, 48))
    gradients = []
    for mode in (True, False):
        network.train(mode)
        network.zero_grad()
        functional.cross_entropy(network(image), labels).backward()
        gradients.append([weight.grad.clone() for weight in network.parameters()])
    for shared, apart in zip(*gradients, strict=True):
        torch.testing.assert_close(shared, apart, rtol=0, atol=1e-12)


@torch.no_grad()
def test_patches_go_through_the_layers_in_batches_of_64_at_most() -> None:
    network = built(bands=1).float()
    seen: list[int] = []
    network.convolutions[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[0]))
    network(torch.randn(1, 1, 16 * 11 + 48, 16 * 13 + 48))
    assert seen == [64, 64, 15]


def test_the_fully_convolutional_network_has_far_fewer_weights_for_the_same_features() -> None:
    def weights(network: nn.Module) -> int:
        return sum(one.numel() for one in network.parameters())

    patch, convolutional = PatchNetwork(3), fcn_igarss(3)
    features = [[weight.shape for weight in one.convolutions[:3].parameters()] for one in (patch, convolutional)]
    assert features[0] == features[1]
    assert weights(patch.classify) == 80 * 9 * 9 * 256 + 256
    assert weights(patch) > 7 * weights(convolutional)


@pytest.mark.parametrize(("classes", "maps"), [(2, 1), (5, 5)])
def test_two_classes_share_one_map_as_published(classes: int, maps: int) -> None:
    network = PatchNetwork(3, classes)
    assert network.classify.out_features == maps * 256
    assert network.arguments == {"bands": 3, "classes": classes, "binary": classes == 2}
    assert (network.halo_px, network.stride_px, network.radius_px) == (24, 16, 39)
