"""Small networks and scenes held in memory, for the tests of inference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from crispmap.classes import ClassDef, ClassSchema
from crispmap.models.base import CoarseNetwork
from crispmap.models.card import ModelCard
from crispmap.models.scaling import Scaling
from crispmap.refiners.rnn.refiner import RecurrentRefiner

SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000"), ClassDef("road", "#00ff00")))
BANDS = ("red", "green")


class StridedNetwork(CoarseNetwork):
    """Two valid convolutions, the first with stride 2, and a deconvolution: a small FCN of the papers' kind."""

    architecture = "strided"

    def __init__(self, bands=2, classes=3, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.bands, self.classes = bands, classes
        self.arguments = {}
        self.stride_px, self.train_margin_px, self.halo_px, self.radius_px = 2, 5, 5, 6
        self.first = nn.Conv2d(bands, 6, 6, stride=2)
        self.second = nn.Conv2d(6, classes, 3)
        self.up = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=2)
        self.calls = 0
        self.shapes = set()

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        self.shapes.add(tuple(image.shape[2:]))
        return self.up(self.second(torch.relu(self.first(image))))


def coarse_card(**changes) -> ModelCard:
    card = ModelCard(
        kind="coarse", architecture="strided", arguments={}, schema=SCHEMA, band_names=BANDS,
        scaling=Scaling((127.0, 100.0), (64.0, 50.0)), gsd_m=1.0, radius_px=6, stride_px=2, provenance={},
    )  # fmt: skip
    return replace(card, **changes)


def refiner_card(**changes) -> ModelCard:
    return coarse_card(kind="refiner", architecture="rnn", radius_px=6, stride_px=1, **changes)


def scaled(image):
    """What a network sees of raw values, by the constants of ``coarse_card``."""
    return ((image - np.float32([[[127]], [[100]]])) / np.float32([[[64]], [[50]]])).astype(np.float32)


def small_refiner(bands=2, classes=3, iterations=3, seed=0, variant="class-specific") -> RecurrentRefiner:
    torch.manual_seed(seed)
    return RecurrentRefiner(classes, bands, iterations=iterations, variant=variant, filters=3, hidden=4)


def random_image(shape, bands=2, seed=0):
    return np.random.default_rng(seed).normal(120, 40, (bands, *shape)).astype(np.float32)


def padded(values, margin, more=(0, 0)):
    """Values (map, row, col) with their reflection around: ``margin`` on all sides, ``more`` below and to the right."""
    return np.pad(values, ((0, 0), (margin, margin + more[0]), (margin, margin + more[1])), mode="symmetric")


def whole_coarse(network, scaled):
    """The network applied to the whole image at once, its sides rounded up to the stride by reflection."""
    shape = scaled.shape[1:]
    more = tuple(-side % network.stride_px for side in shape)
    with torch.inference_mode():
        scores = network(torch.from_numpy(padded(scaled, network.halo_px, more))[None])[0].numpy()
    return scores[:, : shape[0], : shape[1]]


def whole_refined(refiner, scores, scaled):
    """The refiner applied to the whole area at once."""
    margin = refiner.margin_px
    with torch.inference_mode():
        tensors = [torch.from_numpy(padded(values, margin))[None] for values in (scores, scaled)]
        return refiner(*tensors)[0].numpy()
