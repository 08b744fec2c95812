"""The stages of a project's training, in the order they are done.

    coarse            the coarse network, on imprecise labels
    initial refiner   a refiner on the precise piece alone           | where the project asks
    correction        the coarse area's labels moved to its scores   | for corrected labels
    folds             coarse networks that did not learn there       | and the coarse network is overfitted
    refiner           the refiner, on the precise piece and what the stages before have made

Each stage leaves its result in a file and takes what it needs from those before, so a training that ends early goes on
with the stage it was in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.labels.correction import CorrectedLabels, LabelCorrection
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import rasterize_file
from crispmap.models.card import ModelCard
from crispmap.models.model import RefinerModel
from crispmap.models.scaling import Scaling
from crispmap.project.coarse import open_coarse
from crispmap.project.file import Project, RefinerSection
from crispmap.project.folds import FOLDS, OVERFITTED, fold_scores, loss_on
from crispmap.project.inputs import Sources, inside
from crispmap.project.training import ExtraTrainingData, patches_of, refiner_section, train_coarse, train_refiner
from crispmap.raster.scene import Scene
from crispmap.training.options import TrainingRun

CORRECTED_LABELS = "corrected_labels.tif"
"""In the folder of a refiner's training: the labels it learned from beside the precise ones, on the scene's grid."""


@dataclass(frozen=True)
class ModelPaths:
    """Where the models of a training lie.

    Attributes:
        coarse: The coarse network's file; not looked at where the project gives scores.
        refiner: The refiner's file.
    """

    coarse: Path
    refiner: Path


@dataclass
class Training:
    """A training under way: its inputs, and what its stages have made so far.

    Attributes:
        sources: The project's inputs.
        paths: Where its models are written.
        run: Where and on what.
        initial: The initial refiner.
        losses: Of the coarse network, on the area it learned from and on the part held out.
        scores: Coarse scores to learn from on the coarse area; None for those of the coarse network itself.
        seconds: Spent on what the refiner learns from.
        correction: How labels are corrected.
    """

    sources: Sources
    paths: ModelPaths
    run: TrainingRun
    initial: RefinerModel | None = None
    losses: tuple[float, float] = (0.0, 0.0)
    scores: Scene | None = None
    seconds: float = 0.0
    correction: LabelCorrection = field(default_factory=LabelCorrection)

    @property
    def project(self) -> Project:
        """The project."""
        return self.sources.project

    @cached_property
    def coarse(self) -> tuple[Scene, ModelCard | None]:
        """The coarse scores on the working grid, and the card of the network they are of."""
        return open_coarse(self.sources, self.paths.coarse, self.run.device)

    @property
    def scaling(self) -> Scaling | None:
        """Constants of the coarse network; None where scores are given."""
        card = self.coarse[1]
        return None if card is None else card.scaling

    @property
    def overfitted(self) -> bool:
        """Whether the coarse network is overfitted on its area."""
        learned, held_out = self.losses
        return held_out > OVERFITTED * learned

    @property
    def correction_run(self) -> TrainingRun:
        """Where label correction is kept."""
        return self.run.below("correction", "for label correction")


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    Attributes:
        name: What a person calls it.
        makes: Which model it serves: "coarse" or "refiner".
        needed: Whether a project has it.
        work: Does it.
    """

    name: str
    makes: str
    needed: Callable[[Project], bool]
    work: Callable[[Training], None]


def _trains_coarse(project: Project) -> bool:
    return project.coarse.scores is None


def _trains_refiner(project: Project) -> bool:
    return project.refiner is not None


def _corrects_labels(project: Project) -> bool:
    return _trains_coarse(project) and project.refiner is not None and project.refiner.corrected_labels


def _coarse(training: Training) -> None:
    train_coarse(training.sources, training.paths.coarse, training.run)


def _initial_refiner(training: Training) -> None:
    run, project = training.correction_run, training.project
    sources = training.sources.of(replace(project, refiner=initial_section(refiner_section(project))))
    path = run.folder / "refiner.safetensors"
    training.initial = train_refiner(sources, training.coarse[0], training.scaling, path, run)
    training.seconds += float(training.initial.card.provenance["seconds"])


