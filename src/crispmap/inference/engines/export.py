"""Networks exported by PyTorch, as the graphs that other engines read.

For OpenVINO a network is traced and handed to its front end directly, not by way of ``openvino.convert_model``: see
``crispmap.inference.engines.telemetry``.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from crispmap.inference.engines.interface import Array
from crispmap.inference.engines.openvino_engine import packed
from crispmap.inference.engines.telemetry import import_openvino

_CHATTY = "torch.onnx._internal.exporter._registration"  # warns at every export that torchvision is not installed


def openvino_graph(module: nn.Module, example: tuple[Array, ...]) -> bytes:
    """Return the network, traced on an example, as OpenVINO's model in one piece; its inputs have no shapes yet."""
    ov = import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with _exporting(module, example) as (frozen, tensors):
        decoder = TorchScriptPythonDecoder(frozen, example_input=tensors, trace_kwargs={"check_trace": False})
        front_end = FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(decoder))
    with tempfile.TemporaryDirectory() as folder:
        operations, weights = Path(folder, "graph.xml"), Path(folder, "graph.bin")
        ov.serialize(model, operations, weights)
        return packed(operations.read_bytes(), weights.read_bytes())


def onnx_graph(module: nn.Module, example: tuple[Array, ...]) -> bytes:
    """Return the network as a serialised ONNX model with inputs of the example's shapes and dtypes."""
    with _exporting(module, example) as (frozen, tensors):
        return onnx_model(frozen, tensors).SerializeToString()  # type: ignore[no-any-return]


def traced_program(module: nn.Module, example: Array, side_px: int | None, least_px: int = 1) -> ExportedProgram:
    """Return a network of one input (batch, band, row, col) as an exported program, for batches of any size.

    Rows and columns are as many as the example's, or any multiples of a side above a least number.
    """
    shape: dict[int, Any] = {0: Dim("batch")}
    if side_px is not None:
        rows, cols = (Dim(name, min=least_px // side_px + 1) for name in ("rows", "cols"))
        shape |= {2: rows, 3: cols} if side_px == 1 else {2: side_px * rows, 3: side_px * cols}
    with _exporting(module, (example,)) as (frozen, tensors):
        return torch.export.export(frozen, tensors, dynamic_shapes=(shape,))


def onnx_model(network: nn.Module | ExportedProgram, tensors: tuple[Tensor, ...], **names: Any) -> Any:
    """Return a network, or its program, as an ONNX model."""
    logger = logging.getLogger(_CHATTY)
    logger.addFilter(_silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(network, tensors, dynamo=True, verbose=False, **names)
    finally:
        logger.removeFilter(_silent)
    if program is None:
        raise RuntimeError("the export gives no program")
    return program.model_proto


@contextmanager
def _exporting(module: nn.Module, example: tuple[Array, ...]) -> Iterator[tuple[nn.Module, tuple[Tensor, ...]]]:
    """Give a frozen copy of a network and the example as tensors.

    What tracing warns of, shapes taken as constants, is what is wanted.
    """
    frozen = copy.deepcopy(module).eval().requires_grad_(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield frozen, tuple(torch.from_numpy(array.copy()) for array in example)


def _silent(_: logging.LogRecord) -> bool:
    return False
