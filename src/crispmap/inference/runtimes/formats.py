"""The formats in which a graph is written; each is read back and run by the runtime that it is for."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from crispmap.errors import InputError
from crispmap.inference.engines.telemetry import check_onnx_export, import_onnxruntime, import_openvino
from crispmap.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

FormatName: TypeAlias = Literal["onnx", "openvino", "torch"]
Run: TypeAlias = Callable[[FloatArray], FloatArray]
"""Returns probabilities of raw pixels."""
SUFFIXES: dict[FormatName, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""The formats, and how the names of their files end."""
_INPUT, _OUTPUT = "image", "probabilities"


@dataclass(frozen=True)
class Graph:
    """A graph as it lies in files, and the runtime that has read it back."""

    files: Mapping[str, bytes]  # content by suffix, the one that is opened last
    runtime: str  # name and version
    run: Run


def write_graph(name: FormatName, program: ExportedProgram, example: Tensor, metadata: Mapping[str, str]) -> Graph:
    """Return a program in a format, with metadata; InputError where the runtime is not installed."""
    return _WRITERS[name](program, example, metadata)


def check_installed(name: FormatName) -> None:
    """Raise InputError where what a format needs is not installed."""
    if name == "openvino":
        import_openvino()
    if name != "torch":
        check_onnx_export()
        import_onnxruntime()


def format_of(out: Path, name: str | None) -> FormatName:
    """Return the format of a file: that of its suffix, which is the one named.

    Raises:
        InputError: If there is no such format, or the file has another's suffix.
    """
    if name is not None and name not in SUFFIXES:
        raise InputError(f"There is no format {name!r}.", expected=f"one of {', '.join(SUFFIXES)}")
    fitting = {suffix: one for one, suffix in SUFFIXES.items() if name in (None, one)}
    if out.suffix.lower() not in fitting:
        raise InputError(
            f"{out} is to be written{'' if name is None else f' in the format {name}'}.",
            expected=f"a name that ends in {' or '.join(fitting)}", remedy=f"give out={out.stem}{next(iter(fitting))}",
        )  # fmt: skip
    return fitting[out.suffix.lower()]


def _onnx(program: ExportedProgram, example: Tensor, metadata: Mapping[str, str]) -> Graph:
    ort, content = import_onnxruntime(), _onnx_bytes(program, example, metadata)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(pixels: FloatArray) -> FloatArray:
        values: FloatArray = session.run(None, {_INPUT: pixels})[0]
        return values

    return Graph({".onnx": content}, f"ONNX Runtime {ort.__version__}", run)


def _openvino(program: ExportedProgram, example: Tensor, metadata: Mapping[str, str]) -> Graph:
    ov = import_openvino()
    core = ov.Core()
    model = core.read_model(_onnx_bytes(program, example, {}))
    for key, value in metadata.items():
        model.set_rt_info(value, [key])
    with tempfile.TemporaryDirectory() as folder:
        files = {suffix: Path(folder, f"graph{suffix}") for suffix in (".bin", ".xml")}
        ov.serialize(model, files[".xml"], files[".bin"])  # as it is: save_model would halve its precision
        contents = {suffix: file.read_bytes() for suffix, file in files.items()}
    weights = ov.Tensor(np.frombuffer(contents[".bin"], np.uint8).copy())
    compiled = core.compile_model(
        core.read_model(contents[".xml"], weights), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    def run(pixels: FloatArray) -> FloatArray:
        return np.array(compiled(pixels)[0], np.float32)

    return Graph(contents, f"OpenVINO {ov.__version__.split('-')[0]}", run)


def _torch(program: ExportedProgram, _: Tensor, metadata: Mapping[str, str]) -> Graph:
    import torch

    # An example is no part of the network, and the one thing that PyTorch would pickle.
    program._example_inputs = None
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(metadata))
    content = buffer.getvalue()
    module: Any = torch.export.load(io.BytesIO(content)).module()

    return Graph({".pt2": content}, f"PyTorch {torch.__version__}", runner(module))


def runner(module: nn.Module) -> Run:
    """Return what computes a module on arrays."""
    import torch

    def run(pixels: FloatArray) -> FloatArray:
        with torch.inference_mode():
            values: FloatArray = module(torch.from_numpy(pixels)).numpy()
        return values

    return run


def _onnx_bytes(program: ExportedProgram, example: Tensor, metadata: Mapping[str, str]) -> bytes:
    from crispmap.inference.engines.export import onnx_model

    model = onnx_model(program, (example,), input_names=[_INPUT], output_names=[_OUTPUT])
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = model.SerializeToString()
    return content


_WRITERS: dict[str, Callable[[ExportedProgram, Tensor, Mapping[str, str]], Graph]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "torch": _torch,
}
