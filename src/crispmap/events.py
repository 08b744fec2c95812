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
from typing import TypeAlias


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

    def note(self, text: str) -> None:
        """Take in what is going on: inside a task until it advances, or between tasks."""

    def finished(self, summary: str | None) -> None:
        """End the task; ``summary`` is what it came to, or empty, and None where it failed."""


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
