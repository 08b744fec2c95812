"""Checkpoints as safetensors: the state of a training without a single pickled byte.

A checkpoint is a tree of dictionaries, lists and tuples. Its tensors are stored as such; the tree, with everything else
in it, is JSON text in the file's metadata. Keys that are no text, tuples, None, NaN and infinity survive.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from crispmap.errors import ModelError, OutputError
from crispmap.files.atomic import write_atomically

_ENTRY = "crispmap"
_FORMAT = "crispmap-checkpoint-1"
_NOTES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_PLAIN = (str, bool, int, float, type(None))


def save_tree(tree: Any, path: Path) -> None:
    """Write nested dictionaries, lists, tuples, tensors and plain values to one file, whole or not at all.

    Raises:
        ModelError: If a value cannot be read back without unpickling.
        OutputError: If the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    packed = _packed(tree, tensors)  # fills the tensors
    write_safetensors(tensors, {"format": _FORMAT, "tree": packed}, path)


def load_tree(path: Path) -> Any:
    """Return what ``save_tree`` wrote, its tensors on the CPU.

    Raises:
        ModelError: If the file is missing, truncated, or no checkpoint of this version.
    """
    notes, tensors = read_safetensors(path)
    if notes.get("format") != _FORMAT:
        raise not_ours(path, f"its format is {notes.get('format')!r}, not {_FORMAT!r}")
    try:
        return _unpacked(notes["tree"], tensors)
    except (LookupError, TypeError, ValueError) as error:
        raise not_ours(path, repr(error)) from error


def write_safetensors(tensors: dict[str, Tensor], notes: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values: the file is whole, or what it was before.

    Raises:
        OutputError: If the file cannot be written.
    """
    # One entry, for the same contents to give the same bytes: safetensors orders several differently in every run.
    write_atomically(path, save(tensors, {_ENTRY: json.dumps(notes)}))


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the plain values and the tensors of a file written by ``write_safetensors``.

    Raises:
        ModelError: If the file is missing, truncated or not written so.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            notes = _NOTES.validate_json((file.metadata() or {}).get(_ENTRY, ""))
            return notes, {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError, ValueError) as error:
        raise not_ours(path, str(error)) from error


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value for JSON, its tensors moved to ``tensors``; all but plain values become [kind, ...]."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy: tensors of one storage cannot be stored beside each other.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return ["tensor", name]
    if isinstance(value, dict):
        return ["dict", *([_packed(k, tensors), _packed(v, tensors)] for k, v in value.items())]
    if type(value) in (list, tuple):
        return [type(value).__name__, *(_packed(one, tensors) for one in value)]
    if type(value) in _PLAIN:
        return value
    raise ModelError(
        f"A checkpoint cannot store a value of type {type(value).__name__}.",
        expected="tensors, text, numbers, None, and lists, tuples and dictionaries",
    )


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the value that ``_packed`` packed."""
    if not isinstance(value, list):
        return value
    kind, *parts = value
    builders: dict[str, Callable[[], Any]] = {
        "tensor": lambda: tensors[parts[0]],
        "dict": lambda: {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in parts},
        "list": lambda: [_unpacked(one, tensors) for one in parts],
        "tuple": lambda: tuple(_unpacked(one, tensors) for one in parts),
    }
    return builders[kind]()


def cannot_write(path: Path, error: Exception) -> OutputError:
    """Return the error for a file that a training cannot write."""
    return OutputError(
        f"{path} cannot be written: {error}.",
        expected="a folder that can be written, with enough space",
        remedy="free some space or choose another folder; a training continues from its last checkpoint (resume=True)",
    )


def not_ours(path: Path, why: str) -> ModelError:
    """Return the error for a file that cannot be a training's."""
    return ModelError(
        f"{path} cannot be read: {why}.",
        expected="a file written by a training of crispmap",
        remedy="if it is damaged, delete it and train again",
    )


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load weights written by a training into a module.

    Raises:
        ModelError: If the file is missing or truncated, or its weights are of another network.
    """
    _, tensors = read_safetensors(path)
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path} are of another network: {error}.",
            expected=f"weights of {type(module).__name__}",
            remedy="train again with force=True",
        ) from error
