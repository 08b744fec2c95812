"""The stages of a project's training, in order.

    coarse            the coarse network, on imprecise labels
    fine-tuning       the coarse network goes on with the precise piece, where the project asks for it
    initial refiner   a refiner on the precise piece only            | where the project asks
    correction        the coarse area's labels moved to its scores   | for corrected labels
    folds             coarse networks that did not learn there       | and the coarse network is overfitted
    refiner           the refiner, on the precise piece and what earlier stages have made

Each stage leaves its result in a file, so a training that ends early goes on with the stage it was in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from crispmap.data.patches import PatchSource
from crispmap.data.training_data import Piece, TrainingData, by_image, labels_within, learned_and_held_out
from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.labels.correction import CorrectedLabels, LabelCorrection
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import rasterize_file
from crispmap.models.model import RefinerModel
from crispmap.project.coarse import CoarseScores
from crispmap.project.file import Project, RefinerSection
from crispmap.project.finetuning_check import check_finetuning
from crispmap.project.folds import FOLDS, OVERFITTED, fold_scores, loss_on
from crispmap.project.general import take_shipped
from crispmap.project.training import (
    ExtraTrainingData,
    finetune_coarse,
    patches_of,
    refiner_section,
    train_coarse,
    train_refiner,
)
from crispmap.training.options import TrainingRun

CORRECTED_LABELS = "corrected_labels.tif"
"""The corrected labels a refiner learned from, in the folder of its training, on the scene's grid."""


@dataclass
class Training:
    """A training under way: its inputs, and what its stages have made so far."""

    data: TrainingData
    project: Project
    models: Mapping[str, Path]  # the files of "coarse", "finetuned" and "refiner"
    run: TrainingRun
    initial: RefinerModel | None = None
    losses: tuple[float, float] = (0.0, 0.0)  # of the coarse network, on its training data and on held-out data
    scores: CoarseScores | None = None  # for the coarse area, where not those of the coarse network itself
    seconds: float = 0.0  # spent on preparing the refiner's training data
    correction: LabelCorrection = field(default_factory=LabelCorrection)

    @cached_property
    def coarse(self) -> CoarseScores:
        """The coarse scores: those given, or those of the trained network, fine-tuned where it is."""
        name = "coarse" if self.project.finetune is None else "finetuned"
        return CoarseScores(self.project, self.models[name], self.run.device)

    @cached_property
    def coarse_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """The coarse network's training pieces and those held out, at the refiner's ground sampling distance."""
        return learned_and_held_out(self.data, "coarse", gsd_m=self.data.gsd_m)

    @property
    def correction_run(self) -> TrainingRun:
        """Where label correction is kept."""
        return self.run.below("correction", "for label correction")

    def corrected_labels(self, pieces: Sequence[Piece]) -> Path:
        """Return where the corrected labels of the pieces of one image are kept."""
        folder = self.correction_run.folder
        several = len(by_image(self.coarse_pieces[0])) > 1
        return (folder / pieces[0].scene if several else folder) / CORRECTED_LABELS


@dataclass(frozen=True)
class Stage:
    """One stage of a training."""

    name: str
    makes: str  # the model it serves: "coarse", "finetuned" or "refiner"
    needed: Callable[[Project], bool]
    work: Callable[[Training], None]


def _corrects_labels(project: Project) -> bool:
    return not project.scores_given and project.refiner is not None and project.refiner.corrected_labels


def _coarse(training: Training) -> None:
    train_coarse(training.data, training.project, training.models["coarse"], training.run)


def _finetune(training: Training) -> None:
    models = training.models
    finetune_coarse(training.data, training.project, models["coarse"], models["finetuned"], training.run)
    both = models["coarse"], models["finetuned"]
    found = check_finetuning(training.data, training.project, both, training.run.device)
    if found is not None:
        training.run.events.note(found.text)


def _initial_refiner(training: Training) -> None:
    run = training.correction_run
    project = replace(training.project, refiner=initial_section(refiner_section(training.project)))
    path = run.folder / "refiner.safetensors"
    training.initial = train_refiner(training.data, project, training.coarse, path, run)
    training.seconds += float(training.initial.card.provenance["seconds"])


