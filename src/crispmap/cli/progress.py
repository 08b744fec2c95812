"""Progress of all verbs: a bar on the terminal, or lines of JSON in a log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from crispmap.cli import console as shared
from crispmap.cli.options import duration
from crispmap.events import SILENT, Listener

_DRAWN_EVERY_S = 0.1
_LOGGED_EVERY_S = 1.0
_RATE_OVER = 50  # the rate is that of so many drawings, so that it follows a change
_LEAST_BAR = 6
_SPARE = 2
"""Columns left free at the end of the line: Ctrl-C is echoed there and must not begin another line."""
_LABELS = {"mean_iou": "mean IoU"}


def shown_progress() -> Listener:
    """Return the listener that shows progress as ``--quiet`` and ``--log-json`` say."""
    if shared.voice.quiet:
        return SILENT
    return LoggedProgress() if shared.voice.as_json else TerminalProgress()


class LoggedProgress(Listener):
    """Lines of JSON on standard error: a task's start, what is done, once a second at most, and its end."""

    def started(self, title: str, total: int, unit: str) -> None:
        """Log the start; see ``Listener``."""
        self._task: dict[str, str | int] = {"task": title, "total": total, "unit": unit}
        self._begun = self._logged = time.monotonic()
        shared.log("info", "started", **self._task)

    def advanced(self, done: int, **figures: float) -> None:
        """Log what is done, and figures such as the loss; see ``Listener``."""
        now = time.monotonic()
        if now - self._logged >= _LOGGED_EVERY_S:
            self._logged = now
            shared.log("info", "advanced", **self._task, done=done, figures=figures)

    def note(self, text: str) -> None:
        """Log what is going on; see ``Listener``."""
        shared.log("info", "message", message=text)

    def finished(self, summary: str | None) -> None:
        """Log the end, ``finished`` or ``failed``; see ``Listener``."""
        seconds = round(time.monotonic() - self._begun, 3)
        event = "failed" if summary is None else "finished"
        shared.log("info", event, **self._task, seconds=seconds, summary=summary or "")


class TerminalProgress(Listener):
    """A bar on standard error while a task lasts, and a line when it is done.

    Notes inside a task stand in the bar in place of its title; those between tasks are lines. Where standard error is
    no terminal, only these are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or shared.console
        self._running = False
        self._live: Live | None = None

    def started(self, title: str, total: int, unit: str) -> None:
        """Show the bar; see ``Listener``."""
        self._title, self._total, self._unit = title, total, unit
        self._done, self._note, self._running = 0, "", True
        self._figures: dict[str, float] = {}
        self._samples: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER)
        self._begun = time.monotonic()
        if self._console.file.isatty():
            # Drawn only when something changes: no thread draws in between, also not in a forked training process.
            self._live = Live(
                get_renderable=self._bar, console=self._console, auto_refresh=False, transient=True,
                redirect_stdout=False,
            )  # fmt: skip
            self._live.start(refresh=True)

    def advanced(self, done: int, **figures: float) -> None:
        """Draw what is done, at most ten times a second; see ``Listener``."""
        self._done, self._note = done, ""
        self._figures |= figures
        now = time.monotonic()
        if self._live and (not self._samples or now - self._samples[-1][0] >= _DRAWN_EVERY_S or done == self._total):
            self._samples.append((now, done))
            self._live.refresh()

    def note(self, text: str) -> None:
        """Show what is going on; see ``Listener``."""
        if not self._running:
            self._console.print(Text(shared.harmless(text)), soft_wrap=True)
        self._note = text
        if self._live:
            self._live.refresh()

    def finished(self, summary: str | None) -> None:
        """Leave a line in place of the bar, or nothing after a failure; see ``Listener``."""
        live, self._live, self._running = self._live, None, False
        if live is None:
            return
        live.stop()
        if summary is not None:
            millions = self._unit == "pixels" and self._total >= 1e6
            amount = f"{self._total / 1e6:.1f} million" if millions else f"{self._total:,}"
            parts = [f"{amount} {self._unit}", duration(time.monotonic() - self._begun), summary]
            self._console.print(Text(f"{self._title}: {', '.join(filter(None, parts))}"), soft_wrap=True)

    def _bar(self) -> Table:
        """Return the line as wide as the terminal, without the facts that do not fit."""
        width = self._console.width - _SPARE
        title, facts = self._note or self._title, dict(self._facts())
        figures = list(self._figures)
        dropped = iter((*figures[:-1], "rate", *figures[-1:], "left", "count"))
        while (room := width - sum(cell_len(text) + 2 for text in (title, *facts.values()))) < _LEAST_BAR and facts:
            facts.pop(next(dropped), None)
        if room < _LEAST_BAR:
            title, room = set_cell_size(title, max(width - _LEAST_BAR - 2, 0)), _LEAST_BAR
        line = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(max(self._total, 1), self._done, width=room)
        line.add_row(Text(title, no_wrap=True), bar, *(Text(text, no_wrap=True) for text in facts.values()))
        return line

    def _facts(self) -> Iterator[tuple[str, str]]:
        scale, digits, unit = 1, 0, self._unit
        if unit == "pixels" and self._total >= 1e6:
            scale, digits, unit = 1_000_000, 1, "Mpx"
        yield "count", f"{self._done / scale:,.{digits}f}/{self._total / scale:,.{digits}f} {unit}"
        rate = self._rate()
        if rate > 0:
            per_second = rate / scale
            yield "rate", f"{per_second:,.{0 if per_second >= 10 else 1 if per_second >= 1 else 2}f}/s"
        for name, value in self._figures.items():
            yield name, f"{_LABELS.get(name, name)} {value:.3f}"
        if rate > 0:
            yield "left", f"{_clock((self._total - self._done) / rate)} left"

    def _rate(self) -> float:
        """Return units a second, 0 while unknown."""
        if not self._samples:
            return 0.0
        (since, before), (now, done) = self._samples[0], self._samples[-1]
        return (done - before) / (now - since) if now > since else 0.0


def _clock(seconds: float) -> str:
    """Return a time as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
