"""The shipped refiner in a project: taken as it is, or where training starts, and kept only where it is best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.data.training_data import Piece, Role, TrainingData, by_image
from crispmap.errors import ProjectError
from crispmap.events import Events
from crispmap.inference.general import general_refiner, leaving_scores, reason_to_leave
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.models.file import save_model
from crispmap.models.model import RefinerModel
from crispmap.models.scaling import Scaling
from crispmap.project.coarse import CoarseScores
from crispmap.project.file import Project
from crispmap.project.file.contradictions import GENERAL
from crispmap.project.held_out import mean_iou_on
from crispmap.raster.scene import SceneReader
from crispmap.refiners.general.network import GeneralRefiner
from crispmap.training.learners import Learned
from crispmap.types import DoubleArray

_ROLES: tuple[Role, ...] = ("refiner", "coarse", "test")
"""Areas whose scenes tell what classes look like, the first that there are: no label of theirs is read."""


def take_shipped(data: TrainingData, project: Project, scores: CoarseScores, path: Path, events: Events) -> None:
    """Write the shipped refiner, fitted to a project's scenes and scores, as its refiner.

    Raises:
        ProjectError: If the project names no area at all.
    """
    pieces = next((found for role in _ROLES if project.has_area(role) and (found := data.pieces(role))), None)
    if pieces is None:
        raise ProjectError(
            f"{project.path.name} names no area.", expected="areas of a scene that is to be mapped",
            remedy="add for example areas: {coarse: [{window: [0, 0, 1024, 1024]}]}",
        )  # fmt: skip
    model = _fitted(project, scores, pieces, None if scores.card is None else scores.card.scaling, data.gsd_m)
    first = pieces[0]
    reason = reason_to_leave(model, first.image, scores.on(first.image, first.scores))
    events.note("No precise piece is given: the shipped refiner is taken as it is")
    if reason:
        model = leaving_scores(model, reason)
        events.note(f"The scores are left as they are: {reason}")
    facts = {"project": project.name, "seed": project.seed, "left_scores": reason}
    card = replace(model.card, provenance={**model.card.provenance, **facts})
    save_model(path, model.network, card, force=True)


def shipped_start(
    project: Project, scores: CoarseScores, pieces: Sequence[Piece], scaling: Scaling, gsd_m: float
) -> RefinerModel | None:
    """Return the shipped refiner that a project's training starts from; None where it trains another."""
    if project.refiner is None or project.refiner.kind != GENERAL:
        return None
    return _fitted(project, scores, pieces, scaling, gsd_m)


def _fitted(
    project: Project, scores: CoarseScores, pieces: Sequence[Piece], scaling: Scaling | None, gsd_m: float
) -> RefinerModel:
    scored = [(same[0].image, scores.on(same[0].image, same[0].scores)) for same in by_image(pieces)]
    return general_refiner(scored, project.schema, gsd_m, scaling)


@dataclass(frozen=True)
class Rivals:
    """What a refiner is held against: the coarse map, recalibrated on the training pieces."""

    scores: CoarseScores
    held: Sequence[Piece]  # pieces that nothing has learned from
    biases: DoubleArray

    def mean_iou(self, refiner: RefinerModel | None) -> float:
        """Return the mean IoU on the held pieces of the refined map, or of the recalibrated coarse map."""

        def scores_of(piece: Piece) -> SceneReader:
            coarse = self.scores.on(piece.image, piece.scores)
            return coarse if refiner is None else score_raster(piece.image, ScoreModels(refiner=refiner), coarse)

        return mean_iou_on(self.held, scores_of, self.scores_names, self.biases if refiner is None else None)

    @property
    def scores_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        piece = self.held[0]
        return tuple(self.scores.on(piece.image, piece.scores).band_names)


def kept_where_best(learned: Learned, start: RefinerModel, rivals: Rivals, events: Events) -> Learned:
    """Return what was learned, or what does better on held-out pieces: the shipped refiner, or recalibration alone.

    Without held-out pieces what was learned is kept. The card tells what each came to.
    """
    if not rivals.held or not isinstance(learned.network, GeneralRefiner):
        return learned
    trained = replace(start, network=learned.network)
    found = {"trained": trained, "as shipped": start, "recalibrated coarse map": None}
    reached = {name: rivals.mean_iou(model) for name, model in found.items()}
    best = max(reached, key=lambda name: reached[name])  # the first of equals
    figures = ", ".join(f"{name} {100 * value:.1f} %" for name, value in reached.items())
    events.note(f"Mean IoU on held-out pieces: {figures}; kept: {best}")
    network = learned.network if best == "trained" else start.network
    if best == "recalibrated coarse map" and isinstance(network, GeneralRefiner):
        network.leave_scores(rivals.biases.tolist())
    facts = {"kept": best, "held_out_mean_iou": {name: round(value, 5) for name, value in reached.items()}}
    return replace(learned, network=network, facts={**learned.facts, **facts})
