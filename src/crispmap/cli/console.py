"""What a person sees: messages on standard error, figures as JSON on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from crispmap.errors import without_secrets

console = Console(stderr=True, highlight=False)
"""Standard error; colours where that is a terminal."""


def notify(text: str) -> None:
    """Print a line on standard error, as it is."""
    console.print(Text(without_secrets(text)), soft_wrap=True)


def notify_problem(kind: str, text: str, style: str) -> None:
    """Print a message on standard error after a coloured word such as "error"."""
    console.print(Text.assemble((f"{kind}:", style), f" {without_secrets(text)}"), soft_wrap=True)


def print_line(text: str = "") -> None:
    """Print a line on standard output, with what its encoding lacks escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def print_json(value: Any) -> None:
    """Print plain values, paths and figures as JSON on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
