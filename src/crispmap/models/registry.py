"""The registry of architectures by name. Listing them imports no network; building one imports only that one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache

from crispmap.models.architecture import Architecture, Kind

_FAMILIES = ("crispmap.models", "crispmap.refiners")
"""Packages whose folders declare architectures, as ``ARCHITECTURES`` in their ``__init__``."""
_registered: dict[str, Architecture] = {}


def architectures(kind: Kind | None = None, *, trainable: bool = False) -> dict[str, Architecture]:
    """Return the architectures of a kind, or those that a project can train: the default first, then as declared."""
    found = {**_declared(), **_registered}
    chosen = [one for one in found.values() if kind in (None, one.kind) and (one.learner is not None or not trainable)]
    return {one.name: one for one in sorted(chosen, key=lambda one: not one.default)}


def default_architecture(kind: Kind) -> Architecture:
    """Return the architecture of a project that names none."""
    return next(one for one in architectures(kind).values() if one.default)


def register(architecture: Architecture) -> Architecture:
    """Add your own architecture for this process; return it.

    Raises:
        ValueError: If the name is taken.
    """
    if architecture.name in architectures():
        raise ValueError(f"there is an architecture {architecture.name!r} already")
    _registered[architecture.name] = architecture
    return architecture


def is_declared(name: str) -> bool:
    """Return whether an architecture comes with this package: its code is known."""
    return name in _declared() and name not in _registered


def unregister(name: str) -> None:
    """Remove an architecture that ``register`` added.

    Raises:
        KeyError: If ``register`` added no such name.
    """
    del _registered[name]


@cache
def _declared() -> Mapping[str, Architecture]:
    return {one.name: one for package in _FAMILIES for one in _declared_in(package)}


def _declared_in(package: str) -> Iterator[Architecture]:
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.ispkg:
            yield from getattr(importlib.import_module(f"{package}.{module.name}"), "ARCHITECTURES", ())
