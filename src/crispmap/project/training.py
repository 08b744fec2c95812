"""The trainings of a project: a coarse network on imprecise labels, a refiner on the precise piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from crispmap.data.ground import Ground, load_ground
from crispmap.data.scaling import measure_scaling
from crispmap.errors import TrainingError
from crispmap.evaluate.readers import AreaUnion
from crispmap.evaluate.recalibration import fit_biases_on
from crispmap.geo.areas import Area
from crispmap.labels.reader import LabelReader
from crispmap.models.base import Refiner
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.model import Model, RefinerModel
from crispmap.models.scaling import Scaling, paper_scaling
from crispmap.models.settings import TrainingSettings
from crispmap.project.cards import model_card
from crispmap.project.file import Project, RefinerSection
from crispmap.project.inputs import Sources, inside
from crispmap.raster.scene import Scene
from crispmap.training.learners import Lesson, learner_of
from crispmap.training.options import TrainingRun
from crispmap.types import IGNORE, FloatArray, LabelArray

MOST_PASSES = 100
"""Patches cover the area of corrected labels about so often at most; on small areas longer trainings do worse.

On two hectares of Kampala mean IoU came to 65 to 66 % after 95 passes (4 runs) and to 62 % after 190 (2 runs).
"""


@dataclass(frozen=True)
class ExtraTrainingData:
    """What a refiner learns from beside the precise piece.

    Attributes:
        grounds: The data, with coarse scores.
        doubtful: Whether its scores are less like those elsewhere than the precise piece's.
        seconds: Of the trainings it took to make it.
        facts: What the refiner's card tells of it.
    """

    grounds: Sequence[Ground] = ()
    doubtful: bool = False
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, precise: Sequence[Ground]) -> list[Ground]:
        """Return all data; beside doubtful ones the precise as often as makes them about half of all patches."""
        own, other = (sum(math.prod(one.shape) for one in grounds) for grounds in (precise, self.grounds))
        times = max(1, round(other / own)) if self.doubtful else 1
        return [*list(precise) * times, *self.grounds]

    def bounded(self, settings: TrainingSettings, precise: Sequence[Ground]) -> TrainingSettings:
        """Return settings with no more steps than cover all data ``MOST_PASSES`` times with patches."""
        pixels = sum(math.prod(one.shape) for one in (*precise, *self.grounds))
        steps = max(1, MOST_PASSES * pixels // (settings.batch * settings.patch_px**2))
        return settings if steps >= settings.max_steps else settings.but(max_steps=steps)


def coarse_settings(project: Project) -> TrainingSettings | None:
    """Return how a project's coarse network is trained; None where it is not trained in steps."""
    section = project.coarse
    return section.settings(project.seed) if section.architecture.learner == "gradient" else None


def refiner_settings(project: Project) -> TrainingSettings | None:
    """Return how a project's refiner is trained; None where it is not trained in steps.

    With corrected labels there are data enough not to flip or turn patches: shadows fall one way in a scene.
    """
    section = refiner_section(project)
    if section.architecture.learner != "gradient":
        return None
    settings = section.settings(project.seed)
    if section.corrected_labels and "augmentation" not in section.model_fields_set:
        return settings.but(augmentation="none")
    return settings


def refiner_section(project: Project) -> RefinerSection:
    """Return what a project says of its refiner.

    Raises:
        TrainingError: If it has none.
    """
    if project.refiner is None:
        raise TrainingError(
            f"{project.path.name} names no reference, so there is nothing to train a refiner on.",
            expected="reference: with precise labels, and areas: refiner:",
        )
    return project.refiner