def _correct_labels(training: Training) -> None:
    """Move the imprecise labels to the initial refiner's scores, and measure the coarse network's losses."""
    if training.initial is None:
        raise RuntimeError("label correction comes after the initial refiner")
    pieces, held_out = training.coarse_pieces
    engine = EngineChoice("torch", device=training.run.device)
    for on_image in by_image(pieces):
        image, scores = on_image[0].image, training.coarse.on(on_image[0].image, on_image[0].scores)
        refined = score_raster(image, ScoreModels(refiner=training.initial), scores, engine=engine)
        corrected = CorrectedLabels(labels_within(on_image), refined, training.project.schema, training.correction)
        path = training.corrected_labels(on_image)
        path.parent.mkdir(parents=True, exist_ok=True)
        rasterize_file(corrected, path, force=True, block_px=corrected.tile_px)
    training.losses = loss_on(training.coarse, pieces), loss_on(training.coarse, held_out)


def _folds(training: Training) -> None:
    learned, held_out = training.losses
    if held_out <= OVERFITTED * learned:
        return
    # In the coarse network's folder: refiners that are compared on its scores share them.
    run = replace(training.run, folder=training.models["coarse"].parent / "training" / "folds")
    training.scores, seconds = fold_scores(training.data, training.project, training.coarse, run)
    training.seconds += seconds


def _refiner(training: Training) -> None:
    if not training.project.learns_refiner:
        take_shipped(training.data, training.project, training.coarse, training.models["refiner"], training.run.events)
        return
    extra = _extra_data(training) if _corrects_labels(training.project) else ExtraTrainingData()
    train_refiner(training.data, training.project, training.coarse, training.models["refiner"], training.run, extra)


def _extra_data(training: Training) -> ExtraTrainingData:
    """Return the coarse area with corrected labels, and with scores by networks that did not learn there."""
    card = training.coarse.card
    if card is None:
        raise RuntimeError("labels are corrected by the scores of a coarse network")
    budget, pieces = training.run.budget(), list[PatchSource]()
    for same in by_image(training.coarse_pieces[0]):
        path = training.corrected_labels(same)
        with closing(open_labels(path, training.project.schema, same[0].image.grid)) as labels:
            corrected = [replace(piece, labels=labels) for piece in same]
            pieces += patches_of(corrected, card.scaling, budget, training.scores or training.coarse)
    how, losses = training.correction, training.losses
    facts = {
        "reach_m": how.reach_m, "window_m": how.window_m, "sure": how.sure, "folds": FOLDS if training.scores else 0,
        "coarse_loss_learned": round(losses[0], 4), "coarse_loss_held_out": round(losses[1], 4),
    }  # fmt: skip
    return ExtraTrainingData(pieces, training.scores is not None, training.seconds, {"corrected_labels": facts}, budget)


STAGES = (
    Stage("coarse network", "coarse", lambda project: not project.scores_given, _coarse),
    Stage("fine-tuning", "finetuned", lambda project: project.finetune is not None, _finetune),
    Stage("initial refiner", "refiner", _corrects_labels, _initial_refiner),
    Stage("label correction", "refiner", _corrects_labels, _correct_labels),
    Stage("folds", "refiner", _corrects_labels, _folds),
    Stage("refiner", "refiner", lambda project: project.refiner is not None, _refiner),
)


def train_stages(
    data: TrainingData, project: Project, models: Mapping[str, Path], run: TrainingRun, makes: Sequence[str]
) -> None:
    """Run the stages of a project's training that serve the models ``makes``, such as "refiner".

    All model files are named, those that are made by others too: one model learns from the scores of another.
    """
    training = Training(data, project, models, run)
    for stage in STAGES:
        if stage.makes in makes and stage.needed(project):
            stage.work(training)


def initial_section(section: RefinerSection) -> RefinerSection:
    """Return the refiner that labels are corrected with: the project's own if it is the default, else the default."""
    if section.architecture.default:
        return section.model_copy(update={"corrected_labels": False})
    changes = {
        name: getattr(section, name) for name in ("iterations", "augmentation") if name in section.model_fields_set
    }
    return RefinerSection.default().as_kind(RefinerSection.default().kind, **changes)
