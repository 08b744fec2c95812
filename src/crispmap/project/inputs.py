"""What a project names, opened: its scene, its labels, its reference, its areas and its coarse scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from crispmap.errors import LabelError, ProjectError
from crispmap.evaluate.readers import AreaUnion
from crispmap.geo.area_pieces import resolve_areas
from crispmap.geo.areas import Area, hold_out_strip
from crispmap.geo.grid import Block, Grid
from crispmap.inference.align import scores_on_scene
from crispmap.inference.coarse import gsd_ratio
from crispmap.labels.mask import is_vector_file, open_labels
from crispmap.labels.noise import LabelNoise, simulate_noise
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.labels.vectors import read_vectors
from crispmap.project.file import Project
from crispmap.project.file.sections import LabelSection, NoiseSection, ReferenceSection
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.raster.scores import open_scores
from crispmap.types import IGNORE, LabelArray

_READ_PX = 1024
"""Labels of large areas are read in blocks of so many pixels a side, to bound memory."""


class Sources:
    """A project's inputs on its working grid; made by ``open_sources``.

    Attributes:
        project: The project.
        image: The scene at the working ground sampling distance.
        file_grid: The grid of the scene's own file, whose pixels windows count.
    """

    def __init__(self, project: Project, stack: ExitStack) -> None:
        self.project = project
        self._stack = stack
        scene = project.scene
        native = stack.enter_context(open_scene(scene.path, bands=scene.bands, assume_gsd_m=scene.assume_gsd_m))
        self.file_grid = native.grid
        self.image: Scene = native
        if scene.gsd_m is not None:
            self.image = self.image_at(scene.gsd_m)

    def of(self, project: Project) -> Sources:
        """Return these inputs for a project that differs in how its models are trained, and in nothing else."""
        other = copy.copy(self)
        other.project = project
        return other

    @property
    def gsd_m(self) -> float:
        """The working ground sampling distance in metres: as given, or the scene's own."""
        return self.project.scene.gsd_m or self.image.grid.mean_gsd_m()

    def image_at(self, gsd_m: float) -> Scene:
        """Return the scene as a network of another ground sampling distance sees it."""
        ratio = gsd_ratio(self.image, gsd_m)
        return self.image if ratio == (1.0, 1.0) else ResampledScene(self.image, *ratio)

    def areas(self, grid: Grid) -> dict[str, list[Area]]:
        """Return the project's areas by role on a grid over the scene's ground."""
        return resolve_areas(self.project.areas, self.file_grid, grid)

    def pieces(self, role: str, grid: Grid, *, hold_out: bool = True) -> tuple[list[Area], list[Area]]:
        """Return the areas to learn from and those to validate on for the role "coarse" or "refiner".

        The validation areas are the project's own, or a strip held out of every area of the role; without
        ``hold_out`` there are none, and nothing is held out.

        Raises:
            ProjectError: If the project gives no area for the role.
        """
        areas = self.areas(grid)
        if not areas.get(role):
            raise ProjectError(
                f"{self.project.path.name} gives no area for {role!r}.",
                expected=f"a list of pieces under areas: {role}:",
                remedy=f"add for example areas: {{{role}: [{{window: [0, 0, 1024, 1024]}}]}}",
            )
        if not hold_out:
            return areas[role], []
        if areas.get("validation"):
            return areas[role], areas["validation"]
        parts = [hold_out_strip(area) for area in areas[role]]
        return [train for train, _ in parts], [held for _, held in parts]

    def labels(self, grid: Grid) -> LabelReader:
        """Return the imprecise labels on a grid, with the noise the project simulates.

        Raises:
            ProjectError: If the project names no labels.
            LabelError: If noise is asked for on a mask raster.
        """
        section = self.project.labels
        if section is None:
            raise ProjectError(
                f"{self.project.path.name} names no labels.",
                expected="labels: with the path of vectors or a mask to learn the coarse network from",
                remedy="add for example labels: {path: osm.gpkg}",
            )
        if section.noise is None:
            return self._opened(section.path, grid, _options(section))
        return self._noisy(section, section.noise, grid)

    def _noisy(self, section: LabelSection, noise: NoiseSection, grid: Grid) -> LabelReader:
        if not is_vector_file(section.path):
            raise LabelError(
                f"Noise is to be simulated on {section.path}, a raster.",
                expected="vectors, whose objects can be shifted and left out",
                remedy="name the vectors under labels: path:, or remove noise:",
            )
        schema = self.project.schema
        features = read_vectors(
            section.path,
            schema,
            grid=grid,
            layer=section.layer,
            assume_crs=section.assume_crs,
            all_as=section.all_as,
        )
        noisy = simulate_noise(features, LabelNoise(**dict(noise)), seed=self.project.seed)
        # A width that is part of the noise stands in the features already.
        width = section.road_width_m if noise.road_width_m is None else None
        return VectorLabels(noisy, grid, schema, road_width_m=width)

    def reference(self, grid: Grid) -> LabelReader:
        """Return the precise labels on a grid.

        Raises:
            ProjectError: If the project names no reference.
        """
        section = self.project.reference
        if section is None:
            raise ProjectError(
                f"{self.project.path.name} names no reference.",
                expected="reference: with the path of precise vectors or a precise mask",
                remedy="add for example reference: {path: precise.gpkg}",
            )
        return self._opened(section.path, grid, _options(section))

    def given_scores(self) -> Scene | None:
        """Return the coarse scores another tool gave, on the working grid, or None where a network is trained."""
        given = self.project.coarse.scores
        if given is None:
            return None
        scores = self._stack.enter_context(
            open_scores(
                given.path,
                kind=given.kind,
                class_names=self.project.schema.names,
                assume_gsd_m=self.project.scene.assume_gsd_m,
            )
        )
        return scores_on_scene(scores, self.image)

    def _opened(self, path: Path, grid: Grid, options: LabelOptions) -> LabelReader:
        reader = open_labels(path, self.project.schema, grid, options=options)
        self._stack.callback(reader.close)
        return reader


def _options(section: LabelSection | ReferenceSection) -> LabelOptions:
    """Return how a project wants its labels or its reference to be read."""
    return LabelOptions(
        layer=section.layer,
        assume_crs=section.assume_crs,
        all_as=section.all_as,
        road_width_m=section.road_width_m,
        unknown=section.unknown,
    )


@contextmanager
def open_sources(project: Project) -> Iterator[Sources]:
    """Open a project's scene, and close with it whatever was opened through it.

    Raises:
        SceneError: If the scene cannot be read.
        ProjectError: If its areas do not fit the scene.
    """
    with ExitStack() as stack:
        sources = Sources(project, stack)
        sources.areas(sources.image.grid)  # says at once where a piece is wrong, before an hour of training
        yield sources


def inside(labels: LabelReader, areas: Sequence[Area]) -> Callable[[Block], LabelArray]:
    """Return a reader of labels that knows nothing, IGNORE, outside the areas."""
    ground = AreaUnion(areas)

    def read(block: Block) -> LabelArray:
        return np.where(ground.mask(block), labels.read(block), np.uint8(IGNORE))

    return read


def labelled_blocks(labels: LabelReader, areas: Sequence[Area]) -> Iterator[tuple[Block, LabelArray]]:
    """Yield the blocks of some areas, none larger than memory holds, with class ids (row, col), IGNORE outside each."""
    for area in areas:
        read = inside(labels, [area])
        for block in area.block.pieces(_READ_PX):
            yield block, read(block)
