"""Networks that were trained with Caffe, on windows cut anywhere on their stride grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from crispmap.models.base import CoarseNetwork
from crispmap.models.caffe.plan import IMAGE, CaffeLayer, CaffePlan, LayerKind, Trim

if TYPE_CHECKING:
    from crispmap.models.caffe.file import CaffeModel


class CaffeNetwork(CoarseNetwork):
    """A network of Caffe's layers from an image to one score map z, returned as the scores (-z/2, +z/2).

    z equals Caffe's result wherever Caffe's window reaches ``halo_px`` beyond the score; nearer to the border, Caffe
    pads with zeros where this network reads the image. Batch norm uses its stored mean and variance.

    Args:
        layers: Facts of the layers as ``CaffeLayer.to_dict`` writes them, each after its inputs.
        output: The layer of z.
        band_order: Indices of the image's bands in the layers' order: 2, 1, 0 for a network trained on blue, green, red
            whose images are red, green, blue.
        offset_px: How many pixels a training patch extends beyond its map, on each side.

    Raises:
        ValueError: If the layers are not such a network.
    """

    def __init__(
        self, layers: Sequence[Mapping[str, Any]], output: str, band_order: Sequence[int], offset_px: int
    ) -> None:
        super().__init__()
        if not all(isinstance(one, int) for one in (*band_order, offset_px)):
            raise ValueError(f"the order of the bands is {band_order!r}, the offset {offset_px!r}")
        if not band_order or sorted(band_order) != list(range(len(band_order))):
            raise ValueError(f"the order of the bands is {list(band_order)}")
        self.architecture = "caffe"
        self.bands, self.classes = len(band_order), 2
        plan = CaffePlan([CaffeLayer.from_dict(one) for one in layers], output, self.bands, offset_px)
        self.arguments = {
            "layers": [layer.to_dict() for layer in plan.layers],
            "output": output,
            "band_order": list(band_order),
            "offset_px": offset_px,
        }
        self.layers = plan.layers
        self.train_margin_px = self.halo_px = plan.margin_px
        self.stride_px, self.radius_px = plan.stride_px, plan.radius_px
        self.steps = nn.ModuleList(_step(layer, plan.maps_seen[layer.name]) for layer in plan.layers)
        self._output, self._band_order, self._entry = output, list(band_order), plan.entry
        self._trims = [[plan.trim_of_input(layer, name) for name in layer.inputs] for layer in plan.layers]
        self._output_trims = [plan.trim_of_output(layer) for layer in plan.layers]
        self._last_use = {name: index for index, layer in enumerate(plan.layers) for name in layer.inputs}

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        maps = {IMAGE: _trimmed(image[:, self._band_order], self._entry)}
        for index, (layer, step) in enumerate(zip(self.layers, self.steps, strict=True)):
            seen = [_trimmed(maps[name], trim) for name, trim in zip(layer.inputs, self._trims[index], strict=True)]
            maps[layer.name] = _trimmed(step(*seen), self._output_trims[index])
            for name in layer.inputs:  # maps are many times larger than scores: free each after its last use
                if self._last_use[name] == index:
                    maps.pop(name, None)
        z = maps[self._output]
        return torch.cat([-z / 2, z / 2], dim=1)


def caffe_network(model: CaffeModel, band_order: Sequence[int]) -> CaffeNetwork:
    """Return the network of a ``.caffemodel``, with its weights, in evaluation mode; see CaffeNetwork for its bands.

    Raises:
        ValueError: If its layers are not a network, or its weights have the wrong shapes.
    """
    layers = [layer.to_dict() for layer in model.layers]
    # On the meta device a false claim of a huge layer costs nothing: shapes are compared before memory is allocated.
    with torch.device("meta"):
        network = CaffeNetwork(layers, model.output, band_order, model.offset_px)
    weights: dict[str, Tensor] = {}
    for index, (layer, step) in enumerate(zip(network.layers, network.steps, strict=True)):
        blobs = [torch.from_numpy(blob) for blob in model.blobs[layer.name]]
        found = _batch_norm_weights(layer, blobs) if layer.kind == LayerKind.BATCH_NORM else blobs
        wanted = {name: value.shape for name, value in step.state_dict().items()}
        if [tuple(one.shape) for one in found] != [tuple(shape) for shape in wanted.values()]:
            raise ValueError(
                f"layer {layer.name!r} has weights of {_sizes(one.shape for one in found)}, "
                f"not {_sizes(wanted.values())}"
            )
        weights.update({f"steps.{index}.{name}": value for name, value in zip(wanted, found, strict=True)})
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval()


def _batch_norm_weights(layer: CaffeLayer, blobs: Sequence[Tensor]) -> list[Tensor]:
    """Return mean, variance and a count of 0 from Caffe's sums and their divisor; both are 0 if the divisor is 0."""
    if len(blobs) != 3 or blobs[2].shape != (1,):
        raise ValueError(f"layer {layer.name!r} does not have the sums of means and variances and a factor")
    factor = blobs[2].item()
    mean, variance = (blob * (1 / factor if factor else 0.0) for blob in blobs[:2])
    if not torch.isfinite(mean).all() or not (variance >= 0).all() or not torch.isfinite(variance).all():
        raise ValueError(f"layer {layer.name!r} has variances below 0, or means that are not finite")
    return [mean, variance, torch.zeros((), dtype=torch.long)]


def _sizes(shapes: Iterable[Sequence[int]]) -> str:
    """Return shapes as text."""
    return " and ".join(" x ".join(str(one) for one in shape) or "1" for shape in shapes) or "nothing"


class _Sum(nn.Module):
    """The sum of maps."""

    def forward(self, *maps: Tensor) -> Tensor:
        total = maps[0]
        for one in maps[1:]:
            total = total + one
        return total


class _Concat(nn.Module):
    """Concatenated maps."""

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.cat(maps, dim=1)


def _step(layer: CaffeLayer, maps_seen: int) -> nn.Module:
    """Return a layer as a module without padding: its input has the needed margin."""
    if layer.kind in (LayerKind.CONVOLUTION, LayerKind.DECONVOLUTION):
        kind = nn.Conv2d if layer.kind == LayerKind.CONVOLUTION else nn.ConvTranspose2d
        return kind(maps_seen, layer.maps, layer.kernel, layer.stride, groups=layer.groups, bias=layer.bias)
    if layer.kind == LayerKind.BATCH_NORM:
        return nn.BatchNorm2d(maps_seen, layer.epsilon, affine=False)
    if layer.kind in (LayerKind.MAX_POOLING, LayerKind.AVERAGE_POOLING):
        return (nn.MaxPool2d if layer.kind == LayerKind.MAX_POOLING else nn.AvgPool2d)(layer.kernel, layer.stride)
    plain: dict[str, type[nn.Module]] = {LayerKind.RELU: nn.ReLU, LayerKind.SUM: _Sum, LayerKind.CONCAT: _Concat}
    return plain[layer.kind]()


def _trimmed(maps: Tensor, trim: Trim) -> Tensor:
    """Return maps without some pixels at the start and the end of both axes."""
    if trim.before == trim.after == 0:
        return maps
    window = slice(trim.before, -trim.after or None)
    return maps[..., window, window]
