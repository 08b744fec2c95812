"""What is known of a run under way, from the events that it reports."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from crispmap.events import FilesUnderWay

_RATE_OVER_S = 30.0  # the rate is that of so long, so that it follows a change
_MOST_POINTS = 300  # of a curve, sent to a page
_MOST_NOTES = 20
_SCORES = {"val_mean_iou": "mean IoU", "val_accuracy": "accuracy"}

Ending = Literal["done", "failed", "interrupted"]


@dataclass
class Task:
    """A task of the run, under way or ended."""

    title: str
    total: int
    unit: str
    begun: float  # seconds of the clock of the run
    done: int = 0
    seconds: float = 0.0
    ended: Literal["done", "failed"] | None = None
    summary: str = ""
    measured: dict[str, list[tuple[int, float]]] = field(default_factory=dict)  # by name, points (at, value)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def advance(self, done: int, now: float) -> None:
        """Note what is done in all."""
        self.done, self.seconds = done, now - self.begun
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[0][0] > _RATE_OVER_S:
            self._samples.popleft()

    def rate(self) -> float:
        """Return units a second; 0 while it is not known."""
        if len(self._samples) < 2 or self.ended is not None:
            return 0.0
        (since, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - since) if now > since else 0.0

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "title": self.title, "total": self.total, "unit": self.unit, "done": self.done, "rate": self.rate(),
            "seconds": self.seconds, "ended": self.ended, "summary": self.summary,
        }  # fmt: skip

    def curves(self) -> list[dict[str, Any]]:
        """Return the loss and the validation scores."""
        return [
            {"name": _SCORES.get(name, name), "points": thinned(points)}
            for name, points in self.measured.items()
            if name == "loss" or name in _SCORES
        ]


class LiveRun:
    """The tasks, notes and end of a run; one thread reports, others ask."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.files: FilesUnderWay | None = None
        self.ending: Ending | None = None
        self._text, self._note, self._begun, self._now = "", "", 0.0, 0.0
        self._tasks: list[Task] = []
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._revision = 0
        self._lock = threading.Lock()

    def take(self, event: dict[str, Any]) -> None:
        """Take in an event as ``LiveSender`` writes it; those of other kinds are left alone."""
        take = _TAKEN.get(event.get("event", ""))
        if take is None:
            return
        with self._lock:
            self._now = float(event.get("time", self._now))
            self._begun = self._begun or self._now
            take(self, event)

    def lose(self) -> None:
        """Note that nothing more is heard of the run: it was killed, where it did not say that it ended."""
        with self._lock:
            self.ending = self.ending or "interrupted"

    def _begin(self, event: dict[str, Any]) -> None:
        """The time of the event is all it says."""

    def _started(self, event: dict[str, Any]) -> None:
        self._note = ""
        self._tasks.append(Task(event["title"], event["total"], event["unit"], self._now))

    def _advanced(self, event: dict[str, Any]) -> None:
        self._note = ""
        if self._tasks:
            self._tasks[-1].advance(event["done"], self._now)

    def _measured(self, event: dict[str, Any]) -> None:
        if self._tasks:
            self._revision += 1
            for name, value in event["figures"].items():
                self._tasks[-1].measured.setdefault(name, []).append((event["at"], value))

    def _writing(self, event: dict[str, Any]) -> None:
        self.files = event["files"]

    def _noted(self, event: dict[str, Any]) -> None:
        self._note = event["text"]
        if not self._tasks or self._tasks[-1].ended is not None:
            self._notes.append(event["text"])

    def _finished(self, event: dict[str, Any]) -> None:
        self._note = ""
        if self._tasks:
            task = self._tasks[-1]
            task.ended = "failed" if event["summary"] is None else "done"
            task.summary, task.seconds = event["summary"] or "", self._now - task.begun

    def _ended(self, event: dict[str, Any]) -> None:
        self.ending, self._text = event["how"], event["text"]

    def facts(self, revision: int) -> dict[str, Any]:
        """Return it as plain values; curves only where they have another revision."""
        with self._lock:
            curves = None
            if revision != self._revision:
                curves = [{"title": one.title, "total": one.total, "curves": one.curves()} for one in self._tasks]
            return {
                "title": self.title, "ending": self.ending, "text": self._text, "note": self._note,
                "seconds": self._now - self._begun, "tasks": [one.facts() for one in self._tasks],
                "notes": list(self._notes), "revision": self._revision, "curves": curves,
            }  # fmt: skip


_TAKEN = {
    "begun": LiveRun._begin, "started": LiveRun._started, "advanced": LiveRun._advanced, "measured": LiveRun._measured,
    "writing": LiveRun._writing, "note": LiveRun._noted, "finished": LiveRun._finished, "ended": LiveRun._ended,
}  # fmt: skip


def thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most about 300 of the points of a curve, the last among them, each one that was measured."""
    step = -(-len(points) // _MOST_POINTS)
    return points[(len(points) - 1) % step :: step] if points else []
