"""A view opened, served and shown in a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import InputError
from crispmap.events import SILENT, Events
from crispmap.viewer.answers import Answers
from crispmap.viewer.assembling import is_project, view_of_rasters
from crispmap.viewer.base_map import BaseMap
from crispmap.viewer.opening import FAREWELL_S, PATIENCE_S, open_page
from crispmap.viewer.server import ViewServer, wait_until_over
from crispmap.viewer.view import View


@dataclass(frozen=True)
class ViewOptions:
    """How a view is put together."""

    scene: str | None = None  # of a project of several
    bands: tuple[int, ...] = ()  # of images, to show
    reference: Path | None = None  # that maps are held against; a project names its own
    base_map: BaseMap | None = None  # of streets, from a server elsewhere


def assemble(paths: Sequence[Path], options: ViewOptions = ViewOptions()) -> View:
    """Return the view of rasters, of the folder of a run, or of a project.

    Raises:
        InputError: If what is given does not go together.
        SceneError, GridError, ProjectError, LabelError: If a file cannot be used.
    """
    view = _assembled(paths, options)
    if options.base_map is not None and view.pyramid.grid.crs is None:
        view.notes.append("There is no base map: nothing shown has a coordinate system.")
    else:
        view.base_map = options.base_map
    return view


def _assembled(paths: Sequence[Path], options: ViewOptions) -> View:
    if len(paths) == 1 and is_project(paths[0]):
        from crispmap.viewer.project_view import view_of_project  # which reads all a project may name

        if options.reference is not None:
            raise InputError(
                "A reference is given beside a project.", expected="rasters with reference=, or a project, "
                "which names its own", remedy="leave out reference=",
            )  # fmt: skip
        return view_of_project(paths[0], scene=options.scene, bands=options.bands)
    if options.scene is not None:
        raise InputError(f"The scene {options.scene!r} is chosen, and no project is given.",
                         expected="a project file or its folder", remedy="leave out scene=")  # fmt: skip
    projects = [path for path in paths if is_project(path)]
    if projects:
        raise InputError(f"{projects[0]} is a project, and {len(paths)} things are given.",
                         expected="one project, or rasters", remedy="View them one after the other.")  # fmt: skip
    return view_of_rasters(paths, bands=options.bands, reference=options.reference)


def show(view: View, announce: Callable[[str], None], *, port: int = 0, browser: bool = True,
         events: Events = SILENT) -> None:  # fmt: skip
    """Serve a view until its page has been closed for a while, or Ctrl-C.

    Args:
        announce: Is told the address of the page once it can be opened.
        port: To listen on; 0 for any that is free.
        browser: Whether to open the page in one.

    Raises:
        InputError: If the port is taken.
    """
    server = ViewServer(Answers(view), port, outside=None if view.base_map is None else view.base_map.origin)
    try:
        for note in view.notes:
            events.note(note)
        announce(server.url)
        if browser:
            threading.Thread(target=_open, args=(server.url, events), daemon=True).start()
        wait_until_over(server, PATIENCE_S, FAREWELL_S)
    finally:
        view.close()


def _open(url: str, events: Events) -> None:
    if not open_page(url):
        events.note("No browser was found: open the address in one of this machine.")
