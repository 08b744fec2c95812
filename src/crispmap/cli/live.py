"""The option ``--view`` of verbs that take long: a page in the browser that follows them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from crispmap.cli.console import notify, notify_problem, print_line
from crispmap.cli.progress import shown_progress
from crispmap.events import Listener


@dataclass(frozen=True)
class ViewFlags:
    """Whether a page follows the run."""

    view: Annotated[
        bool, typer.Option("--view", help="Show progress, curves and finished tiles on a page in the browser.")
    ] = False
    view_port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="PORT", help="The port of this machine to serve that page on; 0: any."),
    ] = 0
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open that page in a browser.")] = False


@contextmanager
def shown_live(flags: ViewFlags, title: str, **subject: Any) -> Iterator[Listener]:
    """Give the listener that shows the progress of a verb, on a page too where it is asked for.

    Afterwards, where all went well, the page is served until it is closed, or Ctrl-C. The work is the same with and
    without it.

    Args:
        title: What is done, such as "train".
        subject: What the page shows; see ``crispmap.viewer.live.views.Subject``.
    """
    if not flags.view:
        yield shown_progress()
        return
    from crispmap.viewer.live.start import LiveOptions, LivePage, followed

    page = LivePage.start(LiveOptions(title, subject, flags.view_port, browser=not flags.no_open))
    if page is None:
        notify_problem("warning", "The page cannot be served; the work goes on without it.", "bold yellow")
    else:
        print_line(page.url)
        sys.stdout.flush()  # who reads it from a pipe wants it now
        notify(" ".join(filter(None, [page.note, "Served to this machine alone."])))
    with followed(page, shown_progress()) as events:
        yield events
    if page is not None and page.is_open():
        notify("The page stays until it is closed. Ctrl-C ends it too.")
        page.wait()
