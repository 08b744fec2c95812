"""Engines that evaluate a network: PyTorch, OpenVINO, ONNX Runtime, behind one interface. Importing it loads none."""

from crispmap.inference.engines.choice import ENGINES, PRECISIONS, EngineChoice, EngineName, Precision
from crispmap.inference.engines.interface import Array, Engine
from crispmap.inference.engines.kept import KeptEngines
from crispmap.inference.engines.opening import open_engine
from crispmap.inference.engines.source import NetworkSource

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Array",
    "Engine",
    "EngineChoice",
    "EngineName",
    "KeptEngines",
    "NetworkSource",
    "Precision",
    "open_engine",
]
