"""The trainings of a project: a coarse network on imprecise labels, a refiner on the precise piece."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch

from crispmap.data.budget import DataBudget
from crispmap.data.patches import PatchSource, area_on_demand, few_of, load_training_area
from crispmap.data.scaling import measure_scaling
from crispmap.data.statistics import class_shares, measure_statistics
from crispmap.data.training_data import Piece, TrainingData, by_image, learned_and_held_out
from crispmap.errors import ModelError, TrainingError
from crispmap.evaluation.readers import AreaUnion
from crispmap.evaluation.recalibration import fit_biases_on
from crispmap.inference.coarse import check_bands
from crispmap.inference.familiarity import SHARES, STATISTICS
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, model_hash, save_model
from crispmap.models.model import CoarseModel, Model, RefinerModel
from crispmap.models.scaling import Scaling, paper_scaling
from crispmap.models.settings import TrainingSettings
from crispmap.project.coarse import CoarseScores, check_classes
from crispmap.project.file import CoarseSection, FinetuneSection, Project, RefinerSection
from crispmap.project.general import Rivals, kept_where_best, shipped_start
from crispmap.raster.scene import Scene
from crispmap.training.learners import Lesson, Shapes, learner_of
from crispmap.training.options import TrainingRun
from crispmap.types import DoubleArray

MOST_PASSES = 100
"""How often patches cover the area of corrected labels at most; on small areas longer trainings do worse.

On two hectares of Kampala mean IoU came to 65 to 66 % after 95 passes (4 runs) and to 62 % after 190 (2 runs).
"""

_Facts = Mapping[str, Any]


@dataclass(frozen=True)
class ExtraTrainingData:
    """What a refiner learns from in addition to the precise piece."""

    pieces: Sequence[PatchSource] = ()  # with coarse scores
    doubtful: bool = False  # the scores are less like those elsewhere than the precise piece's
    seconds: float = 0.0  # of the trainings it took
    facts: _Facts = field(default_factory=dict)  # for the refiner's card
    budget: DataBudget | None = None  # of memory, which the precise piece shares

    def beside(self, precise: Sequence[PatchSource]) -> list[PatchSource]:
        """Return all data; where it is doubtful, the precise is repeated until it makes about half of all patches."""
        own, other = (sum(math.prod(one.shape) for one in pieces) for pieces in (precise, self.pieces))
        times = max(1, round(other / own)) if self.doubtful else 1
        return [*list(precise) * times, *self.pieces]

    def bounded(self, settings: TrainingSettings, precise: Sequence[PatchSource]) -> TrainingSettings:
        """Return settings limited to the steps that cover all data ``MOST_PASSES`` times with patches."""
        pixels = sum(math.prod(one.shape) for one in (*precise, *self.pieces))
        steps = max(1, MOST_PASSES * pixels // (settings.batch * settings.patch_px**2))
        return settings if steps >= settings.max_steps else settings.but(max_steps=steps)


def coarse_settings(project: Project, shapes: Shapes) -> TrainingSettings | None:
    """Return how a project's coarse network is trained on pieces; None where it is not trained in steps."""
    section = project.coarse
    if section.architecture.learner != "gradient":
        return None
    return _fitted(section.settings(project.seed), project, section, shapes)


def finetuning_settings(project: Project, shapes: Shapes) -> TrainingSettings:
    """Return how a project's coarse network is fine-tuned on pieces; TrainingError where it is not."""
    if project.finetune is None:
        raise TrainingError(f"{project.path.name} fine-tunes nothing.", expected="finetune: with its settings")
    return _fitted(project.finetune.settings(project.coarse, project.seed), project, project.finetune, shapes)


