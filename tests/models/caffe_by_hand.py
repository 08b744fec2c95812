"""Networks as Caffe would hold and run them, written down independently of the code under test.

Files are encoded byte by byte, and the layers computed as Caffe documents them: zeros around the image, pooling rounded
up, deconvolutions cut. Nothing here knows of margins or windows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float64]


@dataclass
class Layer:
    """A layer of Caffe's."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    top: str
    num: int = 0
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    group: int = 1
    bias: bool = True
    pool: int = 0
    eps: float | None = None
    blobs: list[NDArray[np.float32]] = field(default_factory=list)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(key: int, value: int) -> bytes:
    return varint(key << 3) + varint(value)


def floating(key: int, value: float) -> bytes:
    return varint(key << 3 | 5) + struct.pack("<f", value)


def chunk(key: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return varint(key << 3 | 2) + varint(len(content)) + content


def blob(values: NDArray[np.float32]) -> bytes:
    dims = b"".join(varint(one) for one in values.shape)
    return chunk(5, values.astype("<f4").tobytes()) + chunk(7, chunk(1, dims))


def settings(layer: Layer) -> bytes:
    if layer.type in ("Convolution", "Deconvolution"):
        sizes = number(3, layer.pad) + number(4, layer.kernel) + number(5, layer.group) + number(6, layer.stride)
        filler = chunk(7, chunk(1, "xavier"))  # a field that is skipped
        return chunk(106, number(1, layer.num) + number(2, int(layer.bias)) + sizes + filler)
    if layer.type == "Pooling":
        sizes = number(2, layer.kernel) + number(3, layer.stride) + number(4, layer.pad)
        return chunk(121, number(1, layer.pool) + sizes)
    if layer.type == "BatchNorm" and layer.eps is not None:
        return chunk(139, floating(3, layer.eps))
    return b""


def encoded_layer(layer: Layer, extra: bytes = b"") -> bytes:
    names = chunk(1, layer.name) + chunk(2, layer.type)
    maps = b"".join(chunk(3, one) for one in layer.bottoms) + chunk(4, layer.top)
    return chunk(100, names + maps + b"".join(chunk(7, blob(one)) for one in layer.blobs) + settings(layer) + extra)


def data_layer(patch: int = 64, labels: int = 64, scale: float = 1.0, mean: float | None = None) -> bytes:
    sizes = number(9, patch) + number(10, patch) + number(11, labels) + number(12, labels)
    scaling = floating(2, scale) + (b"" if mean is None else floating(3, mean))
    return chunk(
        100,
        chunk(1, "pairdata") + chunk(2, "ImagePairData") + chunk(4, "data") + chunk(4, "label")
        + chunk(150, chunk(1, "somewhere/images") + scaling + number(4, 10) + sizes),
    )  # fmt: skip


def loss_layer(output: str) -> bytes:
    names = chunk(1, "loss") + chunk(2, "SigmoidCrossEntropyLoss")
    return chunk(100, names + chunk(3, output) + chunk(3, "label") + chunk(4, "loss"))


def encoded(layers: list[Layer], *, data: bytes | None = None, output: str | None = None) -> bytes:
    """A whole ``.caffemodel``."""
    middle = b"".join(encoded_layer(layer) for layer in layers)
    end = loss_layer(layers[-1].top if output is None else output)
    return chunk(1, "by hand") + (data_layer() if data is None else data) + middle + end


def windows(maps: Maps, kernel: int, stride: int) -> NDArray[np.float64]:
    """(map, row, col, kernel row, kernel col)"""
    seen = np.lib.stride_tricks.sliding_window_view(maps, (kernel, kernel), axis=(1, 2))
    return seen[:, ::stride, ::stride]


def convolution(maps: Maps, layer: Layer) -> Maps:
    weights = layer.blobs[0].astype(np.float64)
    padded = np.pad(maps, ((0, 0), (layer.pad, layer.pad), (layer.pad, layer.pad)))
    seen = windows(padded, layer.kernel, layer.stride).reshape(layer.group, -1, *_sides(padded, layer), *_square(layer))
    grouped = weights.reshape(layer.group, -1, *weights.shape[1:])
    out = np.einsum("gcyxij,gocij->goyx", seen, grouped).reshape(layer.num, *seen.shape[2:4])
    return out + layer.blobs[1][:, None, None] if layer.bias else out


def _sides(maps: Maps, layer: Layer) -> tuple[int, int]:
    return tuple((side - layer.kernel) // layer.stride + 1 for side in maps.shape[1:])  # type: ignore[return-value]


def _square(layer: Layer) -> tuple[int, int]:
    return layer.kernel, layer.kernel


def deconvolution(maps: Maps, layer: Layer) -> Maps:
    weights = layer.blobs[0].astype(np.float64)
    height, width = ((side - 1) * layer.stride + layer.kernel for side in maps.shape[1:])
    out = np.zeros((layer.num, height, width))
    seen, made = len(maps) // layer.group, layer.num // layer.group
    for source, made_of_group in product(range(len(maps)), range(made)):
        target = source // seen * made + made_of_group
        for row, col in product(range(maps.shape[1]), range(maps.shape[2])):
            place = np.s_[target, row * layer.stride :, col * layer.stride :]
            out[place][: layer.kernel, : layer.kernel] += maps[source, row, col] * weights[source, made_of_group]
    inside = slice(layer.pad, -layer.pad or None)
    out = out[:, inside, inside]
    return out + layer.blobs[1][:, None, None] if layer.bias else out


def pooling(maps: Maps, layer: Layer) -> Maps:
    """As Caffe does it: rounded up, windows cut at the border; an average is over the window with its padding."""
    spans = [_pooled_spans(side, layer) for side in maps.shape[1:]]
    out = np.empty((len(maps), len(spans[0]), len(spans[1])))
    for row, (top, bottom, high) in enumerate(spans[0]):
        for col, (left, right, wide) in enumerate(spans[1]):
            seen = maps[:, top:bottom, left:right]
            out[:, row, col] = seen.max((1, 2)) if layer.pool == 0 else seen.sum((1, 2)) / (high * wide)
    return out


def _pooled_spans(side: int, layer: Layer) -> list[tuple[int, int, int]]:
    count = -(-(side + 2 * layer.pad - layer.kernel) // layer.stride) + 1
    if layer.pad and (count - 1) * layer.stride >= side + layer.pad:
        count -= 1
    spans = []
    for index in range(count):
        first = index * layer.stride - layer.pad
        stop = min(first + layer.kernel, side + layer.pad)
        spans.append((max(first, 0), min(stop, side), stop - first))
    return spans


def batch_norm(maps: Maps, layer: Layer) -> Maps:
    mean, variance, factor = (one.astype(np.float64) for one in layer.blobs)
    by = 1 / factor[0] if factor[0] else 0.0
    eps = float(np.float32(1e-5 if layer.eps is None else layer.eps))
    return (maps - (mean * by)[:, None, None]) / np.sqrt(variance * by + eps)[:, None, None]


def caffe_maps(layers: list[Layer], image: Maps) -> Maps:
    """The maps of the last layer for a whole image (band, row, col), as Caffe computes them."""
    maps = {"data": image}
    for layer in layers:
        seen = [maps[name] for name in layer.bottoms]
        # Caffe refuses images whose branches end differently; cut at the far border, any size can be compared inside.
        height, width = (min(one.shape[axis] for one in seen) for axis in (1, 2))
        seen = [one[:, :height, :width] for one in seen]
        match layer.type:
            case "Convolution":
                made = convolution(seen[0], layer)
            case "Deconvolution":
                made = deconvolution(seen[0], layer)
            case "Pooling":
                made = pooling(seen[0], layer)
            case "BatchNorm":
                made = batch_norm(seen[0], layer)
            case "ReLU":
                made = np.maximum(seen[0], 0)
            case "Eltwise":
                made = np.sum(seen, axis=0)
            case "Concat":
                made = np.concatenate(seen)
            case _:
                made = seen[0]
        maps[layer.top] = made
    return maps[layers[-1].top]
