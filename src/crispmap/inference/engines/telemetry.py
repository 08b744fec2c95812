"""OpenVINO and ONNX Runtime imported without their telemetry: making a map reports nothing to anyone.

As installed, both report to their makers that they are imported and what they run, and keep an identifier
in the user's home. Every import of either in this package goes through here.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from crispmap.errors import InputError

_OPENVINO_TELEMETRY = "openvino_telemetry"
_IMPORTING = threading.Lock()


def import_openvino() -> Any:
    """Return the module ``openvino``, imported as if its telemetry package were absent.

    Use its front ends rather than ``openvino.convert_model``, which reports what it converts where other code has
    imported OpenVINO with its telemetry.

    Raises:
        InputError: If it is not installed.
    """
    with _IMPORTING:
        telemetry = sys.modules.get(_OPENVINO_TELEMETRY)
        sys.modules[_OPENVINO_TELEMETRY] = None  # type: ignore[assignment] # Python then takes it as absent
        try:
            import openvino
        except ImportError as error:
            raise InputError(
                "The engine openvino is not installed.",
                expected="the package openvino",
                remedy="install it with: pip install openvino; or use the engine torch or auto",
            ) from error
        finally:
            del sys.modules[_OPENVINO_TELEMETRY]
            if telemetry is not None:
                sys.modules[_OPENVINO_TELEMETRY] = telemetry
    return openvino


def import_onnxruntime() -> Any:
    """Return the module ``onnxruntime``.

    Its telemetry stays on only where the user's environment has ``ORT_DISABLE_TELEMETRY=0``.

    Raises:
        InputError: If it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise _no_onnx() from error
    if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
        onnxruntime.disable_telemetry_events()  # Windows' own tracing does not read the variable
    return onnxruntime


def check_onnx_export() -> None:
    """Raise InputError where what PyTorch needs to export a network to ONNX is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise _no_onnx() from error


def _no_onnx() -> InputError:
    return InputError(
        "The engine onnxruntime is not installed.",
        expected="the packages onnxruntime, onnx and onnxscript",
        remedy="install them with: pip install 'crispmap[onnx]'; or use the engine openvino, torch or auto",
    )
