"""Reading a ``.caffemodel``: the layers of a network, its weights, and the scaling of its images.

The file is not trusted. Its size, the number of its layers and their blobs, and the sizes of these are checked before
memory is allocated; an unknown layer, or one with unknown settings, is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.errors import ModelError
from crispmap.models.caffe.messages import parsed
from crispmap.models.caffe.plan import IMAGE, MAX_LAYERS, CaffeLayer, LayerKind
from crispmap.types import FloatArray

MAX_BYTES = 64_000_000
"""Largest file that is read; reading takes about ten times as much memory at worst. The published files have 4 MB."""
_MAX_BLOBS = 4
_MAX_AXES = 4

_DATA, _LOSS = "ImagePairData", "SigmoidCrossEntropyLoss"
_DOES_NOTHING = ("Split", "Dropout")


@dataclass(frozen=True)
class CaffeModel:
    """The content of a ``.caffemodel``."""

    name: str  # the network's name
    layers: tuple[CaffeLayer, ...]  # its layers from the image to the score map
    output: str  # the layer that gives the score map z, whose sigmoid is the probability
    # weights by layer name, as Caffe holds them: of a convolution (map out, map in, row, col) and the bias, of a
    # deconvolution (map in, map out, row, col), of batch norm the sums of means and variances and what to divide them
    # by
    blobs: dict[str, tuple[FloatArray, ...]]
    bands: int  # bands of the image; 3 are blue, green, red
    # Caffe's pixel over which the first score lies: half of what a training patch was wider than its map
    offset_px: int
    mean: float  # is subtracted from the image's values
    scale: float  # they are multiplied by it then


def read_caffe(path: Path) -> CaffeModel:
    """Read a ``.caffemodel`` saved in training, with its data layer and its loss.

    Raises:
        ModelError: If the file is missing, too large, truncated, not a protobuf message, claims blobs that it does not
            hold, or has an unknown layer.
    """
    path = Path(path)
    try:
        return _Reader(_content(path)).model()
    except (ValueError, OSError) as error:
        raise ModelError(
            f"{path} cannot be read as a network from Caffe: {error}.",
            expected="a complete .caffemodel with the kinds of layers of the four published networks",
            remedy="copy the file again; train your own network for another architecture",
        ) from error


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(f"{path} is not a file.", expected="a .caffemodel file", remedy="check the path")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"it has {size / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}")
    return path.read_bytes()


class _Reader:
    """Reads the layers in order, and tracks which layer last wrote each of Caffe's named maps."""

    def __init__(self, content: bytes) -> None:
        net = parsed("Net", content)
        if len(net.layers_before_2014):
            raise ValueError("it has Caffe's old format; upgrade it with Caffe's upgrade_net_proto_binary")
        if not 1 <= len(net.layer) <= MAX_LAYERS:
            raise ValueError(f"it holds {len(net.layer)} layers, not 1 to {MAX_LAYERS}")
        self._name = _text(net.name)
        self._content = net.layer
        self._givers: dict[str, str] = {}
        self._layers: list[CaffeLayer] = []
        self._blobs: dict[str, tuple[FloatArray, ...]] = {}
        self._data: Any = None
        self._output: str | None = None

    def model(self) -> CaffeModel:
        """Return the model of all layers."""
        for content in self._content:
            self._take_in(parsed("Layer", content))
        if self._data is None or self._output is None:
            missing = _DATA if self._data is None else _LOSS
            raise ValueError(f"it has no layer of type {missing}: it is cut off, or was not saved in training")
        data = self._data
        if data.channels != 3:
            raise ValueError(f"its images have {data.channels} bands, not blue, green and red")
        if not (math.isfinite(data.mean) and 0 < data.scale < math.inf):
            raise ValueError(f"its images are scaled by ({data.mean:g}, {data.scale:g})")
        scaling = data.channels, _offset(data), data.mean, data.scale
        return CaffeModel(self._name, tuple(self._layers), self._output, self._blobs, *scaling)

    def _take_in(self, layer: Any) -> None:
        """Add a layer and its maps."""
        name, kind = _text(layer.name), _text(layer.type)
        if kind == _DATA:
            self._take_in_data(layer)
        elif kind == _LOSS:
            if self._output is not None or not layer.bottom:
                raise ValueError(f"its loss {name!r} is not the only one, or has no input")
            self._output = self._giver(layer.bottom[0], name)
        elif kind in _DOES_NOTHING:
            if len(layer.bottom) != 1:
                raise ValueError(f"layer {name!r} has {len(layer.bottom)} inputs")
            self._give(layer, self._giver(layer.bottom[0], name))
        else:
            self._take_in_step(layer, name, kind)

    def _take_in_data(self, layer: Any) -> None:
        if self._data is not None or not layer.top:
            raise ValueError("it has two data layers, or one without output")
        self._data = parsed("ImagePairData", layer.image_pair_data)
        self._givers[_text(layer.top[0])] = IMAGE

    def _take_in_step(self, layer: Any, name: str, kind: str) -> None:
        if kind not in _READERS:
            raise ValueError(f"its layer {name!r} has the unknown type {kind!r}")
        if len(layer.top) != 1 or len(layer.bottom) > MAX_LAYERS:
            raise ValueError(f"layer {name!r} has {len(layer.bottom)} inputs and {len(layer.top)} outputs")
        inputs = tuple(self._giver(one, name) for one in layer.bottom)
        self._layers.append(CaffeLayer(name=name, inputs=inputs, **_READERS[kind](layer, kind)))
        self._blobs[name] = _blobs(layer, name)
        self._give(layer, name)

    def _giver(self, maps: bytes, layer: str) -> str:
        """Return the layer that has last written some maps."""
        name = _text(maps)
        if name not in self._givers:
            raise ValueError(f"layer {layer!r} reads {name!r}, which no layer before it writes")
        return self._givers[name]

    def _give(self, layer: Any, giver: str) -> None:
        self._givers.update((_text(top), giver) for top in layer.top)


