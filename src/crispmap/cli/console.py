"""What a person sees: messages and progress on standard error, figures as JSON on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True, highlight=False)
"""Standard error; colours where that is a terminal."""


class _RateColumn(ProgressColumn):
    """How much is done a second."""

    def __init__(self, unit: str, scale: float) -> None:
        super().__init__()
        self._unit, self._scale = unit, scale

    def render(self, task: Task) -> Text:
        """Return the rate, or nothing while it is unknown."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / self._scale:.2f} {self._unit}/s")


class Bar:
    """A bar while it is shown; made by ``progress_bar``."""

    def __init__(self, progress: Progress, task: TaskID, label: str) -> None:
        self._progress, self._task, self._label = progress, task, label

    def __call__(self, done: int, total: int) -> None:
        """Show what is done and what there is in all, which may change, in what is counted."""
        self._progress.update(self._task, completed=done, total=total, description=self._label)

    def now(self, text: str) -> None:
        """Show what is going on now that is not counted, until more is done of what is."""
        self._progress.update(self._task, description=text)


@contextmanager
def progress_bar(label: str, *, unit: str = "Mpx", scale: float = 1e6) -> Iterator[Bar]:
    """Show a bar with rate and time left while the context lasts; nothing where standard error is no terminal.

    Args:
        label: What is going on.
        unit: The unit rates are told in.
        scale: How many of what is counted make one unit.

    Yields:
        The bar, to call with what is done.
    """
    text = TextColumn("{task.description}", markup=False)  # labels hold names of files
    columns = (text, BarColumn(), _RateColumn(unit, scale), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield Bar(progress, progress.add_task(label, total=None), label)


def notify(text: str) -> None:
    """Print a line on standard error, as it is."""
    console.print(Text(text), soft_wrap=True)


def notify_problem(kind: str, text: str, style: str) -> None:
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
