"""The model file: one ``.safetensors`` with the weights and, in its metadata, the model card. Nothing is unpickled.

Importing it loads no torch: that comes with the first network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import ValidationError

from crispmap.errors import ModelError, number_of
from crispmap.files.atomic import check_free, write_atomically
from crispmap.models.architecture import Architecture, Kind
from crispmap.models.card import CARD_KEY, ModelCard, card_in, check_kind, model_hash, opened_model, read_card
from crispmap.models.migration import migrated_weights
from crispmap.models.model import CoarseModel, Model, RefinerModel
from crispmap.models.registry import architectures

if TYPE_CHECKING:
    from torch import Tensor, nn

    from crispmap.models.base import CoarseNetwork, Refiner

__all__ = ["load_model", "model_hash", "read_card", "save_model"]


def save_model(path: Path, module: nn.Module, card: ModelCard, *, force: bool = False) -> Path:
    """Write a model file; the file at ``path`` is complete or absent, never half written.

    Raises:
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    from safetensors.torch import save

    path = check_free(path, force=force)
    weights = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    write_atomically(path, save(weights, metadata={CARD_KEY: card.to_json()}))
    return path


@overload
def load_model(path: str | Path) -> CoarseModel | RefinerModel: ...
@overload
def load_model(path: str | Path, kind: Literal["coarse"]) -> CoarseModel: ...
@overload
def load_model(path: str | Path, kind: Literal["refiner"]) -> RefinerModel: ...
def load_model(path: str | Path, kind: Kind | None = None) -> CoarseModel | RefinerModel:
    """Return a model in evaluation mode on the CPU; only the network that its card names is imported.

    Args:
        kind: "coarse" or "refiner" to accept only that kind.

    Raises:
        ModelError: If the file is missing, truncated, not a crispmap model, of a newer format, or of another kind.
    """
    from crispmap.models.base import CoarseNetwork

    if not isinstance(path, str | Path):
        raise ModelError(f"A model is given as {type(path).__name__}.", expected="the path of a model file")
    path = Path(path)
    with opened_model(path, "pt") as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    card = card_in(metadata, path)
    check_kind(card, kind, path)
    network = _built(card, migrated_weights(weights), path)
    _check_card(card, network, path)
    if isinstance(network, CoarseNetwork):
        return Model(network.eval(), card)
    return Model(network.eval(), card)


def _built(card: ModelCard, weights: Mapping[str, Tensor], path: Path) -> CoarseNetwork | Refiner:
    """Return the network a card describes, with its weights."""
    known = architectures(card.kind)
    if card.architecture not in known:
        raise ModelError(
            f"{path} has architecture {card.architecture!r}.",
            expected=f"one of {', '.join(known)}",
            remedy="update crispmap, or train the model again with this version",
        )
    architecture = known[card.architecture]
    try:
        _check_options(architecture, card.arguments)
        network = _without_values(architecture, card)
        network.load_state_dict(weights, strict=True, assign=True)
        if _has_meta(network):  # constants that are in no file
            network = _with_values(architecture, card)
            network.load_state_dict(weights, strict=True, assign=True)
    except (RuntimeError, TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise ModelError(
            f"{path}: the weights do not fit the architecture {card.architecture!r}: {str(error).splitlines()[0]}",
            expected="the weights that the card describes",
            remedy="the file is damaged; train or fetch the model again",
        ) from error
    return network


def _without_values(architecture: Architecture, card: ModelCard) -> CoarseNetwork | Refiner:
    """Return the network that a card describes, on the meta device where it can be built there.

    A false claim of a huge layer then costs nothing, for shapes are compared before any allocation. Elsewhere the card
    must have a name for every band and class.
    """
    import torch

    try:
        with torch.device("meta"):
            return architecture.build(**card.arguments)
    except (RuntimeError, ModelError):
        counts = len(card.band_names), len(card.schema)
        if (card.arguments.get("bands"), card.arguments.get("classes")) != counts:
            raise
        return _with_values(architecture, card)


def _with_values(architecture: Architecture, card: ModelCard) -> CoarseNetwork | Refiner:
    import torch

    with torch.random.fork_rng(devices=[]):  # what is drawn afterwards does not depend on whether a model was loaded
        return architecture.build(**card.arguments)


def _has_meta(network: nn.Module) -> bool:
    """Return whether a tensor of a network, buffer or plain attribute, has no values."""
    from torch import Tensor

    values = [value for part in network.modules() for value in (*part.__dict__.values(), *part.buffers(recurse=False))]
    return any(value.is_meta for value in values if isinstance(value, Tensor))


def _check_options(architecture: Architecture, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for what a project file may not ask for either, such as a million iterations, or no band."""
    for name in ("bands", "classes"):
        count = arguments.get(name, 1)
        if type(count) is not int or count < 1:
            raise ValueError(f"{name} is {count!r}")
    options = {name: value for name, value in arguments.items() if name in architecture.options.model_fields}
    try:
        architecture.options.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{first['loc'][0]} is {first['input']!r}: {first['msg']}") from error


def _check_card(card: ModelCard, network: CoarseNetwork | Refiner, path: Path) -> None:
    """Raise ModelError where a card says something else of a network than the network itself."""
    if (network.bands, network.classes) != (len(card.band_names), len(card.schema)):
        named = f"{number_of(len(card.band_names), 'band')} and {number_of(len(card.schema), 'class')}"
        raise ModelError(
            f"{path}: its card names {named}, its weights are for {network.bands} and {network.classes}.",
            expected="a name for every band and class",
            remedy="the file is damaged; train or fetch the model again",
        )
    stride_px = getattr(network, "stride_px", 1)
    if (network.radius_px, stride_px) != (card.radius_px, card.stride_px):
        raise ModelError(
            f"{path}: its card gives a radius of {card.radius_px} and a stride of {card.stride_px} pixels.",
            expected=f"those of its network: {network.radius_px} and {stride_px}",
            remedy="the file is damaged; train or fetch the model again",
        )
