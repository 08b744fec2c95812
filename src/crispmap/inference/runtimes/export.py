"""A coarse network and a refiner written as one graph that other runtimes read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from crispmap.errors import CrispmapError, CrispmapWarning, InputError, ModelError
from crispmap.files.atomic import check_free, write_atomically
from crispmap.files.notebook import html_table
from crispmap.inference.engines.graphs import checked_module
from crispmap.inference.engines.source import NetworkSource
from crispmap.inference.runtimes.deepness import Tiles, deepness_metadata, tiles_for
from crispmap.inference.runtimes.equality import (
    MOST_DIFFERENT,
    Difference,
    differences,
    largest_of,
    random_pixels,
    real_pixels,
)
from crispmap.inference.runtimes.formats import FormatName, Graph, check_installed, format_of, runner, write_graph
from crispmap.inference.runtimes.network import WholeNetwork
from crispmap.raster.refs import SceneRef
from crispmap.raster.targets import check_paths
from crispmap.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

_SHOWN = 200  # characters of a library's message


@dataclass(frozen=True)
class ExportedModel:
    """A graph that was written, and what it was compared on."""

    paths: tuple[Path, ...]  # the file to open first, then those beside it
    format: FormatName
    runtime: str  # name and version of what read it back
    differences: tuple[Difference, ...]
    tiles: Tiles  # in which Deepness computes the exact map
    context_px: int  # how far from the border of an input the scene around it would matter
    stride_px: int  # what origins of tiles are multiples of
    side_px: int  # what sides of an input are multiples of

    @property
    def path(self) -> Path:
        """The file that is opened."""
        return self.paths[0]

    def _repr_html_(self) -> str:
        facts = {
            "files": ", ".join(map(str, self.paths)),
            "read back by": self.runtime,
            "largest difference": f"{self.largest_difference:.1e}",
            "tiles begin at": f"multiples of {self.stride_px} pixels",
            "context": f"{self.context_px} pixels",
        }
        return html_table("crispmap exported model", facts.items())

    @property
    def largest_difference(self) -> float:
        """The largest difference of a probability from PyTorch and from crispmap's own map."""
        return largest_of(self.differences)


@dataclass(frozen=True)
class ExportOptions:
    """What is written, and what it is compared on.

    ``size_px`` fixes height and width of the input, as Deepness needs it; by default they are free. ``scene`` is one
    whose pixels the graph is tried on too.
    """

    format: str | None = None  # "onnx", "openvino" or "torch"; by default as the name of the file ends
    size_px: int | None = None
    scene: SceneRef | None = None
    force: bool = False  # replace files that exist


def checked_targets(out: Path, options: ExportOptions, inputs: list[Path]) -> FormatName:
    """Return the format of a file, once it is sure that it may be written.

    Raises:
        InputError: If there is no such format, the file has another's suffix, or a library is not installed.
        OutputError: If a file is an input, or exists and ``force`` is not given.
    """
    name = format_of(out, options.format)
    files = [out, out.with_suffix(".bin")] if name == "openvino" else [out]
    check_paths(files, inputs)
    for one in files:
        check_free(one, force=options.force)
    check_installed(name)
    return name


def export_network(
    network: WholeNetwork,
    out: Path,
    name: FormatName,
    options: ExportOptions = ExportOptions(),
    *,
    hashes: Mapping[str, str] | None = None,
) -> ExportedModel:
    """Write a network as one graph: scaling, network, refiner and softmax.

    Its input is raw pixels float32 (batch, band, row, col), NaN where they are not known, its output the probabilities
    of the classes on the same pixels. Of a whole image they are those of its map; of a part of one, they are so from
    ``context_px`` inside its border on. The graph is read back and compared before a file appears.

    Args:
        hashes: SHA-256 of the model files by role, for the metadata.

    Raises:
        InputError: If the format's runtime cannot take the network, or no tiles of the size are exact.
        ModelError: If probabilities differ by more than 1e-4 from those of PyTorch or of the map.
        SceneError: If the scene cannot be read, or does not suit.
    """
    tiles = tiles_for(network, options.size_px)
    if blended := network.score_models.blended:
        warnings.warn(blended, CrispmapWarning, stacklevel=2)
    random = random_pixels(network, options.size_px)
    inputs = [("random", one) for one in random]
    if options.scene is not None:
        inputs.append(("real", real_pixels(network, options.scene, options.size_px)))
    metadata = _metadata(network, hashes or {}) | (deepness_metadata(network, tiles) if name == "onnx" else {})
    module = checked_module(NetworkSource("map", network.module), name).eval()
    try:
        sides = None if options.size_px else (network.side_px, network.stride_px)
        graph = _graph(module, name, random[0], sides, metadata)
        found = tuple(differences(network, runner(module), graph.run, inputs))
    except (CrispmapError, MemoryError):
        raise
    except Exception as error:  # as many kinds as there are operations
        raise _refusal(network, name, error) from error
    _check(found, graph)
    paths = [out.with_suffix(suffix) if suffix != out.suffix.lower() else out for suffix in graph.files]
    for path, content in zip(paths, graph.files.values(), strict=True):
        write_atomically(path, content)
    return ExportedModel(
        tuple(reversed(paths)), name, graph.runtime, found, tiles, network.context_px, network.stride_px,
        network.side_px,
    )  # fmt: skip


def _graph(
    module: nn.Module,
    name: FormatName,
    example: FloatArray,
    sides: tuple[int, int] | None,
    metadata: dict[str, str],
) -> Graph:
    """Return a module as a graph for inputs of the example's sides, or of any multiples of one above another."""
    import torch

    from crispmap.inference.engines.export import traced_program

    program = traced_program(module, example, *(sides or (None,)))
    return write_graph(name, program, torch.from_numpy(example), metadata)


def _refusal(network: WholeNetwork, name: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split()).partition(". ")[0]
    return InputError(
        f"{' with '.join(model.card.architecture for model in network.models)} cannot be exported to {name}: "
        f"{type(error).__name__}: {reason[:_SHOWN]}.",
        expected="a network of operations that the format has",
        remedy="export another, such as unet-lite0 or fcn-rnn",
    )


def _metadata(network: WholeNetwork, hashes: Mapping[str, str]) -> dict[str, str]:
    card = network.card
    facts = {
        "version": version("crispmap"),
        "architectures": [model.card.architecture for model in network.models],
        "sha256": dict(hashes),
        "bands": card.band_names,
        "classes": json.loads(card.schema.to_json()),
        "gsd_m": card.gsd_m,
        "stride_px": network.stride_px,
        "side_px": network.side_px,
        "context_px": network.context_px,
        "input": "raw pixels, float32 (batch, band, row, col), NaN where not known",
        "output": "probabilities, float32 (batch, class, row, col)",
    }
    return {"crispmap": json.dumps(facts, ensure_ascii=False)}


def _check(found: tuple[Difference, ...], graph: Graph) -> None:
    largest = largest_of(found)
    if not largest <= MOST_DIFFERENT:  # what is not a number is no equality either
        raise ModelError(
            f"{graph.runtime} gives probabilities that differ by {largest:.2g} from those of crispmap.",
            expected=f"at most {MOST_DIFFERENT:g}; no file is written", remedy="export to another format",
        )  # fmt: skip