def _correct_labels(training: Training) -> None:
    """Write the coarse area's labels, each object where the initial refiner sees it, and measure overfitting."""
    sources, initial = training.sources, training.initial
    if initial is None:
        raise RuntimeError("label correction comes after the initial refiner")
    image, scores = sources.image, training.coarse[0]
    areas, held = sources.pieces("coarse", image.grid)
    imprecise = sources.labels(image.grid)
    engine = EngineChoice("torch", device=training.run.device)
    seen = score_raster(image, ScoreModels(refiner=initial), scores, engine=engine)
    corrected = CorrectedLabels(inside(imprecise, areas), seen, training.project.schema, training.correction)
    path = training.correction_run.folder / CORRECTED_LABELS
    rasterize_file(corrected, path, force=True, block_px=corrected.tile_px)
    training.losses = loss_on(scores, imprecise, areas), loss_on(scores, imprecise, held)


def _folds(training: Training) -> None:
    card = training.coarse[1]
    if card is None or not training.overfitted:
        return
    # Beside the coarse network: refiners that are compared on its scores share them.
    run = replace(training.run, folder=training.paths.coarse.parent / "training" / "folds")
    training.scores, seconds = fold_scores(training.sources, training.coarse[0], card, run)
    training.seconds += seconds


def _refiner(training: Training) -> None:
    extra = _extra_data(training) if _corrects_labels(training.project) else ExtraTrainingData()
    train_refiner(training.sources, training.coarse[0], training.scaling, training.paths.refiner, training.run, extra)


def _extra_data(training: Training) -> ExtraTrainingData:
    """Return the coarse area with corrected labels, and with scores as they would be had the network not seen it."""
    sources, scaling = training.sources, training.scaling
    if scaling is None:
        raise RuntimeError("labels are corrected by the scores of a coarse network")
    areas, _ = sources.pieces("coarse", sources.image.grid)
    scores, budget = training.scores or training.coarse[0], training.run.budget()
    path = training.correction_run.folder / CORRECTED_LABELS
    with closing(open_labels(path, training.project.schema, sources.image.grid)) as labels:
        pieces = patches_of(sources.image, areas, labels, scaling, budget, scores)
    how, losses = training.correction, training.losses
    facts = {
        "reach_m": how.reach_m, "window_m": how.window_m, "sure": how.sure, "folds": FOLDS if training.scores else 0,
        "coarse_loss_learned": round(losses[0], 4), "coarse_loss_held_out": round(losses[1], 4),
    }  # fmt: skip
    return ExtraTrainingData(pieces, training.scores is not None, training.seconds, {"corrected_labels": facts}, budget)


STAGES = (
    Stage("coarse network", "coarse", _trains_coarse, _coarse),
    Stage("initial refiner", "refiner", _corrects_labels, _initial_refiner),
    Stage("label correction", "refiner", _corrects_labels, _correct_labels),
    Stage("folds", "refiner", _corrects_labels, _folds),
    Stage("refiner", "refiner", _trains_refiner, _refiner),
)
"""All stages, in order."""


def train_stages(sources: Sources, paths: ModelPaths, run: TrainingRun, makes: Sequence[str]) -> None:
    """Do the stages of a project's training that serve some models.

    Args:
        sources: The project's inputs.
        paths: Where the models are written.
        run: Where and on what.
        makes: "coarse", "refiner" or both.

    Raises:
        ModelError: If the coarse network is missing, damaged or made for other classes.
        TrainingError: If a training cannot start, or diverges.
        LabelError: If a class has no pixel in the data of a training.
    """
    training = Training(sources, paths, run)
    for stage in STAGES:
        if stage.makes in makes and stage.needed(sources.project):
            stage.work(training)


def initial_section(section: RefinerSection) -> RefinerSection:
    """Return the refiner that labels are corrected with: the project's own if it is the default, else the default."""
    if section.architecture.default:
        return section.model_copy(update={"corrected_labels": False})
    changes = {
        name: getattr(section, name) for name in ("iterations", "augmentation") if name in section.model_fields_set
    }
    return RefinerSection.default().as_kind(RefinerSection.default().kind, **changes)
