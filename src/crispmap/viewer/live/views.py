"""The views of a run under way: what it works on, what it has finished, and in the end all it has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affine import Affine

from crispmap.geo.grid import Grid
from crispmap.raster.files import open_scene
from crispmap.raster.refs import SceneRef
from crispmap.raster.resolve import resolve_scenes
from crispmap.viewer.assembling import add_rasters, in_order, name_of
from crispmap.viewer.found import look_at
from crispmap.viewer.growing import GrowingMaps
from crispmap.viewer.project_view import UnderWay, view_of_project
from crispmap.viewer.pyramid import TILE_PX, Pyramid
from crispmap.viewer.scene_image import image_layer
from crispmap.viewer.view import View


@dataclass(frozen=True)
class Subject:
    """What a run works on: a project, or scenes as they were given on the command line."""

    project: str | None = None
    scenes: tuple[str, ...] = ()
    choices: dict[str, Any] | None = None  # how scenes are read

    def view(self, growing: GrowingMaps | None, *, is_over: bool) -> View:
        """Return the view of it with the maps that grow; once the run is over, of the files it has written."""
        if self.project is None:
            return _view_of_scenes(resolve_scenes(self.scenes, **(self.choices or {})), growing, is_over=is_over)
        path = Path(self.project)
        if not is_over:
            return view_of_project(path, under_way=UnderWay(growing))
        return view_of_project(path)


def without_anything(title: str, problem: str) -> View:
    """Return a view that shows nothing but why; progress is shown beside it all the same."""
    return View(title, Pyramid(Grid(None, Affine.identity(), (TILE_PX, TILE_PX))), notes=[problem])


def _view_of_scenes(refs: Sequence[SceneRef], growing: GrowingMaps | None, *, is_over: bool) -> View:
    ref = _mapped(refs, growing)
    scene = open_scene(ref)
    view = View(ref.name, Pyramid(scene.grid))
    view.inputs.callback(scene.close)
    view.layers.append(image_layer(ref, scene, view.pyramid, view.new_id))
    if len(refs) > 1:
        view.notes.append(f"Scene {ref.name} of {len(refs)}.")
    if growing is not None and is_over:
        made = [path for path in growing.blocks.files.files if path.is_file()]
        add_rasters(view, [look_at(path) for path in made], strict=False)
    elif growing is not None:
        layers = (growing.layer(path, name_of(path), view.pyramid, view.new_id) for path in growing.files)
        view.layers += filter(None, layers)
    in_order(view)
    return view


def _mapped(refs: Sequence[SceneRef], growing: GrowingMaps | None) -> SceneRef:
    """Return the scene whose maps grow: of several, maps are named after their scenes."""
    name = None if growing is None else growing.blocks.files.files[0].stem
    return next((one for one in refs if one.name == name), refs[0])
