"""Learners: the ways in which the numbers of a network or refiner are found. An architecture names its learner."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from crispmap.classes import ClassSchema
from crispmap.data.patches import PatchSource
from crispmap.errors import TrainingError
from crispmap.models.architecture import Architecture
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.models.settings import TrainingSettings
from crispmap.training.options import TrainingRun
from crispmap.types import CountArray

_MODULES = {
    "gradient": "crispmap.training.gradient:GradientLearner",
    "svm": "crispmap.training.svm:SvmLearner",
    "grid-fit": "crispmap.training.grid_fit:GridFitLearner",
}
"""Learners by name, imported when asked for."""
Shapes: TypeAlias = Sequence[tuple[int, int]]
"""(height, width) of each piece."""


@dataclass(frozen=True)
class Lesson:
    """What a learner is given."""

    architecture: Architecture  # what is to be built
    options: Mapping[str, Any]  # what is chosen of it
    settings: TrainingSettings | None  # how it is trained; None for learners that do not train in steps
    schema: ClassSchema
    pieces: Sequence[PatchSource]  # training data; a refiner's have coarse scores
    validation: Sequence[PatchSource]  # what the result is scored on, and weights may be chosen by; may be empty
    seed: int  # of everything random
    start: CoarseModel | RefinerModel | None = None  # a trained network that learns on; None: one with random weights
    name: str = ""  # of the folder of its training; by default its kind

    @property
    def training(self) -> TrainingSettings:
        """The settings of a training in steps; TrainingError if there are none."""
        if self.settings is None:
            raise TrainingError(f"{self.architecture.name} has no settings of a training.", expected="a preset")
        return self.settings

    def build(self, **arguments: Any) -> CoarseNetwork | Refiner:
        """Return the network for these data, or with some arguments changed; a copy of the one it starts from."""
        if self.start is not None:
            return copy.deepcopy(self.start.network)
        bands = self.pieces[0].bands if self.pieces else 1
        return self.architecture.build(**{"bands": bands, "classes": len(self.schema), **self.options, **arguments})


@dataclass(frozen=True)
class Learned:
    """What a learner gives."""

    network: CoarseNetwork | Refiner  # in evaluation mode
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)  # what a model card has about it, as plain values


class Learner(Protocol):
    """A way to find the numbers of an architecture."""

    holds_out: bool  # whether part of the area is held out for validation

    def check(self, settings: TrainingSettings | None, shapes: Shapes, counts: CountArray, schema: ClassSchema) -> None:
        """Check, before anything is computed, that it can learn from pieces of these shapes and counts of classes.

        Raises:
            TrainingError: If a piece is too small.
            LabelError: If a class has too few pixels.
        """

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:
        """Return the network with its numbers found.

        Raises:
            TrainingError: If the training cannot start, or diverges.
            LabelError: If a class has too few pixels.
            OutputError: If the run's folder has another training, or cannot be written.
        """


def learner_of(architecture: Architecture) -> Learner:
    """Return an architecture's learner; TrainingError where its networks are imported, not trained."""
    if architecture.learner is None:
        raise TrainingError(f"{architecture.name} cannot be trained.", expected="an architecture with a learner")
    module, _, name = _MODULES[architecture.learner].partition(":")
    learner: Learner = getattr(importlib.import_module(module), name)()
    return learner
