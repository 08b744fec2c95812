"""The view of a project: a scene with its labels, reference and areas, and the maps of its results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crispmap.errors import CrispmapError, ProjectError
from crispmap.files.address import is_plain_file
from crispmap.labels.kept import KeptVectors
from crispmap.models.card import read_card
from crispmap.project.file import Project, ProjectScene, load_project
from crispmap.project.inputs import SceneInputs
from crispmap.project.run import COARSE, FINETUNED, REFINED, Products, SceneMaps, load_refiner
from crispmap.raster.scene import Scene
from crispmap.viewer.assembling import VECTORS, add_errors, in_order
from crispmap.viewer.found import entries_of, layers_of, look_at
from crispmap.viewer.growing import GrowingMaps
from crispmap.viewer.label_source import LabelPixels
from crispmap.viewer.layers import Layer, class_painter
from crispmap.viewer.moves import arrows_of, arrows_of_features, is_aligned
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.scene_image import computed_image, image_layer
from crispmap.viewer.steps import COARSEST, StepMaps, StepPixels
from crispmap.viewer.view import Arrow, Outline, View

if TYPE_CHECKING:
    from crispmap.inference.iterations import IterationMaps

_MAPS = {COARSE: "coarse map", FINETUNED: "fine-tuned map", REFINED: "refined map"}
_SHORT = {COARSE: "coarse", FINETUNED: "fine-tuned", REFINED: "refined"}
_ROLES = ("coarse", "refiner", "validation", "test")


@dataclass(frozen=True)
class UnderWay:
    """What a run is making while a project is viewed."""

    maps: GrowingMaps | None = None


def view_of_project(
    path: Path, *, scene: str | None = None, bands: Sequence[int] = (), under_way: UnderWay | None = None
) -> View:
    """Return the view of a scene of a project.

    Args:
        scene: The name of the scene; by default the one being mapped, the first that has a map, or the first.
        bands: The bands of its image to show.
        under_way: What a run is making meanwhile. Then maps that grow stand for their files, and what takes long to
            show is left out.

    Raises:
        ProjectError: If the project file cannot be used, or has no such scene.
        SceneError, LabelError: If its scene, labels or reference cannot be read.
    """
    project = load_project(path)
    growing = None if under_way is None else under_way.maps
    chosen = _chosen(project, scene, growing)
    return _Assembly(project, chosen, growing, is_live=under_way is not None).view(bands)


def _chosen(project: Project, name: str | None, growing: GrowingMaps | None) -> ProjectScene:
    if name is None:
        products = Products.of(project)
        folder = None if growing is None else growing.blocks.files.files[0].parent
        for one in project.scenes:
            if products.maps(project, one).folder.absolute() == folder:
                return one
        mapped = (one for one in project.scenes if products.maps(project, one).coarse_map.exists())
        return next(mapped, project.scenes[0])
    for one in project.scenes:
        if one.name == name:
            return one
    raise ProjectError(
        f"{project.path.name} has no scene {name!r}.",
        expected=f"one of {', '.join(one.name for one in project.scenes[:20])}", remedy="Give scene= with one of them.",
    )  # fmt: skip


class _Assembly:
    """What is known while the view of a project is put together."""

    def __init__(self, project: Project, scene: ProjectScene, growing: GrowingMaps | None, *, is_live: bool) -> None:
        self.project, self.scene, self.stack = project, scene, ExitStack()
        self.growing, self.is_live = growing, is_live
        self.inputs = SceneInputs(project, scene, self.stack, KeptVectors())
        self.maps: SceneMaps = Products.of(project).maps(project, scene)
        self.pyramid = Pyramid(self.inputs.file_grid)

    def view(self, bands: Sequence[int]) -> View:
        """Return the view."""
        many = len(self.project.scenes) > 1
        view = View(
            f"{self.project.name}: {self.scene.name}" if many else self.project.name, self.pyramid, inputs=self.stack
        )
        if many:
            others = len(self.project.scenes) - 1
            view.notes.append(f"Scene {self.scene.name} of {others + 1}; --scene shows another.")
        view.layers.append(self._image(view, bands))
        self._add_maps(view)
        reference = self._labels(view, "reference")
        if reference is not None:
            add_errors(view, reference)
            view.layers.append(reference)
        self._add_labels(view)
        if not self.is_live:
            self._add_steps(view)
        view.outlines += self._outlines(view)
        if any(layer.name == "labels" for layer in view.layers):  # else a note says why they cannot be read
            view.arrows += self._arrows()
        in_order(view)
        return view

    def _image(self, view: View, bands: Sequence[int]) -> Layer:
        image = image_layer if self.project.data_set is None else computed_image  # which knows how to decode
        return image(self.scene.ref, self.inputs.image, self.pyramid, view.new_id, bands)

    def _add_maps(self, view: View) -> None:
        """Add the maps and the scores that there are, and the maps that grow."""
        for kind, file in self.maps.files.items():
            grows = self.growing and self.growing.layer(file, _MAPS[kind], self.pyramid, view.new_id)
            if grows:
                view.layers.append(grows)
            elif file.exists():
                view.layers += layers_of(look_at(file), self.pyramid, _MAPS[kind], view.new_id)
        if self.growing is not None:  # scores are being written with them
            return
        for kind, file in self.maps.scores.items():
            if file.exists():
                view.layers += layers_of(look_at(file), self.pyramid, f"{_SHORT[kind]} scores", view.new_id)
        if not self.is_live and not any(file.exists() for file in self.maps.files.values()):
            models = [one for name, one in Products.of(self.project).models.items() if self._needs(name)]
            first = "" if all(one.exists() for one in models) else "crispmap train, then "
            view.notes.append(f"There is no map yet: {first}crispmap predict makes {'them' if first else 'it'}.")

    def _needs(self, model: str) -> bool:
        """Return whether maps of the project need a model."""
        wanted = {"finetuned": self.project.finetune is not None, "refiner": self.project.refines}
        return wanted.get(model, not self.project.scores_given)

    def _add_labels(self, view: View) -> None:
        if self.inputs.aligns_labels and self.is_live:  # the run itself is at it, and it takes long
            view.notes.append("Labels that are aligned are shown when the run has ended.")
            return
        names = ("labels before alignment", "labels") if self.inputs.aligns_labels else ("labels",)
        view.layers += filter(None, (self._labels(view, name) for name in names))

    def _add_steps(self, view: View) -> None:
        """Add the map after each iteration of the refiner, where it and all it reads are there."""
        products, working = Products.of(self.project), self.inputs.image.grid
        scores = self.maps.finetuned_scores if self.project.finetune is not None else self.maps.coarse_scores
        there = self.project.refines and scores.exists() and products.refiner_model.exists()
        if not there or not working.has_pixels_of(self.pyramid.grid) or self.project.gsd_m is not None:
            return
        count = read_card(products.refiner_model).arguments.get("iterations", 0)
        maps = StepMaps(lambda: _iterations(self.project, products, self.inputs.image, scores))
        classes = entries_of(self.project.schema)
        painter = class_painter({one.value: one.colour for one in classes})
        for step in range(count + 1) if count else ():
            layer = Layer(view.new_id(), f"step {step} of {count}", "classes", StepPixels(maps, step), painter,
                          (scores, products.refiner_model), classes, coarsest=COARSEST)  # fmt: skip
            view.layers.append(layer)
            view.steps.append(layer.id)

    def _arrows(self) -> list[Arrow]:
        """Return where labels came from that were aligned, by the project or before."""
        section = self.scene.labels
        if self.inputs.aligns_labels:
            return [] if self.is_live else arrows_of_features(self.inputs.moved, self.pyramid.grid)
        if section is None or Path(section.path).suffix.lower() not in VECTORS or not is_aligned(Path(section.path)):
            return []
        return arrows_of(Path(section.path), self.pyramid.grid)

    def _labels(self, view: View, name: str) -> Layer | None:
        """Return the labels or the reference as a layer; None without, and with a note where they cannot be read."""
        section = self.scene.reference if name == "reference" else self.scene.labels
        if section is None:
            return None
        as_given = partial(self.inputs.labels, as_given=True)
        opened = {"reference": self.inputs.reference, "labels": self.inputs.labels}.get(name, as_given)
        source = LabelPixels(opened, self.pyramid)
        top = self.pyramid.levels - 1
        block = self.pyramid.tile(top, 0, 0)
        try:
            if block is not None:
                source.read(top, block)
        except CrispmapError as error:
            view.notes.append(f"The {name} cannot be shown: {error.given}")
            return None
        classes = entries_of(self.project.schema)
        files = (section.path,) if is_plain_file(section.path) and Path(section.path).is_file() else ()
        painter = class_painter({one.value: one.colour for one in classes})
        return Layer(view.new_id(), name, "classes", source, painter, files, classes)

    def _outlines(self, view: View) -> list[Outline]:
        try:
            areas = self.inputs.areas_on(self.inputs.file_grid)
        except CrispmapError as error:
            view.notes.append(f"The areas cannot be shown: {error.given}")
            return []
        return [
            Outline(role, tuple(tuple((float(x), float(y)) for x, y in ring) for ring in area.rings))
            for role in _ROLES
            for area in areas.get(role, ())
        ]


def _iterations(project: Project, products: Products, image: Scene, scores: Path) -> IterationMaps:
    """Return the maps after each iteration of a project's refiner, from scores that lie on the disk."""
    from crispmap.inference.iterations import IterationMaps
    from crispmap.raster.scores import open_scores

    return IterationMaps(image, open_scores(scores, kind="logit"), load_refiner(products, project))
