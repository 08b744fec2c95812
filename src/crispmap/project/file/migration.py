"""Project files of older formats, brought to the keys of this one.

Format 2 (2026-11) names things by the field's words: ``network`` is ``kind``, training steps are ``max_steps`` in both
sections, a refiner's ``steps`` are its ``iterations``, ``balance`` is ``sampling``, ``symmetries`` is
``augmentation``, ``aligned_labels`` is ``corrected_labels``.
"""

from __future__ import annotations

from typing import Any

from crispmap.project.file.marked_yaml import Location, MarkedYaml

_SHARED = {"network": "kind", "balance": "sampling", "symmetries": "augmentation"}
RENAMED = {
    "coarse": {**_SHARED, "steps": "max_steps"},
    "refiner": {**_SHARED, "steps": "iterations", "training_steps": "max_steps", "aligned_labels": "corrected_labels"},
}
"""The keys of format 1 that format 2 calls otherwise, by section."""
_AUGMENTATION = {True: "flips-and-rotations", False: "none"}


def migrated(marked: MarkedYaml) -> MarkedYaml:
    """Return the values of a file of format 1 under the keys of format 2, with their lines; other files as they are."""
    version = marked.value.get("crispmap") if isinstance(marked.value, dict) else None
    if version != 1 or isinstance(version, bool):
        return marked
    value = {key: _renamed(key, part) for key, part in marked.value.items()}
    return MarkedYaml({**value, "crispmap": 2}, {_renamed_at(at): line for at, line in marked.lines.items()})


def _renamed(section: str, part: Any) -> Any:
    if section not in RENAMED or not isinstance(part, dict):
        return part
    names = RENAMED[section]
    if isinstance(part.get("symmetries"), bool):
        part = {**part, "symmetries": _AUGMENTATION[part["symmetries"]]}
    return {names.get(key, key): value for key, value in part.items()}


def _renamed_at(at: Location) -> Location:
    names = RENAMED.get(str(at[0])) if at else None
    if names is None or len(at) < 2:
        return at
    return (at[0], names.get(str(at[1]), at[1]), *at[2:])
