"""Networks as the graphs of operations that engines compile: exported once, and kept for the runs to come."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from crispmap.errors import InputError, ModelError
from crispmap.files.cache import user_cache
from crispmap.inference.engines.choice import EngineName
from crispmap.inference.engines.interface import Array
from crispmap.inference.engines.source import NetworkSource
from crispmap.models.lazy import code_identity, versions

if TYPE_CHECKING:
    from torch import nn

Export: TypeAlias = "Callable[[nn.Module, tuple[Array, ...]], bytes]"
"""Returns a network as a graph whose inputs have the shapes and dtypes of an example."""


def kept_graph(
    source: NetworkSource, example: tuple[Array, ...], engine: EngineName, export: Export, libraries: tuple[str, ...]
) -> bytes:
    """Return the graph of a network for an engine: that of an earlier run, or exported now and kept.

    A kept graph is of the same model files, code, libraries, kind of processor, and shapes, where it depends on them:
    it gives the same bytes. Those for OpenVINO have yet to be given their shapes.

    Raises:
        InputError: If no engine but PyTorch can take the network.
        ModelError: If a weight is infinite or not a number.
    """
    any_shape = source.any_shape and engine == "openvino"
    traced = source.smallest if any_shape and source.smallest else example
    if not source.identity:
        return export(checked_module(source, engine), traced)
    key = {
        "what": f"{source.role} network for {engine}",
        "network": source.identity,
        "inputs": [[*(() if any_shape else one.shape), one.dtype.str] for one in example],
        "processor": _processor(),
        **code_identity(),
        **versions(*libraries),
    }
    graph = user_cache().get(key)
    if graph is None:
        graph = export(checked_module(source, engine), traced)
        user_cache().put(key, graph)
    return graph


def checked_module(source: NetworkSource, engine: str) -> nn.Module:
    """Return a network that an engine may take; see ``kept_graph``."""
    module = source.module()
    for name, values in module.state_dict().items():
        if not values.isfinite().all():
            raise ModelError(
                f"The network's {name} has values that are infinite or not numbers.",
                expected="finite weights",
                remedy="train the model again with a lower learning rate",
            )
    if engine != "torch" and any(getattr(part, "torch_only", False) for part in module.modules()):
        raise TorchOnlyError(
            f"The engine {engine} cannot take a refiner of so many operations.",
            expected="the engine torch or auto",
            remedy="leave the engine out",
        )
    return module


class TorchOnlyError(InputError):
    """A network that no engine but PyTorch takes."""


@cache
def _processor() -> str:
    """Return the kind of processor: what PyTorch folds while it exports may differ in the last digit on another."""
    facts = [platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        facts += [line for line in lines if line.startswith(("model name", "flags", "CPU part", "Features"))]
    except OSError:
        facts.append(platform.processor())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
