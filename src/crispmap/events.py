"""Progress of long work: the library reports it, and a listener shows it, on a terminal, in a notebook, on a page.

with progress(events, "map", total=4_000_000, unit="pixels") as running:
for block in blocks:
...
running.advance(block.height * block.width)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class FilesUnderWay:
    """Rasters that are written block by block on one grid, and where finished blocks lie until all are there."""

    files: tuple[Path, ...]
    classes: tuple[str | None, ...]  # of each file the class schema as JSON; None where it is no class map
    folder: Path  # of the finished blocks: a folder ``r<row>_c<col>`` for each, with a file ``<number>.tif`` a raster
    block_px: int
    shape: tuple[int, int]  # (height, width) in pixels
    transform: tuple[float, ...]  # the six numbers of an affine transform, in the CRS of the scene


class Listener:
    """Follows tasks, one after the other. This one ignores them; others override what they need.

    A task is ``started``, then ``advanced`` to figures of ``done`` that never fall, then ``finished`` exactly once:
    after ``done`` has reached the total, or with None where it failed or was interrupted. Calls are frequent: what
    takes long, such as drawing, is for the listener to throttle.
    """

    def started(self, title: str, total: int, unit: str) -> None:
        """Begin a task of ``total`` units, such as pixels or steps."""

    def advanced(self, done: int, **figures: float) -> None:
        """Take in what is done in all, and figures such as the loss.

        The first call may hold what an earlier run had done: rates count from there.
        """

    def measured(self, at: int, **figures: float) -> None:
        """Take in what was measured when ``at`` units were done, such as loss and validation scores of a training.

        A task that is resumed tells first what an earlier run had measured.
        """

    def writing(self, files: FilesUnderWay) -> None:
        """Take in that files are being written, inside a task, until it is finished or others are."""

    def note(self, text: str) -> None:
        """Take in what is going on: inside a task until it advances, or between tasks."""

    def finished(self, summary: str | None) -> None:
        """End the task; ``summary`` is what it came to, or empty, and None where it failed."""


class Listeners(Listener):
    """Several listeners that follow the same tasks."""

    def __init__(self, *listeners: Listener) -> None:
        self._all = listeners

    def started(self, title: str, total: int, unit: str) -> None:
        """Begin a task; see ``Listener``."""
        for one in self._all:
            one.started(title, total, unit)

    def advanced(self, done: int, **figures: float) -> None:
        """Take in what is done; see ``Listener``."""
        for one in self._all:
            one.advanced(done, **figures)

    def measured(self, at: int, **figures: float) -> None:
        """Take in what was measured; see ``Listener``."""
        for one in self._all:
            one.measured(at, **figures)

    def writing(self, files: FilesUnderWay) -> None:
        """Take in what is being written; see ``Listener``."""
        for one in self._all:
            one.writing(files)

    def note(self, text: str) -> None:
        """Take in what is going on; see ``Listener``."""
        for one in self._all:
            one.note(text)

    def finished(self, summary: str | None) -> None:
        """End the task; see ``Listener``."""
        for one in self._all:
            one.finished(summary)


class Progress:
    """A task under way; parts of it may be worked on by several threads.

    Attributes:
        done: Units done so far.
        summary: What the task came to, for its last line.
    """

    def __init__(self, listener: Listener, total: int) -> None:
        self._listener, self._total = listener, total
        self._lock = threading.Lock()
        self.done, self.summary = 0, ""

    def advance(self, units: int, **figures: float) -> None:
        """Report that so many units more are done."""
        with self._lock:
            self.done = min(self.done + max(units, 0), self._total)
            self._listener.advanced(self.done, **figures)

    def measure(self, at: int, **figures: float) -> None:
        """Report what was measured when so many units were done."""
        with self._lock:
            self._listener.measured(at, **figures)

    def write(self, files: FilesUnderWay) -> None:
        """Report that files are being written."""
        with self._lock:
            self._listener.writing(files)

    def note(self, text: str) -> None:
        """Report what is going on until more is done."""
        with self._lock:
            self._listener.note(text)


class _Part(Progress):
    """A task that is part of a larger one, which counts its units as its own."""

    def __init__(self, whole: Progress, total: int) -> None:
        super().__init__(SILENT, total)
        self._whole = whole

    def advance(self, units: int, **figures: float) -> None:
        """Report that so many units more are done."""
        before = self.done
        super().advance(units)
        self._whole.advance(self.done - before, **figures)

    def write(self, files: FilesUnderWay) -> None:
        """Report that files are being written."""
        self._whole.write(files)

    def note(self, text: str) -> None:
        """Report what is going on until more is done."""
        self._whole.note(text)


@contextmanager
def resumable(how: str) -> Iterator[None]:
    """Add to an interruption of the work inside, such as Ctrl-C, what is kept and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        stop.add_note(how)
        raise


Events: TypeAlias = Listener | Progress
"""What work reports to: a listener or, where it is part of a larger task, that task."""

SILENT = Listener()
"""Shows nothing; the default everywhere."""


@contextmanager
def progress(events: Events, title: str, total: int, unit: str = "pixels", done: int = 0) -> Iterator[Progress]:
    """Report a task while the context lasts.

    Args:
        events: What to report to. A task under way counts the units of this one as its own.
        title: What is done, such as "refiner".
        total: Units in all.
        unit: What is counted.
        done: Units that an earlier run had done.
    """
    if isinstance(events, Progress):
        part = _Part(events, total)
        part.advance(done)
        yield part
        part.advance(total - part.done)
        return
    running = Progress(events, total)
    try:
        events.started(title, total, unit)  # inside: Ctrl-C may come while the listener begins to draw
        running.advance(done)
        yield running
        if running.done < total:  # what needed less than expected is done all the same
            running.advance(total)
    except BaseException:
        events.finished(None)
        raise
    events.finished(running.summary)
