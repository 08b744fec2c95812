"""The U-Net as published: figures of the paper, and sides that an own reckoning gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from crispmap.models.unet.network import unet


def published_parameters(bands: int, classes: int) -> int:
    """Weights and biases counted from figure 1 of the paper, layer by layer."""
    count, incoming = 0, bands
    for filters in (64, 128, 256, 512, 1024):
        count += 9 * incoming * filters + filters + 9 * filters * filters + filters
        incoming = filters
    for filters in (512, 256, 128, 64):
        count += 4 * incoming * filters + filters  # up-convolution 2x2
        count += 9 * (2 * filters) * filters + filters + 9 * filters * filters + filters
        incoming = filters
    return count + 64 * classes + classes


@pytest.mark.parametrize(("bands", "classes"), [(1, 2), (3, 7)])
def test_it_has_the_layers_and_parameters_of_the_paper(bands: int, classes: int) -> None:
    with torch.device("meta"):
        network = unet(bands, classes)
    assert sum(isinstance(one, nn.Conv2d | nn.ConvTranspose2d) for one in network.modules()) == 23
    assert sum(one.numel() for one in network.parameters()) == published_parameters(bands, classes)


def test_its_first_tile_is_that_of_figure_1() -> None:
    """572 pixels become 388; here 2 more are cropped on each side, for scores to lie on multiples of 16."""
    network = unet(1, 2, width=1).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 572, 572)).shape[-2:] == (388 - 4, 388 - 4)


def test_features_on_the_way_up_are_those_of_the_same_place_on_the_way_down() -> None:
    """Where every layer passes on the middle of its first input, a score is its own pixel."""
    network = unet(1, 1, width=1).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            layer.weight.data[:, 0, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = 1  # the skipped features
    image = torch.rand(1, 1, 48 + 2 * network.halo_px, 64 + 2 * network.halo_px)
    with torch.no_grad():
        scores = network(image)
    inner = image[..., network.halo_px : -network.halo_px, network.halo_px : -network.halo_px]
    torch.testing.assert_close(scores, inner)


def test_dropout_is_random_in_training_alone() -> None:
    network, image = unet(1, 2, width=1), torch.rand(1, 1, 204, 204)
    network.train()
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))
