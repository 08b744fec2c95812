"""An encoder started from trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crispmap.errors import ModelError
from crispmap.models.weights.file import read_weights, without_counters
from crispmap.models.weights.hub import hub_weights

_PREFIXES = ("", "encoder.", "backbone.", "model.", "module.", "module.encoder.", "model.encoder.")
_RGB = 3  # bands of the images that published encoders know


def start_encoder(encoder: nn.Module, name: str, source: str, bands: int) -> dict[str, Any]:
    """Give an encoder the weights of a source; return what a model card tells of it.

    Tensors are found by name, whatever prefix they have; every one of the encoder must be there. A first convolution
    for one band gets the sum of the weights of red, green and blue; for other numbers than three it gets them in turn,
    times 3 / bands. What the source has besides, such as a classifier, is left out and counted.

    Args:
        name: The encoder's, as in project files.
        source: "random" changes nothing; "imagenet-lite0", "imagenet", or the path of a file.

    Raises:
        ModelError: If the source cannot be read, or is not of this encoder.
    """
    if source == "random":
        return {"weights": source}
    tensors = _tensors(name, source)
    own = without_counters(encoder.state_dict())
    names = _matched(own, tensors)
    chosen = {name: tensors[there] for name, there in names.items()}
    missing = [name for name in own if name not in chosen]
    wrong = [name for name, value in chosen.items() if not _fits(value, own[name], bands)]
    if missing or wrong:
        first = (missing or wrong)[0]
        shape = "" if missing else f" of shape {tuple(chosen[first].shape)}, not {tuple(own[first].shape)}"
        raise ModelError(
            f"{source} has the weights of another encoder: {len(missing)} of {len(own)} tensors are missing and "
            f"{len(wrong)} have another shape; the first is {first}{shape}.",
            expected=f"the weights of {name}",
            remedy="name the encoder that the weights are of, or other weights",
        )
    with torch.no_grad():
        for key, value in chosen.items():
            own[key].copy_(_for_bands(value, bands) if value.shape != own[key].shape else value)
    return {"weights": source, "weights_used": len(chosen), "weights_left_out": len(tensors) - len(chosen)}


def _tensors(name: str, source: str) -> Mapping[str, Tensor]:
    if source == "imagenet-lite0":
        from crispmap.models.weights.lite0 import lite0_weights

        return lite0_weights()
    return read_weights(hub_weights(name) if source == "imagenet" else Path(source))


def _matched(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the names in a source of an encoder's tensors, under the prefixes that match most."""
    found: dict[str, str] = {}
    for theirs in _PREFIXES:
        for ours in ("", "model."):  # encoders of timm lie one level deeper
            names = {name: theirs + name.removeprefix(ours) for name in own if name.startswith(ours)}
            names = {name: there for name, there in names.items() if there in tensors}
            found = max(found, names, key=len)
    return found


def _fits(value: Tensor, target: Tensor, bands: int) -> bool:
    inflated = value.ndim == target.ndim == 4 and (value.shape[1], target.shape[1]) == (_RGB, bands)
    return value.shape == target.shape or (inflated and value[:, 0].shape == target[:, 0].shape)


def _for_bands(weight: Tensor, bands: int) -> Tensor:
    """Return the weights (filter, 3, row, col) of a first convolution for another number of bands."""
    if bands == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, [band % _RGB for band in range(bands)]] * (_RGB / bands)