def _text(content: bytes) -> str:
    """Return a name in the file; ValueError if it is not UTF-8, or long."""
    if len(content) > 500:
        raise ValueError("it has a name of more than 500 letters")
    return content.decode()


def _blobs(layer: Any, name: str) -> tuple[FloatArray, ...]:
    """Return a layer's weights in their shapes."""
    if len(layer.blobs) > _MAX_BLOBS:
        raise ValueError(f"layer {name!r} has {len(layer.blobs)} blobs, more than {_MAX_BLOBS}")
    return tuple(_blob(parsed("Blob", content), name) for content in layer.blobs)


def _blob(blob: Any, name: str) -> FloatArray:
    dims = parsed("Shape", blob.shape).dim
    if not 1 <= len(dims) <= _MAX_AXES:
        raise ValueError(f"layer {name!r} has a blob of {len(dims)} axes, not 1 to {_MAX_AXES}")
    shape = tuple(dims)
    if min(shape) < 1 or math.prod(shape) != len(blob.data):
        claimed = " x ".join(str(one) for one in shape)
        raise ValueError(f"layer {name!r} claims a blob of {claimed} numbers and holds {len(blob.data)}")
    values = np.fromiter(blob.data, np.float32, len(blob.data))
    if not np.isfinite(values).all():
        raise ValueError(f"layer {name!r} has weights that are infinite or not numbers")
    return values.reshape(shape)


def _offset(data: Any) -> int:
    """Return how many pixels a training patch extends beyond its map, on each side."""
    wider = {data.h_img - data.h_map, data.w_img - data.w_map}
    if len(wider) > 1 or min(wider) < 0 or min(wider) % 2:
        raise ValueError(
            f"it was trained on {data.h_img} x {data.w_img} pixels for {data.h_map} x {data.w_map} labels, "
            "which are not centred on pixels"
        )
    return int(wider.pop()) // 2


def _convolution(layer: Any, kind: str) -> dict[str, Any]:
    facts = parsed("Convolution", layer.convolution)
    _refuse_set(layer, facts, "pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w")
    if facts.axis != 1 or set(facts.dilation) - {1}:
        raise ValueError(f"layer {_text(layer.name)!r} has a dilation, or another axis")
    return {
        "kind": LayerKind.CONVOLUTION if kind == "Convolution" else LayerKind.DECONVOLUTION,
        "maps": facts.num_output,
        "kernel": _side(layer, facts.kernel_size, None),
        "stride": _side(layer, facts.stride, 1),
        "pad": _side(layer, facts.pad, 0),
        "groups": facts.group,
        "bias": facts.bias_term,
    }


def _pooling(layer: Any, _kind: str) -> dict[str, Any]:
    facts = parsed("Pooling", layer.pooling)
    _refuse_set(layer, facts, "pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w")
    kinds = {0: LayerKind.MAX_POOLING, 1: LayerKind.AVERAGE_POOLING}
    if facts.global_pooling or facts.pool not in kinds:
        raise ValueError(f"layer {_text(layer.name)!r} pools over the whole image, or at random")
    return {"kind": kinds[facts.pool], "kernel": facts.kernel_size, "stride": facts.stride, "pad": facts.pad}


def _batch_norm(layer: Any, _kind: str) -> dict[str, Any]:
    return {"kind": LayerKind.BATCH_NORM, "epsilon": parsed("BatchNorm", layer.batch_norm).eps}


def _relu(layer: Any, _kind: str) -> dict[str, Any]:
    if parsed("ReLU", layer.relu).negative_slope:
        raise ValueError(f"layer {_text(layer.name)!r} is a leaky ReLU")
    return {"kind": LayerKind.RELU}


def _eltwise(layer: Any, _kind: str) -> dict[str, Any]:
    facts = parsed("Eltwise", layer.eltwise)
    if facts.operation != 1 or set(facts.coeff) - {1.0}:
        raise ValueError(f"layer {_text(layer.name)!r} is not a plain sum")
    return {"kind": LayerKind.SUM}


def _concat(layer: Any, _kind: str) -> dict[str, Any]:
    facts = parsed("Concat", layer.concat)
    if (facts.axis, facts.concat_dim) != (1, 1):
        raise ValueError(f"layer {_text(layer.name)!r} does not concatenate along maps")
    return {"kind": LayerKind.CONCAT}


_READERS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Pooling": _pooling,
    "BatchNorm": _batch_norm,
    "ReLU": _relu,
    "Eltwise": _eltwise,
    "Concat": _concat,
}
"""The reader of a layer's facts by Caffe's type."""


def _refuse_set(layer: Any, facts: Any, *names: str) -> None:
    """Raise ValueError if one of these fields, for windows that are not square, is set."""
    for name in names:
        if facts.HasField(name):
            raise ValueError(f"layer {_text(layer.name)!r} sets {name}: its window is not square")


def _side(layer: Any, sizes: Sequence[int], usual: int | None) -> int:
    """Return the size that is the same along both axes."""
    found = set(sizes) if sizes else {usual}
    side = found.pop()
    if found or side is None:
        raise ValueError(f"layer {_text(layer.name)!r} has a window that is not square, or none")
    return side
