"""What a person sees: messages and progress on standard error, figures as JSON on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True, highlight=False)
"""Standard error; colours where that is a terminal."""

Advance = Callable[[int, int], None]
"""Told how much is done and how much there is in all."""


class _RateColumn(ProgressColumn):
    """How much is done a second."""

    def __init__(self, unit: str, scale: float) -> None:
        super().__init__()
        self._unit, self._scale = unit, scale

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing while it is unknown."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / self._scale:.2f} {self._unit}/s")


@contextmanager
def progress_bar(label: str, *, unit: str = "Mpx", scale: float = 1e6) -> Iterator[Advance]:
    """Show a bar with rate and time left while the context lasts; nothing where standard error is no terminal.

    Args:
        label: What is going on.
        unit: The unit rates are told in.
        scale: How many of what is counted make one unit.

    Yields:
        A function to call with what is done and what there is in all, in what is counted; the latter may change.
    """
    columns = (TextColumn(label), BarColumn(), _RateColumn(unit, scale), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(label, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance


def tell(text: str) -> None:
    """Print a line on standard error, as it is."""
    console.print(Text(text), soft_wrap=True)


def tell_of_problem(kind: str, text: str, style: str) -> None:
    """Print a message on standard error after a coloured word such as "error"."""
    console.print(Text.assemble((f"{kind}:", style), f" {text}"), soft_wrap=True)


def print_line(text: str = "") -> None:
    """Print a line on standard output, with what its encoding lacks escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def print_json(value: Any) -> None:
    """Print plain values, paths and figures as JSON on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
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
