"""OpenVINO as an engine: the fastest on CPUs."""

from __future__ import annotations

import copy
from functools import cache
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

from crispmap.inference.engines.choice import EngineName, Precision
from crispmap.inference.engines.graphs import kept_graph
from crispmap.inference.engines.interface import Array, check_finite, check_finite_inputs, check_precision, refusal
from crispmap.inference.engines.source import NetworkSource
from crispmap.inference.engines.telemetry import import_openvino
from crispmap.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITIES: dict[Precision, str] = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}


class OpenVinoEngine:
    """The graph of a network compiled by OpenVINO for the CPU and for inputs of the example's shapes.

    More calls at once than ``threads`` wait for one another.

    Raises:
        InputError: If OpenVINO is not installed, cannot take the network, or does not have the precision here.
    """

    name: EngineName = "openvino"
    device = "cpu"

    def __init__(
        self, source: NetworkSource, example: tuple[Array, ...], precision: Precision = "float32", threads: int = 1
    ) -> None:
        ov = import_openvino()
        self._version = ov.__version__.split("-")[0]
        check_precision("OpenVINO", precision, _offered(_core()))
        graph = kept_graph(source, example, self.name, _exported, ("openvino",))
        try:
            # Read back in any case: what was traced just now and what is kept then give the same bytes for sure.
            self._model = _core().read_model(*_unpacked(graph))
            self._model.reshape({place: ov.PartialShape(array.shape) for place, array in enumerate(example)})
        except Exception as error:
            raise refusal("OpenVINO", error) from error
        self._threads = threads
        self._compile(precision)

    def _compile(self, precision: Precision) -> None:
        self.precision: Precision = precision
        self.text = f"openvino {self._version}, {precision}, cpu"
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": self._threads,
            "INFERENCE_NUM_THREADS": self._threads,
            # Pinned, the processes of a cluster would crowd the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = _core().compile_model(self._model, "CPU", settings)
        except Exception as error:
            raise refusal("OpenVINO", error) from error
        self._requests: LifoQueue[Any] = LifoQueue()
        for _ in range(self._threads):
            self._requests.put(compiled.create_infer_request())

    def at(self, precision: Precision) -> OpenVinoEngine:
        """Return an engine of the same converted network: converting takes several times as long as compiling."""
        check_precision("OpenVINO", precision, _offered(_core()))
        other = copy.copy(self)
        other._compile(precision)
        return other

    def run(self, *inputs: Array) -> list[FloatArray]:  # noqa: D102 - as the protocol
        check_finite_inputs(inputs)
        request = self._requests.get()
        try:
            outputs = request.infer(list(inputs), share_inputs=True, share_outputs=True)
            results: list[FloatArray] = [values.copy() for values in outputs.values()]
        finally:
            self._requests.put(request)
        check_finite(results)
        return results


@cache
def _core() -> Any:
    """Return the one core of the process: let go, it unloads OpenVINO's plugins, and the process crashes later on."""
    return import_openvino().Core()


def _offered(core: Any) -> tuple[Precision, ...]:
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, capability in _CAPABILITIES.items() if capability in able)


def packed(operations: bytes, weights: bytes) -> bytes:
    """Return the two files of OpenVINO's format as one."""
    return len(operations).to_bytes(8, "little") + operations + weights


def _unpacked(graph: bytes) -> tuple[bytes, bytes]:
    stop = 8 + int.from_bytes(graph[:8], "little")
    return graph[8:stop], graph[stop:]


def _exported(module: nn.Module, example: tuple[Array, ...]) -> bytes:
    from crispmap.inference.engines.export import openvino_graph

    try:
        return openvino_graph(module, example)
    except Exception as error:
        raise refusal("OpenVINO", error) from error
