"""ONNX Runtime as an engine, from a network exported to ONNX in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crispmap.inference.engines.choice import EngineName, Precision
from crispmap.inference.engines.graphs import kept_graph
from crispmap.inference.engines.interface import Array, check_finite, check_finite_inputs, check_precision, refusal
from crispmap.inference.engines.source import NetworkSource
from crispmap.inference.engines.telemetry import check_onnx_export, import_onnxruntime
from crispmap.types import FloatArray

if TYPE_CHECKING:
    from torch import nn


class OnnxRuntimeEngine:
    """The graph of a network in ONNX, run by ONNX Runtime on the CPU, for inputs of the example's shapes.

    Raises:
        InputError: If ONNX Runtime is not installed, cannot take the network, or does not have the precision.
    """

    name: EngineName = "onnxruntime"
    device = "cpu"

    def __init__(self, source: NetworkSource, example: tuple[Array, ...], precision: Precision = "float32") -> None:
        ort = import_onnxruntime()
        check_precision("ONNX Runtime", precision, ("float32",))
        self.precision: Precision = precision
        self.text = f"onnxruntime {ort.__version__}, {precision}, cpu"
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        graph = kept_graph(source, example, self.name, _exported, ("onnx", "onnxscript", "onnxruntime"))
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
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
    check_onnx_export()
    from crispmap.inference.engines.export import onnx_graph

    try:
        return onnx_graph(module, example)
    except Exception as error:
        raise refusal("ONNX Runtime", error) from error
