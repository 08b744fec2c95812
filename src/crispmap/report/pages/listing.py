"""Settings for readers: nested mappings of anything printable as groups of names and texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from crispmap.report.tables.model import DASH

Groups = list[tuple[str, list[tuple[str, str]]]]  # groups by name, each with its entries: name and text


def groups_of(entries: Mapping[str, Any]) -> Groups:
    """Return nested mappings as groups of (name, text): plain entries first, then one group per mapping."""
    nested = {str(key): _members(value) for key, value in entries.items()}
    plain = [(str(key), text_of(value)) for key, value in entries.items() if not nested[str(key)]]
    groups = [(name, list(_flat(members, ()))) for name, members in nested.items() if members]
    return ([("", plain)] if plain else []) + groups


def text_of(value: object) -> str:
    """Return a setting as a reader would write it."""
    if value is None or value in ("", {}) or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(text_of(item) for item in value)) or DASH
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(item) for item in value) or DASH
    return str(value)


def _flat(entries: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings under their joined names."""
    for key, value in entries.items():
        here = (*path, str(key))
        members = _members(value)
        if members:
            yield from _flat(members, here)
        else:
            yield " · ".join(here), text_of(value)


def _members(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, a list of mappings under the numbers 1, 2, …, and an empty one for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        return {str(number): item for number, item in enumerate(value, start=1)}
    return {}