def _fitted(
    settings: TrainingSettings, project: Project, section: CoarseSection | FinetuneSection, shapes: Shapes
) -> TrainingSettings:
    """Return settings with patches that fit in the smallest piece, where the project leaves their size open.

    Only encoder-decoder networks take any size: others are trained at that of their preset, classifiers of squares at
    that of a square.
    """
    architecture = project.coarse.architecture
    whole = not architecture.encoder or project.coarse.squares is not None
    if whole or "patch_px" in section.model_fields_set or not shapes:
        return settings
    step = architecture.patch_multiple
    side = max(step, min(min(shape) for shape in shapes) // step * step)
    return settings if side >= settings.patch_px else settings.but(patch_px=side)


def refiner_settings(project: Project) -> TrainingSettings | None:
    """Return how a project's refiner is trained; None where it is not trained in steps.

    With corrected labels there is enough data without flips and rotations: shadows fall one way in a scene.
    """
    section = refiner_section(project)
    if section.architecture.learner != "gradient":
        return None
    settings = section.settings(project.seed)
    if section.corrected_labels and "augmentation" not in section.model_fields_set:
        return settings.but(augmentation="none")
    return settings


def refiner_section(project: Project) -> RefinerSection:
    """Return the refiner of a project, or raise TrainingError where it has none."""
    if project.refiner is None:
        given = f"{project.path.name} names no reference, so there is nothing to train a refiner on."
        raise TrainingError(given, expected="reference: with precise labels, and areas: refiner:")
    return project.refiner


@dataclass(frozen=True)
class _Course:
    """What a coarse network learns from, and how."""

    role: Literal["coarse", "refiner"]  # of the pieces it learns from: the precise piece is for fine-tuning
    gsd_m: float
    start: CoarseModel | None = None  # the trained network that learns on
    stop_after: int | None = None  # the step whose weights are kept; None: those best on the validation data
    choose: Callable[[Sequence[Piece]], list[Piece]] = list  # which of the pieces it learns from
    facts: _Facts = field(default_factory=dict)  # for its card


def train_coarse(
    data: TrainingData,
    project: Project,
    path: Path,
    run: TrainingRun,
    *,
    choose: Callable[[Sequence[Piece]], list[Piece]] = list,
    stop_after: int | None = None,
) -> ModelCard:
    """Train a project's coarse network and write its model file; return its card.

    The network learns at its own ground sampling distance, from labels drawn on that grid.

    Args:
        choose: Which of the pieces it learns from.
        stop_after: The step whose weights are kept; None: those that do best on the validation data.
    """
    section = project.coarse
    start = None if section.start is None else _starting_model(section.start, project)
    gsd_m = section.gsd_m or (data.gsd_m if start is None else start.card.gsd_m)
    facts = {} if section.start is None else {"started_from": model_hash(section.start)}
    return _train_network(data, project, path, run, _Course("coarse", gsd_m, start, stop_after, choose, facts))


def finetune_coarse(data: TrainingData, project: Project, coarse: Path, path: Path, run: TrainingRun) -> ModelCard:
    """Train a coarse network on, from its model file, on the precise piece; write the model file and return its card.

    The card has the class biases that recalibrate the network as it was before: what fine-tuning is to be ahead of.
    """
    start = _starting_model(coarse, project)
    scores = CoarseScores(project, coarse, run.device)
    biases = fit_biases(scores, data.pieces("refiner", gsd_m=data.gsd_m), project.seed)
    facts = {"finetuned_from": model_hash(coarse), "class_biases": biases.tolist()}
    return _train_network(data, project, path, run, _Course("refiner", start.card.gsd_m, start, facts=facts))


def _starting_model(path: Path, project: Project) -> CoarseModel:
    """Return a trained network that a project's coarse network goes on from."""
    model = load_model(path, kind="coarse")
    check_classes(model.card, project, path)
    if model.card.architecture != project.coarse.kind:
        raise ModelError(
            f"{path} has the architecture {model.card.architecture}.",
            expected=f"{project.coarse.kind}, which {project.path.name} trains",
            remedy=f"set coarse: {{kind: {model.card.architecture}}}, or start from another model",
        )
    return model


def _train_network(data: TrainingData, project: Project, path: Path, run: TrainingRun, course: _Course) -> ModelCard:
    section, start = project.coarse, course.start
    step_px = 1 if section.squares is None else section.squares.side_px
    pieces, held = learned_and_held_out(data, course.role, gsd_m=course.gsd_m, step_px=step_px)
    pieces = course.choose(pieces)
    if start is None:
        scaling = _scaling(pieces, section.architecture.presets[section.preset].scaling)
    else:
        check_bands(pieces[0].image, start.card)
        scaling = start.card.scaling
    shapes, tunes = [piece.shape for piece in pieces], course.role == "refiner"
    settings = finetuning_settings(project, shapes) if tunes else coarse_settings(project, shapes)
    if settings is not None and course.stop_after is not None:
        settings = settings.but(stop_after=min(course.stop_after, settings.max_steps), keep_last=True)
    budget = run.budget()
    lesson = Lesson(
        section.architecture, section.options, settings, project.schema, patches_of(pieces, scaling, budget),
        patches_of(held, scaling, budget), project.seed, start, "finetuned" if tunes else "",
    )  # fmt: skip
    learned = learner_of(section.architecture).learn(lesson, run)
    facts = {**learned.facts, **course.facts}
    if start is None and isinstance(learned.network, CoarseNetwork) and learned.network.encoder_start:
        facts["encoder"] = dict(learned.network.encoder_start)
    facts |= _learned_from([*pieces, *held], [*lesson.pieces, *lesson.validation], project)
    card = _model_card(learned.network, project, pieces[0].image, scaling, course.gsd_m, facts)
    save_model(path, learned.network, card, force=True)
    return card


def train_refiner(
    data: TrainingData,
    project: Project,
    scores: CoarseScores,
    path: Path,
    run: TrainingRun,
    extra: ExtraTrainingData = ExtraTrainingData(),
) -> RefinerModel:
    """Train a project's refiner on coarse scores, at the working ground sampling distance, and write its model file."""
    section = refiner_section(project)
    learner = learner_of(section.architecture)
    pieces, held = learned_and_held_out(data, "refiner", gsd_m=data.gsd_m, hold_out=learner.holds_out)
    scaling = _scaling(pieces, "measured") if scores.card is None else scores.card.scaling
    budget = extra.budget or run.budget()
    patches, validation = (patches_of(part, scaling, budget, scores) for part in (pieces, held))
    settings = refiner_settings(project)
    if settings is not None and extra.pieces and "max_steps" not in section.model_fields_set:
        settings = extra.bounded(settings, patches)
    start = shipped_start(project, scores, pieces, scaling, data.gsd_m)
    lesson = Lesson(
        section.architecture, section.options, settings, project.schema, extra.beside(patches), validation,
        project.seed, start,
    )  # fmt: skip
    biases = fit_biases(scores, [*pieces, *held], project.seed)
    learned = learner.learn(lesson, run)
    if start is not None:
        rivals = Rivals(scores, held, fit_biases(scores, pieces, project.seed))
        learned = kept_where_best(learned, start, rivals, run.events)
    facts = {"class_biases": biases.tolist(), **learned.facts, **extra.facts}
    facts |= _learned_from([*pieces, *held], [*patches, *validation], project)
    facts["seconds"] = round(learned.seconds + extra.seconds, 1)
    card = _model_card(learned.network, project, pieces[0].image, scaling, data.gsd_m, facts)
    save_model(path, learned.network, card, force=True)
    return Model(cast(Refiner, learned.network), card)


def fit_biases(scores: CoarseScores, pieces: Sequence[Piece], seed: int) -> DoubleArray:
    """Return the class biases with which coarse scores give the best map of some pieces."""
    parts = [
        (scores.on(same[0].image, same[0].scores), same[0].labels, AreaUnion([piece.area for piece in same]))
        for same in by_image(pieces)
    ]
    return fit_biases_on(parts, seed=seed)


def _learned_from(pieces: Sequence[Piece], patches: Sequence[PatchSource], project: Project) -> _Facts:
    """Return what the scene and the labels are like, against which the scenes that the model maps are held."""
    statistics = measure_statistics([(piece.image, piece.area.block) for piece in few_of(pieces)])
    shares = class_shares(few_of(patches), project.schema)
    return ({} if statistics is None else {STATISTICS: statistics.to_dict()}) | {SHARES: shares}


def _scaling(pieces: Sequence[Piece], kind: str) -> Scaling:
    if kind == "paper":
        return paper_scaling(pieces[0].image.band_count)
    return measure_scaling([(piece.image, piece.area.block) for piece in few_of(pieces)])


def patches_of(
    pieces: Sequence[Piece], scaling: Scaling, budget: DataBudget, scores: CoarseScores | None = None
) -> list[PatchSource]:
    """Return the training data of some pieces, with coarse scores where given."""
    return [
        area_on_demand(piece.image, piece.area.block, piece.read_labels, scaling, piece.digest)
        if piece.digest is not None and scores is None
        else load_training_area(
            piece.image, piece.area.block, piece.read_labels, scaling,
            scores=None if scores is None else scores.on(piece.image, piece.scores), budget=budget,
        )
        for piece in pieces
    ]  # fmt: skip


def _model_card(
    network: CoarseNetwork | Refiner, project: Project, image: Scene, scaling: Scaling, gsd_m: float, facts: _Facts
) -> ModelCard:
    versions = {"crispmap": importlib.metadata.version("crispmap"), "torch": torch.__version__}
    return ModelCard(
        kind="coarse" if isinstance(network, CoarseNetwork) else "refiner", architecture=network.architecture,
        arguments=network.arguments, schema=project.schema, band_names=image.band_names, scaling=scaling,
        gsd_m=gsd_m, radius_px=network.radius_px, stride_px=network.stride_px,
        provenance={"project": project.name, "seed": project.seed, **versions, **facts},
    )  # fmt: skip
