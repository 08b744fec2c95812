"""Model files opened for maps without torch: a network is loaded only where an engine needs it.

What tiles are cut by, such as the halo of a network, is in no file: it follows from the network when it is built. It is
kept in the user's cache under the hash of the file, once the file has been loaded and checked as a whole.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from crispmap.errors import ModelError
from crispmap.files.cache import user_cache
from crispmap.geo.squares import Squares
from crispmap.models.architecture import Kind
from crispmap.models.card import check_kind, model_hash, read_card
from crispmap.models.model import CoarseModel, Model, RefinerModel
from crispmap.models.registry import architectures, is_declared

if TYPE_CHECKING:
    from torch import nn

_COARSE = ("bands", "classes", "train_margin_px", "halo_px", "stride_px", "radius_px")
_REFINER = ("bands", "classes", "iterations", "margin_px", "stride_px", "radius_px")
_CODE = ("models", "refiners", "inference")  # folders of this package in which a file becomes a graph
_LIBRARIES = ("torch", "segmentation-models-pytorch", "timm")


class LazyNetwork:
    """A network of a model file that stands in for it until more is asked of it than the numbers it is tiled by."""

    def __init__(self, sha256: str, known: Mapping[str, Any], load: Callable[[], Any], any_shape: bool) -> None:
        self.sha256, self.any_shape, self._known, self._load = sha256, any_shape, known, cache(load)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copies ask for what they have not been given yet
            raise AttributeError(name)
        return self._known[name] if name in self._known else getattr(self._loaded(), name)

    @property
    def identity(self) -> tuple[str, ...]:
        """All that decides what it computes."""
        return (self.sha256, str(self._known.get("halo_px")))

    def reading(self, context_px: int) -> Self:
        """Return it with other context; see ``CoarseNetwork.reading``."""
        halo_px = read_context(context_px, self._known["train_margin_px"], self._known["stride_px"])
        return type(self)(self.sha256, {**self._known, "halo_px": halo_px}, self._load, self.any_shape)

    def for_inference(self) -> nn.Module:
        """Return the module that engines take; see ``CoarseNetwork.for_inference``."""
        module: nn.Module = self._loaded().for_inference()
        return module

    def _loaded(self) -> Any:
        network, halo_px = self._load(), self._known.get("halo_px")
        return network if halo_px is None or halo_px == network.halo_px else network.reading(halo_px)


def open_coarse(path: Path) -> CoarseModel:
    """Return a coarse network to map with; ModelError as ``load_model``."""
    return cast("CoarseModel", _opened(path, "coarse"))


def open_refiner(path: Path) -> RefinerModel:
    """Return a refiner to map with; ModelError as ``load_model``."""
    return cast("RefinerModel", _opened(path, "refiner"))


def read_context(context_px: int, train_margin_px: int, stride_px: int) -> int:
    """Return the context that a network reads where so much is asked for: its margin and whole strides."""
    return train_margin_px + math.ceil(max(0, context_px - train_margin_px) / stride_px) * stride_px


@cache
def code_identity() -> dict[str, str]:
    """Return what besides a model file decides its network: the code here, by hash, and libraries, by version."""
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for file in sorted(file for folder in _CODE for file in (root / folder).rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return {"crispmap": metadata.version("crispmap"), "code": digest.hexdigest(), **versions(*_LIBRARIES)}


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of libraries as installed; those that are not here have none."""
    found = {}
    for name in libraries:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def _opened(path: Path, kind: Kind) -> Model[Any]:
    card = read_card(path)
    check_kind(card, kind, path)
    if not is_declared(card.architecture):  # of code that is not here: it may change unseen
        return _loaded(path, kind)
    sha256 = model_hash(path)
    key = {"what": f"facts of a {card.architecture} network", "model": sha256, **code_identity()}
    kept = user_cache().get(key)

    def load() -> Any:
        network = _loaded(path, kind).network
        if model_hash(path) != sha256:
            raise ModelError(
                f"{path} was replaced while it was read.",
                expected="a file that stays as it is for the run",
                remedy="run again",
            )
        return network

    any_shape = architectures()[card.architecture].any_shape
    if kept is not None:
        return Model(cast(Any, LazyNetwork(sha256, _known(kept), load, any_shape)), card)
    network = load()
    facts = {name: getattr(network, name) for name in (_COARSE if kind == "coarse" else _REFINER)}
    squares: Squares | None = getattr(network, "squares", None)
    kept = json.dumps({**facts, "squares": None if squares is None else squares.to_json()}).encode()
    user_cache().put(key, kept)
    return Model(cast(Any, LazyNetwork(sha256, _known(kept), lambda: network, any_shape)), card)


def _loaded(path: Path, kind: Kind) -> Model[Any]:
    from crispmap.models.file import load_model

    return load_model(path, kind)


def _known(kept: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(kept)
    squares = facts["squares"]
    return facts | {"squares": None if squares is None else Squares.from_json(squares)}
