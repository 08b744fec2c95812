"""ONNX Runtime as an engine, from a network exported to ONNX in memory."""

from __future__ import annotations

import copy
import logging
import warnings

import torch
from torch import nn

from crispmap.inference.engines.choice import EngineName, Precision
from crispmap.inference.engines.interface import Array, check_finite, check_finite_inputs, check_precision, refusal
from crispmap.inference.engines.telemetry import import_onnxruntime
from crispmap.types import FloatArray

_CHATTY = "torch.onnx._internal.exporter._registration"  # warns at every export that torchvision is not installed


class OnnxRuntimeEngine:
    """A copy of a network exported to ONNX and run by ONNX Runtime on the CPU, for inputs of the example's shapes.

    Raises:
        InputError: If ONNX Runtime is not installed, cannot take the network, or does not have the precision.
    """

    name: EngineName = "onnxruntime"
    device = "cpu"

    def __init__(self, module: nn.Module, example: tuple[Array, ...], precision: Precision = "float32") -> None:
        ort = import_onnxruntime()
        check_precision("ONNX Runtime", precision, ("float32",))
        self.precision: Precision = precision
        self.text = f"onnxruntime {ort.__version__}, {precision}, cpu"
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            model = _exported(module, example)
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise refusal("ONNX Runtime", error) from error
        self._names = [one.name for one in self._session.get_inputs()]

    def at(self, precision: Precision) -> OnnxRuntimeEngine:  # noqa: D102 - as the protocol
        check_precision("ONNX Runtime", precision, (self.precision,))
        return self

    def run(self, *inputs: Array) -> list[FloatArray]:  # noqa: D102 - as the protocol
        check_finite_inputs(inputs)
        results: list[FloatArray] = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        check_finite(results)
        return results


def _exported(module: nn.Module, example: tuple[Array, ...]) -> bytes:
    """Return the network as a serialised ONNX model with inputs of the example's shapes and dtypes."""
    frozen = copy.deepcopy(module).eval().requires_grad_(False)
    tensors = tuple(torch.from_numpy(array.copy()) for array in example)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logger = logging.getLogger(_CHATTY)
        logger.addFilter(_silent)
        try:
            program = torch.onnx.export(frozen, tensors, dynamo=True, verbose=False)
        finally:
            logger.removeFilter(_silent)
    if program is None:
        raise RuntimeError("the export gives no program")
    model: bytes = program.model_proto.SerializeToString()
    return model


def _silent(_: logging.LogRecord) -> bool:
    return False
