"""The layers of a network from Caffe, and the pixels each must compute so that scores are exact on any window.

Caffe pads with zeros at the border of every image. Here a network is defined on an infinite plane instead: pixel ``i``
of a layer depends on the pixels of its input from ``i * stride - pad``, wherever the image was cut. From the scores
back to the image, the pixels that every layer must compute follow, and with them the margin. Inside that margin the
scores equal Caffe's, whose zeros and rounded-up pooling only affect pixels nearer to the border of its window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

IMAGE = "image"  # the input of a layer that reads the image itself


class LayerKind(StrEnum):
    """The kinds of layers."""

    CONVOLUTION = "convolution"
    DECONVOLUTION = "deconvolution"
    MAX_POOLING = "max pooling"
    AVERAGE_POOLING = "average pooling"
    BATCH_NORM = "batch norm"
    RELU = "relu"
    SUM = "sum"
    CONCAT = "concat"


_WINDOWED = (LayerKind.CONVOLUTION, LayerKind.MAX_POOLING, LayerKind.AVERAGE_POOLING)
_JOINING = (LayerKind.SUM, LayerKind.CONCAT)

MAX_LAYERS = 1000
_MAX_KERNEL = 255
_MAX_MAPS = 1 << 16
_MAX_STRIDE = 1024
_MAX_MARGIN = 4096

Interval = tuple[int, int]  # pixels along an axis, the first and the one after the last


@dataclass(frozen=True)
class CaffeLayer:
    """One layer.

    Raises:
        ValueError: If these are not a valid layer.
    """

    name: str  # its name, like no other's
    kind: str  # one of the kinds of this module
    inputs: tuple[str, ...]  # names of the layers it sees, or ``IMAGE``
    maps: int = 0  # maps it gives; 0 where those follow from its inputs
    kernel: int = 1  # side of its window in pixels
    stride: int = 1  # pixels between two windows; of a deconvolution, pixels it makes of one
    # pixels by which its first window reaches beyond the image (Caffe fills them with zeros); of a deconvolution,
    # pixels cut off at the border
    pad: int = 0
    groups: int = 1  # groups of maps that do not see each other
    bias: bool = False  # whether a number is added to every map
    epsilon: float = 0.0  # what batch norm adds to the variance

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        ranges = {
            "maps": (int(self.kind in (LayerKind.CONVOLUTION, LayerKind.DECONVOLUTION)), _MAX_MAPS),
            "kernel": (1, _MAX_KERNEL),
            "stride": (1, _MAX_KERNEL),
            "pad": (0, _MAX_KERNEL),
            "groups": (1, _MAX_MAPS),
            "epsilon": (0.0, 1.0),
        }
        if self.kind not in set(LayerKind):
            raise ValueError(f"layer {self.name!r} has the unknown kind {self.kind!r}")
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"layer {self.name!r} has {name} {getattr(self, name)}, not {least} to {most}")
        if not self.inputs or (len(self.inputs) > 1 and self.kind not in _JOINING):
            raise ValueError(f"layer {self.name!r} ({self.kind}) has {len(self.inputs)} inputs")
        if self.kind == LayerKind.DECONVOLUTION and self.kernel < self.stride:
            raise ValueError(f"layer {self.name!r} leaves gaps between its windows")

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CaffeLayer:
        """Return the layer that ``to_dict`` wrote; ValueError if it is not one."""
        if not isinstance(facts, Mapping):
            raise ValueError(f"a layer is {facts!r}")
        kinds: dict[str, Any] = {"name": str, "kind": str, "inputs": list | tuple, "bias": bool, "epsilon": float | int}
        for name, value in facts.items():
            if not isinstance(value, kinds.get(name, int)):
                raise ValueError(f"a layer has {name} {value!r}")
        if not all(isinstance(one, str) for one in facts.get("inputs", ())):
            raise ValueError(f"a layer has inputs {facts['inputs']!r}")
        return cls(**facts)

    def to_dict(self) -> dict[str, Any]:
        """Return its facts as JSON values, without defaults."""
        usual = {one.name: one.default for one in fields(self)}
        facts = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return facts | {"inputs": list(self.inputs)}

    def needs(self, given: Interval) -> Interval:
        """Return the pixels of its input that it needs for some pixels of its output."""
        first, stop = given
        if self.kind in _WINDOWED:
            return first * self.stride - self.pad, (stop - 1) * self.stride - self.pad + self.kernel
        if self.kind == LayerKind.DECONVOLUTION:
            return -((self.kernel - 1 - first - self.pad) // self.stride), (stop - 1 + self.pad) // self.stride + 1
        return given

    def gives(self, seen: Interval) -> Interval:
        """Return the pixels it computes from some pixels of its input, without padding and cutting."""
        first, stop = seen
        if self.kind in _WINDOWED:
            return (first + self.pad) // self.stride, (stop + self.pad - self.kernel) // self.stride + 1
        if self.kind == LayerKind.DECONVOLUTION:
            return first * self.stride - self.pad, (stop - 1) * self.stride - self.pad + self.kernel
        return seen


@dataclass(frozen=True)
class Trim:
    """Pixels to cut off at the start and the end of both axes."""

    before: int
    after: int


class CaffePlan:
    """How the layers of a network fit together, and what to cut off between them.

    Attributes:
        layers: The layers, each after its inputs.
        maps: Number of output maps by layer.
        maps_seen: Number of input maps by layer.
        stride_px: Height and width of the scores, and the origin of any window, are multiples of it.
        margin_px: Pixels of the image needed beyond the scores on every side.
        radius_px: The furthest an input pixel can change a score.
        entry: Pixels to cut off the image before any layer.

    Args:
        offset_px: How many pixels a training patch extends beyond its map, on each side.

    Raises:
        ValueError: If they are not a network from an image to one score map at its sampling.
    """

    def __init__(self, layers: Sequence[CaffeLayer], output: str, bands: int, offset_px: int) -> None:
        if not 1 <= len(layers) <= MAX_LAYERS:
            raise ValueError(f"the network has {len(layers)} layers, not 1 to {MAX_LAYERS}")
        self.output = output
        self.maps_seen: dict[str, int] = {}
        self.maps = {IMAGE: bands}
        self._stride = {IMAGE: 1}
        for layer in layers:
            self._take_in(layer)
        self._check_output(output)
        self.layers = _leading_to(layers, output)
        self.stride_px = math.lcm(*(self._stride[layer.name] for layer in self.layers))
        if self.stride_px > _MAX_STRIDE:
            raise ValueError(f"the network has a stride of {self.stride_px} pixels, more than {_MAX_STRIDE}")
        self._needed = self._pixels((0, self.stride_px))
        first, stop = self._needed[IMAGE]
        self.margin_px = max(offset_px - first, stop - self.stride_px - offset_px, 0)
        if not 0 <= offset_px <= _MAX_MARGIN or self.margin_px > _MAX_MARGIN:
            raise ValueError(f"the network reads {self.margin_px} pixels beyond its scores, more than {_MAX_MARGIN}")
        self.entry = Trim(first - offset_px + self.margin_px, self.stride_px + offset_px + self.margin_px - stop)
        self.radius_px = self._radius(offset_px)

    def trim_of_input(self, layer: CaffeLayer, name: str) -> Trim:
        """Return what a layer cuts off one of its inputs."""
        (first, stop), (wanted, end) = self._needed[name], layer.needs(self._needed[layer.name])
        return Trim(wanted - first, stop - end)

    def trim_of_output(self, layer: CaffeLayer) -> Trim:
        """Return what is cut off a layer's output."""
        wanted = self._needed[layer.name]
        first, stop = layer.gives(layer.needs(wanted))
        return Trim(wanted[0] - first, stop - wanted[1])

    def _take_in(self, layer: CaffeLayer) -> None:
        """Add a layer's numbers of input and output maps, and its stride in pixels of the image."""
        if layer.name in self.maps:
            raise ValueError(f"two layers are called {layer.name!r}")
        for name in layer.inputs:
            if name not in self.maps:
                raise ValueError(f"layer {layer.name!r} reads {name!r}, which no layer before it writes")
        strides = {self._stride[name] for name in layer.inputs}
        maps = [self.maps[name] for name in layer.inputs]
        if len(strides) > 1 or (layer.kind == LayerKind.SUM and len(set(maps)) > 1):
            raise ValueError(f"layer {layer.name!r} joins maps of different strides or numbers")
        seen = sum(maps) if layer.kind == LayerKind.CONCAT else maps[0]
        if layer.maps and (seen % layer.groups or layer.maps % layer.groups):
            raise ValueError(f"layer {layer.name!r} has {layer.groups} groups of {seen} and {layer.maps} maps")
        stride = strides.pop()
        if layer.kind == LayerKind.DECONVOLUTION and stride % layer.stride:
            raise ValueError(f"layer {layer.name!r} has pixels finer than the image's")
        self.maps_seen[layer.name] = seen
        self.maps[layer.name] = layer.maps or seen
        stride = stride // layer.stride if layer.kind == LayerKind.DECONVOLUTION else stride * layer.stride
        if stride > _MAX_STRIDE:
            raise ValueError(f"layer {layer.name!r} has a stride of {stride} pixels, more than {_MAX_STRIDE}")
        self._stride[layer.name] = stride

    def _check_output(self, output: str) -> None:
        """Raise ValueError unless the output is one map at the image's sampling."""
        if output == IMAGE or output not in self.maps:
            raise ValueError(f"there is no layer {output!r} for the scores")
        if (self.maps[output], self._stride[output]) != (1, 1):
            found = f"{self.maps[output]} maps with a stride of {self._stride[output]} pixels"
            raise ValueError(f"layer {output!r} has {found}, not one map with a stride of 1")

    def _pixels(self, scores: Interval) -> dict[str, Interval]:
        """Return the pixels of every layer, and of the image, that some pixels of the scores need."""
        needed = {self.output: scores}
        for layer in reversed(self.layers):
            first, stop = layer.needs(needed[layer.name])
            for name in layer.inputs:
                before = needed.get(name, (first, stop))
                needed[name] = min(first, before[0]), max(stop, before[1])
        return needed

    def _radius(self, offset_px: int) -> int:
        reaches = []
        for pixel in range(self.stride_px):
            first, stop = self._pixels((pixel, pixel + 1))[IMAGE]
            reaches += [pixel + offset_px - first, stop - 1 - offset_px - pixel]
        return max(reaches)


def _leading_to(layers: Sequence[CaffeLayer], output: str) -> tuple[CaffeLayer, ...]:
    """Return the layers that the output depends on, in their order."""
    wanted, kept = {output}, []
    for layer in reversed(layers):
        if layer.name in wanted:
            wanted.update(layer.inputs)
            kept.append(layer)
    return tuple(reversed(kept))
