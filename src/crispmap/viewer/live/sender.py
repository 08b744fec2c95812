"""The events of a run, written as lines of JSON to the process that shows them; nothing here can stop the run."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from dataclasses import asdict
from typing import Any

from crispmap.errors import without_secrets
from crispmap.events import FilesUnderWay, Listener

_A_SECOND, _AT_MOST = 5.0, 20.0  # how often it is told what is done; the most that may come at once after a rest
_AT_ONCE = 65536
_MOST_WAITING = 8 * 2**20  # bytes for a process that does not read


class LiveSender(Listener):
    """Writes events to a pipe without ever waiting for who reads it; where nobody does any more, it says nothing."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe
        self._waiting = bytearray()
        self._lock = threading.Lock()
        self._allowed, self._asked = _AT_MOST, time.monotonic()
        if hasattr(os, "set_blocking"):
            os.set_blocking(pipe, False)
        self._send("begun")

    def started(self, title: str, total: int, unit: str) -> None:
        """Send the start; see ``Listener``."""
        self._total = total
        self._send("started", title=title, total=total, unit=unit)

    def advanced(self, done: int, **figures: float) -> None:
        """Send what is done, a few times a second; see ``Listener``."""
        now = time.monotonic()
        self._allowed = min(_AT_MOST, self._allowed + _A_SECOND * (now - self._asked))
        self._asked = now
        if self._allowed >= 1 or done == self._total:
            self._allowed -= 1
            self._send("advanced", done=done)

    def measured(self, at: int, **figures: float) -> None:
        """Send figures; those that are no finite number are left out. See ``Listener``."""
        self._send("measured", at=at, figures={name: one for name, one in figures.items() if math.isfinite(one)})

    def writing(self, files: FilesUnderWay) -> None:
        """Send what is being written; see ``Listener``."""
        plain = asdict(files)
        plain |= {"files": [str(one) for one in files.files], "folder": str(files.folder)}
        self._send("writing", files=plain)

    def note(self, text: str) -> None:
        """Send a note; see ``Listener``."""
        self._send("note", text=without_secrets(text))

    def finished(self, summary: str | None) -> None:
        """Send the end of a task; see ``Listener``."""
        self._send("finished", summary=summary)

    def ended(self, how: str, text: str) -> None:
        """Send the end of the run: "done", "failed" or "interrupted", and what it came to."""
        self._send("ended", how=how, text=without_secrets(text))

    def _send(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, "time": time.time(), **facts}).encode() + b"\n"
        with self._lock:
            self._waiting += line
            while self._pipe is not None and self._waiting:
                try:
                    del self._waiting[: os.write(self._pipe, bytes(self._waiting[:_AT_ONCE]))]
                except BlockingIOError:  # full: with the next event
                    break
                except OSError:  # nobody reads any more
                    self._pipe = None
            if self._pipe is None or len(self._waiting) > _MOST_WAITING:
                self._pipe, self._waiting = None, bytearray()
