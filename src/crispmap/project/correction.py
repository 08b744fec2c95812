"""A refiner's training on more than its precise piece: on the coarse ground too, with labels set right.

A first refiner, trained on the precise piece alone, sees where the objects of the coarse ground are; the imprecise
labels are moved there, and left out where the two contradict each other. If the coarse network has learned that ground
by heart, its scores there are by networks that did not learn on it, as they will be wherever the refiner is used.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from crispmap.data.scaling import Scaling
from crispmap.inference.engines import EngineChoice
from crispmap.inference.refine import refined_scores
from crispmap.labels.correction import AlignedLabels, Alignment
from crispmap.labels.mask import open_labels
from crispmap.labels.rasterize import rasterize_file
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model
from crispmap.project.coarse import open_coarse
from crispmap.project.file import RefinerSection
from crispmap.project.folds import FOLDS, OVERFITTED, fold_scores, loss_on
from crispmap.project.inputs import Sources, inside
from crispmap.project.training import ExtraTrainingData, Run, scored_grounds, train_refiner
from crispmap.raster.scene import Scene

ALIGNED_LABELS = "aligned_labels.tif"
"""In the folder of a refiner's training: the labels it learned from beside the precise ones, on the scene's grid."""


def train_project_refiner(sources: Sources, coarse_model: Path | None, path: Path, run: Run) -> ModelCard:
    """Train the project's refiner on the coarse scores it has, and write its model file; return its card.

    Args:
        sources: The project's inputs.
        coarse_model: The coarse network's file; not looked at where the project gives scores.
        path: The model file.
        run: Where and how.

    Raises:
        ModelError: If the coarse network is missing, damaged or made for other classes.
        TrainingError: If a training cannot start, or diverges.
        LabelError: If a class has no pixel in the ground of a training.
    """
    scores, card = open_coarse(sources, coarse_model, run.device)
    scaling = None if card is None else Scaling.of(card)
    section = sources.project.refiner
    more = ExtraTrainingData()
    if section is not None and section.aligned_labels and card is not None and coarse_model is not None:
        # Beside the coarse network: refiners that are compared on its scores share them.
        folds = replace(run, folder=coarse_model.parent / "training" / "folds")
        more = _aligned_ground(sources, section, scores, card, run.below("aligned", "to align with"), folds)
    return train_refiner(sources, scores, scaling, path, run, more)


def _aligned_ground(
    sources: Sources, section: RefinerSection, scores: Scene, card: ModelCard, run: Run, folds: Run
) -> ExtraTrainingData:
    """Return the coarse ground with aligned labels, and with scores as they would be had the network not seen it."""
    image, scaling, how = sources.image, Scaling.of(card), Alignment()
    areas, held = sources.pieces("coarse", image.grid)
    imprecise = sources.labels(image.grid)
    refined, first = _initial_refiner(sources, section, scores, scaling, run)
    aligned = AlignedLabels(inside(imprecise, areas), refined, sources.project.schema, how)
    path = run.folder / ALIGNED_LABELS
    rasterize_file(aligned, path, force=True, block_px=aligned.tile_px)
    seconds = float(first.provenance["seconds"])
    losses = [loss_on(scores, imprecise, part) for part in (areas, held)]
    overfitted = losses[1] > OVERFITTED * losses[0]
    if overfitted:
        scores, more = fold_scores(sources, scores, card, folds)
        seconds += more
    with closing(open_labels(path, sources.project.schema, image.grid)) as labels:
        grounds = scored_grounds(image, areas, labels, scaling, scores)
    facts = {
        "reach_m": how.reach_m, "window_m": how.window_m, "sure": how.sure, "folds": FOLDS if overfitted else 0,
        "coarse_loss_learned": round(losses[0], 4), "coarse_loss_held_out": round(losses[1], 4),
    }  # fmt: skip
    return ExtraTrainingData(grounds, overfitted, seconds, {"aligned_labels": facts})


def _initial_refiner(
    sources: Sources, section: RefinerSection, scores: Scene, scaling: Scaling, run: Run
) -> tuple[Scene, ModelCard]:
    """Return the scene's scores refined by a first refiner, computed when read, and the refiner's card."""
    path = run.folder / "refiner.safetensors"
    first = sources.of(replace(sources.project, refiner=initial_refiner_section(section)))
    card = train_refiner(first, scores, scaling, path, run)
    engine = EngineChoice("torch", device=run.device)
    return refined_scores(scores, sources.image, load_model(path)[0], card, engine=engine), card


def initial_refiner_section(section: RefinerSection) -> RefinerSection:
    """Return the refiner that labels are aligned with: the project's own if it is an RNN, else the RNN by default."""
    if section.network == "rnn":
        return section.model_copy(update={"aligned_labels": False})
    return RefinerSection(steps=section.steps, symmetries=section.symmetries)
