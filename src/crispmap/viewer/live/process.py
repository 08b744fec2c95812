"""The process that shows a run under way: ``python -m crispmap.viewer.live.process``, started beside the run.

It reads a line of JSON that says what to show, then an event a line, until the run closes the pipe; it writes one line
with the address of the page. It is a process of its own so that nothing that happens to it or to a page reaches the
run, which neither waits for it nor shares its interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from crispmap.errors import CrispmapError, InputError
from crispmap.events import FilesUnderWay
from crispmap.viewer.live.answers import LiveAnswers
from crispmap.viewer.live.state import LiveRun
from crispmap.viewer.opening import FAREWELL_S, PATIENCE_S, open_page
from crispmap.viewer.server import ViewServer

if TYPE_CHECKING:
    from crispmap.viewer.view import View

_STEP_S = 0.2
_NEW_VIEW_AFTER_S = 5.0  # of many small scenes not each is shown
_FIRST_SIGN_S = 20.0  # within which a browser that was opened asks for the page
_LAST_WORD_S = 5.0  # within which an open page asks how the run ended
_VIEWS_KEPT = 2
_NICE = 10  # the run comes first


def main() -> None:
    """Serve the page of the run that standard input tells of."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    source = sys.stdin.buffer
    given = json.loads(source.readline())
    run = LiveRun(given["title"])
    answers = LiveAnswers(run)
    server, note = _server(answers, given["port"])
    print(json.dumps({"url": server.url, "note": note}), flush=True)  # noqa: T201 - to the run
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    followed = _Followed(run, answers, server, given["subject"])
    if given["browser"]:
        followed.open_page()
    threading.Thread(target=_read, args=(source, followed), daemon=True).start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _STEP_S}, daemon=True).start()
    try:
        followed.until_over()
    finally:
        server.shutdown()
        server.server_close()


def _server(answers: LiveAnswers, port: int) -> tuple[ViewServer, str]:
    """Return the server on a port, or on a free one where that is taken, with a note that says so."""
    try:
        return ViewServer(answers, port), ""
    except InputError as error:
        return ViewServer(answers), f"{error.given} The page has another."


def _read(source: BinaryIO, followed: _Followed) -> None:
    """Take in events until the run closes the pipe, which a killed one does too."""
    for line in source:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "writing":
            event["files"] = _files_of(event["files"])
        followed.run.take(event)
    followed.run.lose()
    followed.is_cut = True


def _files_of(plain: dict[str, Any]) -> FilesUnderWay:
    return FilesUnderWay(
        tuple(map(Path, plain["files"])), tuple(plain["classes"]), Path(plain["folder"]), plain["block_px"],
        (plain["shape"][0], plain["shape"][1]), tuple(plain["transform"]),
    )  # fmt: skip


class _Followed:
    """The run, and the view that is shown of it."""

    def __init__(self, run: LiveRun, answers: LiveAnswers, server: ViewServer, subject: dict[str, Any]) -> None:
        self.run, self._answers, self._server, self._subject = run, answers, server, subject
        self.is_cut = False  # the run has closed the pipe
        self._shown: FilesUnderWay | None = None
        self._views: deque[View] = deque()
        self._number = 0
        self._changed = time.monotonic()
        self._opened_until = 0.0

    def open_page(self) -> None:
        """Open the page where there is a screen."""
        self._opened_until = time.monotonic() + _FIRST_SIGN_S
        threading.Thread(target=open_page, args=(self._server.url,), daemon=True).start()

    def until_over(self) -> None:
        """Show what the run makes until it has ended and nobody looks any more."""
        self._show(is_over=False)
        while self.run.ending is None:
            files = self.run.files
            if files is not self._shown and self._may_change():
                self._show(is_over=False)
            time.sleep(_STEP_S)
        if self.run.ending == "done":  # else what is finished stays as it is
            self._show(is_over=True)
        self._changed = time.monotonic()
        self._wait_for_pages()

    def _may_change(self) -> bool:
        return self._number == 1 or time.monotonic() - self._changed > _NEW_VIEW_AFTER_S

    def _show(self, *, is_over: bool) -> None:
        """Put together the view of what is under way, and show it."""
        # Here, not above: the address is there before these are read, which takes seconds.
        from crispmap.viewer.answers import Answers
        from crispmap.viewer.growing import GrowingMaps
        from crispmap.viewer.live.views import Subject, without_anything

        files = self.run.files
        growing = None if files is None else GrowingMaps(files)
        try:
            view = Subject(**self._subject).view(growing, is_over=is_over)
        except (CrispmapError, OSError) as error:  # files are written meanwhile
            why = error.given if isinstance(error, CrispmapError) else str(error)
            view = without_anything(self.run.title, f"The map cannot be shown: {why}")
        self._number += 1
        self._shown, self._changed = files, time.monotonic()
        view.live = self._number
        self._views.append(view)
        if len(self._views) > _VIEWS_KEPT:  # pages have asked for the newer ones by now
            self._views.popleft().close()
        self._answers.show(Answers(view), None if is_over else growing, self._number, is_last=is_over)

    def _wait_for_pages(self) -> None:
        """Return when no page is open any more, as the viewer always does; soon where the run is gone."""
        presence = self._server.presence
        while not presence.is_over(PATIENCE_S, FAREWELL_S):
            if not presence.was_seen and time.monotonic() > self._opened_until:
                return
            if self.is_cut and time.monotonic() - self._changed > _LAST_WORD_S:
                return
            time.sleep(_STEP_S)


if __name__ == "__main__":
    main()
