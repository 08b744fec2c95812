"""The layers of a network from Caffe, and which pixels each must give so that scores are exact on any window.

Caffe pads with zeros at the border of whatever image it is given. Here a network is thought of on an endless plane
instead: pixel ``i`` of a layer depends on pixels ``i * stride - pad`` and on of the one before, wherever the image was
cut. Going from the scores back to the image, the pixels that every layer must give follow, and with them the margin.
Inside that margin the scores are those of Caffe, whose zeros and rounded-up pooling only change what lies nearer to
the border of its window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

IMAGE = "image"
"""The input of a layer that sees the image itself."""

CONVOLUTION, DECONVOLUTION = "convolution", "deconvolution"
MAX_POOLING, AVERAGE_POOLING = "max pooling", "average pooling"
BATCH_NORM, RELU, SUM, CONCAT = "batch norm", "relu", "sum", "concat"

_WINDOWED = (CONVOLUTION, MAX_POOLING, AVERAGE_POOLING)
_JOINING = (SUM, CONCAT)
_KINDS = (*_WINDOWED, DECONVOLUTION, BATCH_NORM, RELU, *_JOINING)

MAX_LAYERS = 1000
_MAX_KERNEL = 255
_MAX_MAPS = 1 << 16
_MAX_STRIDE = 1024
_MAX_MARGIN = 4096

Interval = tuple[int, int]
"""Pixels along an axis, the first and the one after the last."""


@dataclass(frozen=True)
class CaffeLayer:
    """One layer: what it does, and to what.

    Attributes:
        name: Its name, like no other's.
        kind: One of the kinds of this module.
        inputs: Names of the layers it sees, or ``IMAGE``.
        maps: Maps it gives; 0 where those follow from its inputs.
        kernel: Side of its window in pixels.
        stride: Pixels between two windows; of a deconvolution, pixels it makes of one.
        pad: Pixels by which its first window reaches beyond the image (Caffe fills them with zeros); of a
            deconvolution, pixels cut off at the border.
        groups: Groups of maps that do not see each other.
        bias: Whether a number is added to every map.
        epsilon: What batch norm adds to the variance.

    Raises:
        ValueError: If these do not make a layer.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    maps: int = 0
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    groups: int = 1
    bias: bool = False
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        ranges = {
            "maps": (int(self.kind in (CONVOLUTION, DECONVOLUTION)), _MAX_MAPS),
            "kernel": (1, _MAX_KERNEL),
            "stride": (1, _MAX_KERNEL),
            "pad": (0, _MAX_KERNEL),
            "groups": (1, _MAX_MAPS),
            "epsilon": (0.0, 1.0),
        }
        if self.kind not in _KINDS:
            raise ValueError(f"layer {self.name!r} is of the unknown kind {self.kind!r}")
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"layer {self.name!r} has {name} {getattr(self, name)}, not {least} to {most}")
        if not self.inputs or (len(self.inputs) > 1 and self.kind not in _JOINING):
            raise ValueError(f"layer {self.name!r} ({self.kind}) has {len(self.inputs)} inputs")
        if self.kind == DECONVOLUTION and self.kernel < self.stride:
            raise ValueError(f"layer {self.name!r} leaves pixels between its windows out")

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CaffeLayer:
        """Return the layer that ``to_dict`` wrote.

        Raises:
            ValueError: If it is none.
        """
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
        """Return its facts as JSON values, without those that are as usual."""
        usual = {one.name: one.default for one in fields(self)}
        facts = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return facts | {"inputs": list(self.inputs)}

    def needs(self, given: Interval) -> Interval:
        """Return the pixels of its input that it needs to give some pixels."""
        first, stop = given
        if self.kind in _WINDOWED:
            return first * self.stride - self.pad, (stop - 1) * self.stride - self.pad + self.kernel
        if self.kind == DECONVOLUTION:
            return -((self.kernel - 1 - first - self.pad) // self.stride), (stop - 1 + self.pad) // self.stride + 1
        return given

    def gives(self, seen: Interval) -> Interval:
        """Return the pixels it computes from some pixels of its input, with none padded and none cut off."""
        first, stop = seen
        if self.kind in _WINDOWED:
            return (first + self.pad) // self.stride, (stop + self.pad - self.kernel) // self.stride + 1
        if self.kind == DECONVOLUTION:
            return first * self.stride - self.pad, (stop - 1) * self.stride - self.pad + self.kernel
        return seen


@dataclass(frozen=True)
class Trim:
    """Pixels to cut off at the beginning and the end of both axes."""

    before: int
    after: int


class CaffePlan:
    """How the layers of a network fit together, and what to cut off between them.

    Attributes:
        layers: The layers, each after those it sees.
        maps: Maps that each layer gives, by name.
        maps_seen: Maps that each layer sees, by name.
        stride_px: Height and width of the scores, and the origin of any window, are multiples of it.
        margin_px: Pixels of the image needed beyond the scores on every side.
        radius_px: The furthest an input pixel can change a score.
        entry: What to cut off the image before any layer sees it.

    Args:
        layers: The layers, each after those it sees.
        output: The layer that gives the score map.
        bands: Bands of the image.
        offset_px: Caffe's pixel over which the first score lies: half of what a training patch was wider than its map.

    Raises:
        ValueError: If they do not make a network from an image to one score map at its sampling.
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
            raise ValueError(f"the network sees {self.margin_px} pixels beyond its scores, more than {_MAX_MARGIN}")
        self.entry = Trim(first - offset_px + self.margin_px, self.stride_px + offset_px + self.margin_px - stop)
        self.radius_px = self._radius(offset_px)

    def trim_of_input(self, layer: CaffeLayer, name: str) -> Trim:
        """Return what a layer cuts off one of its inputs."""
        (first, stop), (wanted, end) = self._needed[name], layer.needs(self._needed[layer.name])
        return Trim(wanted - first, stop - end)

    def trim_of_output(self, layer: CaffeLayer) -> Trim:
        """Return what is cut off what a layer has computed."""
        wanted = self._needed[layer.name]
        first, stop = layer.gives(layer.needs(wanted))
        return Trim(wanted[0] - first, stop - wanted[1])

    def _take_in(self, layer: CaffeLayer) -> None:
        """Note how many maps a layer sees and gives, and how many pixels of the image one of its pixels spans."""
        if layer.name in self.maps:
            raise ValueError(f"two layers are called {layer.name!r}")
        for name in layer.inputs:
            if name not in self.maps:
                raise ValueError(f"layer {layer.name!r} sees {name!r}, which is given by no layer before it")
        strides = {self._stride[name] for name in layer.inputs}
        maps = [self.maps[name] for name in layer.inputs]
        if len(strides) > 1 or (layer.kind == SUM and len(set(maps)) > 1):
            raise ValueError(f"layer {layer.name!r} joins maps that do not fit together")
        seen = sum(maps) if layer.kind == CONCAT else maps[0]
        if layer.maps and (seen % layer.groups or layer.maps % layer.groups):
            raise ValueError(f"layer {layer.name!r} has {layer.groups} groups of {seen} and {layer.maps} maps")
        stride = strides.pop()
        if layer.kind == DECONVOLUTION and stride % layer.stride:
            raise ValueError(f"layer {layer.name!r} gives pixels finer than the image's")
        self.maps_seen[layer.name] = seen
        self.maps[layer.name] = layer.maps or seen
        stride = stride // layer.stride if layer.kind == DECONVOLUTION else stride * layer.stride
        if stride > _MAX_STRIDE:
            raise ValueError(f"layer {layer.name!r} gives a pixel for {stride} of the image, more than {_MAX_STRIDE}")
        self._stride[layer.name] = stride

    def _check_output(self, output: str) -> None:
        """Raise ValueError unless a layer gives one map at the image's sampling."""
        if output == IMAGE or output not in self.maps:
            raise ValueError(f"no layer is called {output!r}, which should give the scores")
        if (self.maps[output], self._stride[output]) != (1, 1):
            raise ValueError(
                f"layer {output!r} gives {self.maps[output]} maps, a pixel for {self._stride[output]} of the image; "
                "one map with a pixel for every one is known here"
            )

    def _pixels(self, scores: Interval) -> dict[str, Interval]:
        """Return the pixels that every layer, and the image, must give for some pixels of the scores."""
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
