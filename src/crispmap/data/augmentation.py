"""Augmentation of training patches: every way but flips and rotations.

What is drawn for a patch is a function of seed, patch number and the name of the way, so it is the same after a resumed
training, in any worker and on any device, and one way more changes nothing in the others. Scale and elastic move image,
scores and labels alike; colour, brightness, blur and noise change the image alone, in its own scaled units, and leave
pixels without data at 0.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import remap
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from crispmap.data.patches import PatchSource
from crispmap.geo.grid import Block
from crispmap.raster.scene import bounding_block
from crispmap.types import IGNORE, DoubleArray, FloatArray, LabelArray

LARGEST_ZOOM = 4 / 3  # of scale, in and out
ELASTIC_PX = 10.0  # standard deviation of the displacements of elastic
_NODES = 3  # they are drawn on a grid of so many nodes a side, as by Ronneberger et al. 2015
# Their patches were 570 pixels wide. Where nodes lie closer, neighbours so many standard deviations apart do not fold.
_SPACING_PER_DEVIATION = 8
COLOUR = 0.2  # largest logarithm of a band's gain, and its largest offset
BRIGHTNESS = 0.3  # largest offset of all bands together
BLUR_PX = 1.5  # largest standard deviation of the blur
NOISE = 0.2  # largest standard deviation of the noise


@dataclass(frozen=True)
class PatchDraws:
    """What is drawn for one patch."""

    ways: Sequence[str]  # names of ``crispmap.models.settings.AUGMENTATIONS``
    seed: int
    patch: int  # its number

    def of(self, way: str) -> np.random.Generator:
        """Return the numbers that one way draws; none of them is drawn where patches are placed and turned."""
        counter = [0, 0, 0, zlib.crc32(way.encode())]
        return np.random.Generator(np.random.Philox(key=[self.seed, self.patch], counter=counter))

    def warp(self, side: int) -> DoubleArray | None:
        """Return where each pixel of a square comes from, (row or col, row, col) in its pixels; None if from itself."""
        if not {"scale", "elastic"} & set(self.ways):
            return None
        line, middle = np.arange(side, dtype=np.float64), (side - 1) / 2
        at = np.stack(np.meshgrid(line, line, indexing="ij"))
        if "scale" in self.ways:
            at = middle + (at - middle) * LARGEST_ZOOM ** self.of("scale").uniform(-1, 1)
        if "elastic" in self.ways:
            deviation = min(ELASTIC_PX, side / (_NODES - 1) / _SPACING_PER_DEVIATION)
            nodes = self.of("elastic").normal(0, deviation, (2, _NODES, _NODES))
            shares = _bicubic(side)
            at = at + np.einsum("cpj,qj->cpq", np.einsum("pi,cij->cpj", shares, nodes), shares)
        return at

    def recoloured(self, image: FloatArray) -> FloatArray:
        """Return an image (band, row, col) in another colour, brightness and sharpness, and with noise."""
        if not set(_CHANGES) & set(self.ways):
            return image
        known, changed = (image != 0).any(axis=0), torch.from_numpy(image.copy())
        for way, change in _CHANGES.items():
            if way in self.ways:
                changed = change(changed, self.of(way))
        return np.where(known, changed.numpy(), np.float32(0))


@cache
def _bicubic(side: int) -> DoubleArray:
    """Return the share of each node in each of a line's pixels, (pixel, node), by bicubic interpolation."""
    nodes = torch.eye(_NODES, dtype=torch.float64)[None, None]
    shares: DoubleArray = F.interpolate(nodes, (side, _NODES), mode="bicubic", align_corners=True)[0, 0].numpy()
    return shares


def warped(read: Callable[[Block], FloatArray], block: Block, at: DoubleArray) -> FloatArray:
    """Return the values (…, row, col) of a block as ``at`` moves them, between pixels bilinearly."""
    window = _window(np.floor(at), np.ceil(at))
    values = torch.from_numpy(read(_moved(window, block)).copy())
    rows, cols = torch.from_numpy((at - _corner(window)).astype(np.float32))
    return remap(values[None], cols[None], rows[None], padding_mode="border", align_corners=True)[0].numpy()


def warped_labels(source: PatchSource, block: Block, at: DoubleArray) -> LabelArray:
    """Return the labels of a block as ``at`` moves them: of the nearest pixel, IGNORE outside the source."""
    nearest = np.floor(at + 0.5)
    window = _window(nearest, nearest)
    read = _moved(window, block)
    labels: LabelArray = np.full(window.shape, IGNORE, np.uint8)
    inside = read.intersection(Block(0, 0, *source.shape))
    if not inside.is_empty:
        labels[inside.relative_to(read).slices] = source.read_labels(inside)
    rows, cols = (nearest - _corner(window)).astype(np.intp)
    moved: LabelArray = labels[rows, cols]
    return moved


def _window(least: DoubleArray, most: DoubleArray) -> Block:
    rows, cols = np.concatenate([least, most], axis=1).astype(np.intp)
    return bounding_block(rows, cols)


def _corner(window: Block) -> NDArray[np.float64]:
    return np.array([window.row, window.col], np.float64)[:, None, None]


def _moved(window: Block, block: Block) -> Block:
    """Return a window of a block as one of the block's source."""
    return Block(window.row + block.row, window.col + block.col, *window.shape)


def _blurred(image: Tensor, rng: np.random.Generator) -> Tensor:
    deviation, side = rng.uniform(0, BLUR_PX), 2 * math.ceil(3 * BLUR_PX) + 1
    if deviation < 0.1:  # no neighbour counts, and the kernel of 0 is not defined
        return image
    return gaussian_blur2d(image[None], (side, side), (deviation, deviation), border_type="replicate")[0]


def _coloured(image: Tensor, rng: np.random.Generator) -> Tensor:
    gain, offset = rng.uniform(-COLOUR, COLOUR, (2, len(image), 1, 1)).astype(np.float32)
    return image * torch.from_numpy(np.exp(gain)) + torch.from_numpy(offset)


def _brightened(image: Tensor, rng: np.random.Generator) -> Tensor:
    return image + float(rng.uniform(-BRIGHTNESS, BRIGHTNESS))


def _noisy(image: Tensor, rng: np.random.Generator) -> Tensor:
    deviation = float(rng.uniform(0, NOISE))
    return image + deviation * torch.from_numpy(rng.standard_normal(tuple(image.shape), np.float32))


_CHANGES = {"blur": _blurred, "colour": _coloured, "brightness": _brightened, "noise": _noisy}
"""Changes of the image in the order they are made: light and lens before the sensor's noise."""
