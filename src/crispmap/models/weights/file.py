"""Files of weights that other tools wrote: safetensors, or PyTorch's state dicts. No code in them is run."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from crispmap.errors import ModelError

_INSIDE = ("state_dict", "model_state_dict", "model", "weights")  # where trainers keep the state dict of a checkpoint


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of weights by name, on the CPU.

    Raises:
        ModelError: If the file is missing, truncated, holds other objects than tensors, or no tensor.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}.", expected="a file of weights", remedy="check the path")
    try:
        found: Any = load_file(path) if path.suffix.lower() == ".safetensors" else _state_dict(path)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds other objects than tensors, or is damaged; nothing of it was run.",
            expected="a state dict: tensors by name",
            remedy="save the tensors alone: torch.save(network.state_dict(), path), or as safetensors",
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            expected="a whole file of weights, of safetensors or PyTorch",
            remedy="fetch the file again",
        ) from error
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no tensor.", expected="a state dict: tensors by name")
    return tensors


def _state_dict(path: Path) -> Mapping[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle protocol it may not support: then it raises
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    for name in _INSIDE:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping):
        raise ValueError(f"it holds a {type(loaded).__name__}")
    return loaded


def without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without the counters of batch normalisation, which evaluation does not use."""
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
