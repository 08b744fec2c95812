"""A project's test areas: what its maps are scored on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from crispmap.classes import ClassSchema
from crispmap.evaluation.compare import evaluate_maps
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.readers import AreaUnion, LabelSource
from crispmap.events import Events, progress
from crispmap.files.address import file_name
from crispmap.geo.areas import Area, box_of
from crispmap.geo.grid import Block
from crispmap.geo.squares import Squares
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.reader import LabelReader
from crispmap.labels.squares import SquareLabels
from crispmap.metrics import ConfusionMatrix
from crispmap.project.inputs import SceneInputs, Sources
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import SceneReader
from crispmap.report.crops import choose_crops
from crispmap.report.pictures.photos import ByteArray, averaged, every_nth, rgb_preview
from crispmap.types import FloatArray, LabelArray

_PART_PX = 512

A = TypeVar("A", bound=NDArray[Any])
S = TypeVar("S", bound="ScoredScene")


class ScoredScene:
    """The test areas of one scene with their reference, on the working grid, or on the grid of a map's squares.

    Args:
        squares: The squares that its map is of, with the pixel size of the model they are counted in; None: of pixels.
    """

    def __init__(self, inputs: SceneInputs, squares: tuple[Squares, float] | None = None) -> None:
        self.inputs, self.name, self.image = inputs, inputs.scene.name, inputs.image
        if squares is not None:
            each, gsd_m = squares
            self.image = ResampledScene(inputs.image_at(gsd_m), each.side_px, each.side_px)
        self.grid = self.image.grid
        self.areas = inputs.areas_on(self.grid)["test"]
        self.pixels, self.box = AreaUnion(self.areas), box_of(self.areas)
        self.reference: LabelReader
        if squares is None:
            self.reference = inputs.reference(self.grid)
        else:
            self.reference = SquareLabels(inputs.reference(each.pixels(self.grid)), self.grid, each)

    def evaluate(self, labels: LabelSource, schema: ClassSchema, events: Events) -> Evaluation:
        """Return how well a map of the scene agrees with the reference."""
        return evaluate_maps(labels, self.reference, self.grid, schema, area=self.areas, events=events)

    def picture(self, block: Block) -> Any:
        """Return a block as a picture, uint8 (row, col, 3)."""
        pixels, valid = self.image.read(block)
        return rgb_preview(pixels, valid=valid)

    def thinned_picture(self, block: Block, n: int) -> ByteArray:
        """Return a block of any size as a picture (3, row, col), each of its pixels the mean of n x n."""
        known = in_parts(lambda part: every_nth(self.image.read(part)[1], n), block, n)
        pixels = in_parts(lambda part: averaged(self.image.read(part)[0], n), block, n)
        return rgb_preview(pixels, valid=known)


def in_parts(read: Callable[[Block], A], block: Block, n: int) -> A:
    """Return what is read of a block (.., row, col), one pixel in n along each side, without the whole in memory."""
    side = max(1, _PART_PX // n) * n
    parts = [read(part) for part in block.pieces(side)]
    beside = -(-block.width // side)
    rows = [np.concatenate(parts[first : first + beside], axis=-1) for first in range(0, len(parts), beside)]
    return np.concatenate(rows, axis=-2)  # type: ignore[return-value]


def largest_area(scenes: Sequence[S]) -> tuple[S, Block]:
    """Return the largest test area with its scene."""
    places = [(one, area.block) for one in scenes for area in one.areas]
    return max(places, key=lambda place: place[1].height * place[1].width)


def probabilities(scores: SceneReader, block: Block, n: int = 1) -> FloatArray:
    """Return the probability of each class (class, row, col) on every n-th pixel of a block, NaN without scores."""
    values, valid = scores.read(block)
    shares: FloatArray = softmax(every_nth(values, n), axis=0)
    shares[:, ~every_nth(valid, n)] = np.nan
    return shares


def scored_scenes(sources: Sources) -> list[ScoredScene]:
    """Return the scenes of a project that have test areas: at least one in a project that can be scored."""
    return [ScoredScene(one) for one in sources.scenes if one.areas.get("test")]


def place_name(scene: ScoredScene, sources: Sources) -> str:
    """Return what a place is called: the scene's name or, of a scene alone, its file."""
    return scene.name if len(sources.scenes) > 1 else file_name(scene.inputs.scene.path)


def titled_crops(
    scenes: Sequence[S], maps: Callable[[S, Block], tuple[LabelArray, LabelArray, LabelArray]], sources: Sources
) -> list[tuple[str, S, Block]]:
    """Return crops to show, with their titles; ``maps`` gives reference, coarse and refined map of a block."""
    places = [(scene, area.block) for scene in scenes for area in scene.areas]
    titled = []
    for number, (scene, block) in enumerate(choose_crops(places, maps, len(sources.schema)), 1):
        titled.append((f"Crop {number}", scene, block))
    return titled


def iteration_curve(
    parts: Sequence[tuple[IterationMaps, Sequence[Area], LabelSource]], names: Sequence[str], events: Events
) -> list[ConfusionMatrix]:
    """Return the confusion matrix over all parts after every iteration of a refiner, the coarse map's first."""
    with progress(events, "iterations", sum(math.prod(box_of(areas).shape) for _, areas, _ in parts)) as running:
        curves = [maps.curve(areas, reference, names, running) for maps, areas, reference in parts]
    return [sum(rest, first) for first, *rest in zip(*curves, strict=True)]
