"""The inputs of a project, opened: its scenes with their labels, references, areas and coarse scores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property

from geopandas import GeoDataFrame

from crispmap.classes import ClassSchema
from crispmap.data.training_data import Piece, Role
from crispmap.errors import LabelError, ProjectError, SceneError
from crispmap.events import SILENT, Events
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.apart import check_apart_on_ground
from crispmap.geo.area_pieces import resolve_areas
from crispmap.geo.areas import Area
from crispmap.geo.grid import Grid
from crispmap.inference.align import scores_on_scene
from crispmap.inference.coarse import gsd_ratio
from crispmap.labels.align.features import aligned_features
from crispmap.labels.align.files import COLUMNS
from crispmap.labels.align.objects import AlignRules
from crispmap.labels.coded import CodedMask
from crispmap.labels.kept import KeptVectors
from crispmap.labels.mask import is_vector_file, open_labels
from crispmap.labels.noise import LabelNoise, simulate_noise
from crispmap.labels.one_class import OneClass
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.project.file import Project, ProjectScene
from crispmap.project.file.sections import LabelSection, ReferenceSection
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.raster.scores import ScoreScene, open_scores

MOST_LOADED_PX = 100_000_000
"""Pixels of a role of a data set above which it is read on demand; this changes which patches are drawn."""


def label_options(section: LabelSection | ReferenceSection) -> LabelOptions:
    """Return how the labels of a section are read."""
    return LabelOptions(**section.model_dump(exclude={"path", "noise", "align"}))


class SceneInputs:
    """One scene of a project, opened, with what belongs to it; ``image`` is at the working ground sampling distance."""

    def __init__(
        self, project: Project, scene: ProjectScene, stack: ExitStack, vectors: KeptVectors, events: Events = SILENT
    ) -> None:
        self.scene, self._project, self._stack, self._vectors = scene, project, stack, vectors
        self._events = events
        data_set = project.data_set
        native = stack.enter_context(open_scene(scene.ref) if data_set is None else data_set.open_image(scene.ref))
        self.file_grid, self.file_turn = native.grid, native.turn  # windows of areas count the grid's pixels
        self.image: Scene = native
        self._images: dict[float, Scene] = {}
        self._readers: dict[tuple[bool, int], LabelReader] = {}

    @property
    def schema(self) -> ClassSchema:
        """The classes of its labels."""
        return self._project.schema

    def image_at(self, gsd_m: float | None) -> Scene:
        """Return the scene at another ground sampling distance; None: the working one."""
        if gsd_m is None:
            return self.image
        if gsd_m not in self._images:
            ratio = gsd_ratio(self.image, gsd_m)
            self._images[gsd_m] = self.image if ratio == (1.0, 1.0) else ResampledScene(self.image, *ratio)
        return self._images[gsd_m]

    @cached_property
    def areas(self) -> dict[str, list[Area]]:
        """Its areas by role on the working grid."""
        return self.areas_on(self.image.grid)

    def areas_on(self, grid: Grid) -> dict[str, list[Area]]:
        """Return its areas by role on a grid over the scene."""
        return resolve_areas(self.scene.areas, self.file_grid, grid)

    def pieces(self, role: Role, gsd_m: float | None) -> list[Piece]:
        """Return its pieces of a role; none where it has no area or no labels for it."""
        imprecise = role.startswith("coarse")
        image = self.image_at(gsd_m)
        area_role = "validation" if role.endswith("validation") else role
        areas = (self.areas if image is self.image else self.areas_on(image.grid)).get(area_role, [])
        if not areas or (self.scene.labels if imprecise else self.scene.reference) is None:
            return []
        key = imprecise, id(image)
        if key not in self._readers:
            self._readers[key] = self.labels(image.grid) if imprecise else self.reference(image.grid)
        scores = None if self.given_scores is None else scores_on_scene(self.given_scores, image)
        return [Piece(self.scene.name, image, area, self._readers[key], scores) for area in areas]

    @property
    def aligns_labels(self) -> bool:
        """Whether the project has the imprecise labels set right object by object."""
        return self.scene.labels is not None and self.scene.labels.align is not None

    def labels(self, grid: Grid, *, as_given: bool = False) -> LabelReader:
        """Return the imprecise labels on a grid, with the noise the project simulates, aligned if it says so.

        Args:
            as_given: Whether to leave them where they are, whatever the project says.
        """
        section = self.scene.labels
        aligned = self.aligns_labels and not as_given
        if section is None or (section.noise is None and not aligned):
            return self._opened(section, "labels", grid)
        # A width that is part of the noise is in the features already.
        width = section.road_width_m if section.noise is None or section.noise.road_width_m is None else None
        features = self.moved.drop(columns=[*COLUMNS]) if aligned else self._features
        return VectorLabels(features, grid, self._project.schema, road_width_m=width)

    def reference(self, grid: Grid) -> LabelReader:
        """Return the precise labels on a grid."""
        return self._opened(self.scene.reference, "reference", grid)

    @cached_property
    def stored_scores(self) -> ScoreScene | None:
        """The coarse scores another tool gave, as they lie in the file; None where a network is trained."""
        given = self.scene.scores
        if given is None:
            return None
        scores = open_scores(
            given.path, kind=given.kind, full_scale=given.full_scale, class_names=self._project.schema.names,
            assume_gsd_m=self.scene.ref.assume_gsd_m,
        )  # fmt: skip
        return self._stack.enter_context(scores)

    @cached_property
    def given_scores(self) -> Scene | None:
        """The same on the working grid."""
        return None if self.stored_scores is None else scores_on_scene(self.stored_scores, self.image)

    @cached_property
    def _features(self) -> GeoDataFrame:
        """The features of the labels, with noise as the project says."""
        section = self.scene.labels
        if section is None or not is_vector_file(section.path):
            given = "nothing" if section is None else f"{section.path}, a raster"
            raise LabelError(
                f"Noise or alignment is asked for of {given}.",
                expected="vectors, whose objects can be moved and left out",
                remedy="name the vectors under labels: path:, or remove noise: and align:",
            )
        schema, options = self._project.schema, label_options(section)
        features = self._vectors.read(section.path, schema, grid=self.image.grid, options=options)
        if section.noise is not None:
            features = simulate_noise(features, LabelNoise(**dict(section.noise)), seed=self._project.seed)
        return features

    @cached_property
    def moved(self) -> GeoDataFrame:
        """The features of labels that are aligned, with what became of each in the columns of ``COLUMNS``."""
        section = self.scene.labels
        if section is None or section.align is None:
            raise ValueError("the labels are not aligned")
        features, became = aligned_features(self._features, self.image, AlignRules(**dict(section.align)))
        self._events.note(f"{section.path.name}: {became.text}")
        return features

    def _opened(self, section: LabelSection | ReferenceSection | None, key: str, grid: Grid) -> LabelReader:
        if section is None:
            raise ProjectError(
                f"{self._project.path.name} names no {key}.", expected=f"{key}: with the path of vectors or a mask",
                remedy=f"add for example {key}: {{path: {key}.gpkg}}",
            )  # fmt: skip
        data_set = self._project.data_set
        if data_set is not None:
            return data_set.open_mask(section.path, self.scene.name, grid)
        squares = self._project.coarse.squares
        point_px = 1 if squares is None else squares.point_px
        options = replace(label_options(section), point_px=point_px, turn=self.file_turn)
        reader = open_labels(
            section.path, self._project.schema, grid, options=options, vectors=self._vectors, about=self.image.grid
        )
        self._stack.callback(reader.close)
        return reader


class Sources:
    """The inputs of a project, opened by ``open_sources``; they are its ``TrainingData``.

    The working ground sampling distance is the one given, or the scene's own, with several scenes the coarsest.
    """

    def __init__(self, project: Project, stack: ExitStack, vectors: KeptVectors, events: Events = SILENT) -> None:
        self.project = project
        self.scenes = tuple(SceneInputs(project, scene, stack, vectors, events) for scene in project.scenes)
        _check_bands(self.scenes)
        self.gsd_m = project.gsd_m or max(one.image.grid.mean_gsd_m() for one in self.scenes)
        if project.gsd_m is not None or len(self.scenes) > 1:
            for one in self.scenes:
                one.image = one.image_at(self.gsd_m)

    @property
    def schema(self) -> ClassSchema:
        """The classes."""
        return self.project.schema

    def note_readings(self, events: Events) -> None:
        """Report what the scores of other tools are taken for."""
        for scores in filter(None, (one.stored_scores for one in self.scenes)):
            events.note(f"{scores.path} is read as {scores.reading()}")

    def pieces(self, role: Role, *, gsd_m: float | None = None) -> list[Piece]:
        """Return the pieces of a role over all scenes; see ``TrainingData.pieces``."""
        found = [piece for one in self.scenes for piece in one.pieces(role, gsd_m)]
        if self.project.data_set is not None and sum(math.prod(piece.shape) for piece in found) > MOST_LOADED_PX:
            found = [replace(piece, digest=self._digest(piece)) for piece in found]
        if not found and role in ("coarse", "refiner"):
            raise ProjectError(
                f"{self.project.path.name} gives no area for {role!r}.",
                expected=f"a list of areas under areas: {role}:",
                remedy=f"add for example areas: {{{role}: [{{window: [0, 0, 1024, 1024]}}]}}",
            )
        return found

    def _digest(self, piece: Piece) -> str:
        """Return what stands for the content of a piece of a data set."""
        data_set = self.project.data_set
        if data_set is None or not isinstance(piece.labels, CodedMask | OneClass):
            raise TypeError("only images and masks of a data set have a digest")
        return f"{data_set.digest(piece.image.path, piece.labels.path)} {piece.area.block}"


def _check_bands(scenes: Sequence[SceneInputs]) -> None:
    first = scenes[0]
    for other in scenes[1:]:
        same_names = set(other.image.band_names) == set(first.image.band_names)
        # Files that name no bands get names from GDAL: those say nothing of their order.
        if other.image.band_count != first.image.band_count or (
            same_names and other.image.band_names != first.image.band_names
        ):
            raise SceneError(
                f"{first.scene.path} has the bands {', '.join(first.image.band_names)}; {other.scene.path} has "
                f"{', '.join(other.image.band_names)}.",
                expected="the same bands, in the same order, in every scene",
                remedy="choose the bands of each scene with bands:",
            )


@contextmanager
def open_sources(project: Project, vectors: KeptVectors | None = None, events: Events = SILENT) -> Iterator[Sources]:
    """Open a project's scenes, and close with them everything that was opened through them.

    Vectors are read once, for all pixel sizes and stages, and for all that are given the same ``vectors``. What becomes
    of labels that are aligned is told as a note.
    """
    with ExitStack() as stack:
        if project.data_set is not None:  # which keeps what it decodes
            stack.enter_context(few_blocks_kept())
        sources = Sources(project, stack, vectors or KeptVectors(), events)
        for one in sources.scenes:
            _ = one.areas  # errors show now, not after an hour of training
        if project.data_set is None:  # whose split keeps what shows one ground together
            for one, other in itertools.combinations(sources.scenes, 2):
                check_apart_on_ground((one.areas, one.image.grid), (other.areas, other.image.grid))
        yield sources
        if project.data_set is not None:
            project.data_set.warn_of_unknown()
