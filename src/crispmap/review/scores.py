"""Scores that labels are held against, and the class of the objects in question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import SchemaError
from crispmap.geo.grid import Block
from crispmap.inference.align import scores_on_scene
from crispmap.inference.job import GivenScores
from crispmap.labels.offset_sample import as_compared
from crispmap.labels.osm import OSM_PRESETS
from crispmap.labels.registration import schema_of_scores
from crispmap.polygons.split import margin
from crispmap.raster.scene import Scene
from crispmap.raster.scores import open_scores
from crispmap.types import BoolArray, DoubleArray

_NAMES = ("building", "buildings")


@dataclass(frozen=True)
class ReviewScores:
    """Scores on the pixels in which objects are compared, their classes, and the class of the objects reviewed."""

    scene: Scene  # logits (class, row, col)
    schema: ClassSchema
    class_id: int
    reading: str  # what their values are taken for

    @property
    def class_name(self) -> str:
        """Name of the class of the objects reviewed."""
        return self.schema[self.class_id].name

    def probability(self, block: Block) -> tuple[DoubleArray, BoolArray]:
        """Return the probability (row, col) of the class in a block inside the scene, and where it is known."""
        logits, valid = self.scene.read(block)
        return 1 / (1 + np.exp(-margin(logits, self.class_id).astype(np.float64))), valid


@contextmanager
def open_review_scores(
    given: GivenScores, image: Scene, max_shift_m: float, schema: ClassSchema | None
) -> Iterator[ReviewScores]:
    """Open scores of a scene on the pixels in which its labels are aligned.

    Args:
        schema: Their classes; by default those named by the bands.

    Raises:
        GridError: If they do not cover the scene's area.
        InputError: If the bands name no classes and none are given.
        SceneError: If they cannot be read, or can be read in two ways.
        SchemaError: If the classes are not those of the scores, or none of them is of buildings.
    """
    with open_scores(
        given.path, kind=given.kind, full_scale=given.full_scale, assume_gsd_m=None if image.grid.crs else 1.0
    ) as scores:
        classes = schema_of_scores(scores, schema)
        _check_names(scores, classes)
        on_scene = as_compared(scores_on_scene(scores, image), max_shift_m)
        yield ReviewScores(on_scene, classes, _class_of_objects(classes), scores.reading(classes.names))


def _class_of_objects(schema: ClassSchema) -> int:
    """Return the id of the class of buildings: the one of that name, or the second of two.

    Raises:
        SchemaError: If there is none; a preset of another name is none.
    """
    named = [index for index, name in enumerate(schema.names) if name.lower() in _NAMES]
    if not named and len(schema) == 2 and schema.names[1] not in OSM_PRESETS:
        named = [1]
    if len(named) != 1:
        raise SchemaError(
            f"The scores are of {', '.join(schema.names)}.",
            expected="scores of buildings: a class named building, or two classes of which the second is meant",
            remedy="Give scores of buildings; or name the classes of these in their order: classes=project.yaml.",
        )
    return named[0]


def _check_names(scores: Scene, schema: ClassSchema) -> None:
    """Raise SchemaError where the bands name presets and the classes given are others."""
    names = scores.band_names
    if names != schema.names and set(names[1:]) <= set(OSM_PRESETS):
        raise SchemaError(
            f"{scores.path} scores {', '.join(names)}; the classes are {', '.join(schema.names)}.",
            expected="the classes of the scores",
            remedy="Leave classes= out, or give the scores of these classes.",
        )