def train_coarse(
    sources: Sources,
    path: Path,
    run: TrainingRun,
    *,
    choose: Callable[[Sequence[Area]], list[Area]] = list,
    stop_after: int | None = None,
) -> ModelCard:
    """Train the project's coarse network and write its model file; return its card.

    The network learns at its own ground sampling distance, from labels drawn on that grid.

    Args:
        sources: The project's inputs.
        path: The model file.
        run: Where and how.
        choose: Which of the coarse areas it learns from.
        stop_after: The step whose weights are kept; None: those that do best on the validation data.
    """
    project, section = sources.project, sources.project.coarse
    gsd_m = section.gsd_m or sources.gsd_m
    image = sources.image_at(gsd_m)
    learned_from, held = sources.pieces("coarse", image.grid)
    areas = choose(learned_from)
    scaling = _scaling(image, areas, section.architecture.presets[section.preset].scaling)
    labels = sources.labels(image.grid)
    settings = coarse_settings(project)
    if settings is not None and stop_after is not None:
        settings = settings.but(stop_after=min(stop_after, settings.max_steps), keep_last=True)
    lesson = Lesson(
        section.architecture,
        section.options,
        settings,
        project.schema,
        grounds_of(image, areas, labels, scaling),
        grounds_of(image, held, labels, scaling),
        project.seed,
    )
    learned = learner_of(section.architecture).learn(lesson, run)
    card = model_card(learned.network, project, image, scaling, gsd_m, learned.facts)
    save_model(path, learned.network, card, force=True)
    return card


def train_refiner(
    sources: Sources,
    scores: Scene,
    scaling: Scaling | None,
    path: Path,
    run: TrainingRun,
    extra: ExtraTrainingData = ExtraTrainingData(),
) -> RefinerModel:
    """Train the project's refiner on given coarse scores and write its model file; return it.

    Args:
        sources: The project's inputs.
        scores: Coarse scores on the working grid.
        scaling: Constants of the coarse network; measured on the precise piece where there is none.
        path: The model file.
        run: Where and how.
        extra: Data to learn from beside the precise piece.
    """
    project, section = sources.project, refiner_section(sources.project)
    learner = learner_of(section.architecture)
    image = sources.image
    areas, held = sources.pieces("refiner", image.grid, hold_out=learner.holds_out)
    scaling = scaling or _scaling(image, areas, "measured")
    labels = sources.reference(image.grid)
    grounds, validation = (scored_grounds(image, part, labels, scaling, scores) for part in (areas, held))
    settings = refiner_settings(project)
    if settings is not None and extra.grounds and "max_steps" not in section.model_fields_set:
        settings = extra.bounded(settings, grounds)
    lesson = Lesson(
        section.architecture,
        section.options,
        settings,
        project.schema,
        extra.beside(grounds),
        validation,
        project.seed,
    )
    biases = fit_biases_on(scores, labels, AreaUnion([*areas, *held]), seed=project.seed)
    learned = learner.learn(lesson, run)
    facts = {"class_biases": biases.tolist(), **learned.facts, **extra.facts}
    facts["seconds"] = round(learned.seconds + extra.seconds, 1)
    card = model_card(learned.network, project, image, scaling, sources.gsd_m, facts)
    save_model(path, learned.network, card, force=True)
    return Model(cast(Refiner, learned.network), card)


def _scaling(image: Scene, areas: Sequence[Area], kind: str) -> Scaling:
    if kind == "paper":
        return paper_scaling(image.band_count)
    return measure_scaling([(image, area.block) for area in areas])


def grounds_of(image: Scene, areas: Sequence[Area], labels: LabelReader, scaling: Scaling) -> list[Ground]:
    """Return the training data of some areas, each labelled inside itself alone."""
    return [load_ground(image, area.block, inside(labels, [area]), scaling) for area in areas]


def scored_grounds(
    image: Scene, areas: Sequence[Area], labels: LabelReader, scaling: Scaling, scores: Scene
) -> list[Ground]:
    """Return the data of some areas with coarse scores; without one a pixel's label is IGNORE, and its image 0."""
    pairs = zip(grounds_of(image, areas, labels, scaling), areas, strict=True)
    return [_with_scores(ground, area, scores) for ground, area in pairs]


def _with_scores(ground: Ground, area: Area, scores: Scene) -> Ground:
    values, valid = scores.read(area.block)
    labels: LabelArray = np.where(valid, ground.labels, np.uint8(IGNORE))
    image: FloatArray = np.where(valid, ground.image, np.float32(0))
    return Ground(image, labels, values)
