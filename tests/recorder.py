"""A listener that keeps what it receives, holds it to the contract, and calls back whenever more is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crispmap.events import Listener


@dataclass
class Recorded:
    """A task, as a listener saw it."""

    title: str
    total: int
    unit: str
    done: list[int] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    measured: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    finished: bool = False
    summary: str | None = None


class Recorder(Listener):
    def __init__(self, watch: Callable[[int], object] = lambda done: None) -> None:
        self._watch = watch
        self.tasks: list[Recorded] = []
        self.notes: list[str] = []

    @property
    def last(self) -> Recorded:
        return self.tasks[-1]

    def started(self, title: str, total: int, unit: str) -> None:
        assert all(task.finished for task in self.tasks), "tasks come one after the other"
        self.tasks.append(Recorded(title, total, unit))

    def advanced(self, done: int, **figures: float) -> None:
        task, before = self.last, max(self.last.done, default=0)
        assert not task.finished
        assert before <= done <= task.total
        task.done.append(done)
        task.figures |= figures
        if done > before:
            self._watch(done)

    def measured(self, at: int, **figures: float) -> None:
        assert not self.last.finished
        self.last.measured.append((at, figures))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finished(self, summary: str | None) -> None:
        assert not self.last.finished
        assert summary is None or self.last.done[-1] == self.last.total
        self.last.finished, self.last.summary = True, summary
