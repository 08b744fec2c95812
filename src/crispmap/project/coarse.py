"""The coarse scores of a project: those another tool gave, or those of a trained network."""

from __future__ import annotations

from pathlib import Path

from crispmap.errors import ModelError
from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model
from crispmap.project.file import Project
from crispmap.raster.scene import Scene


class CoarseScores:
    """Coarse scores of any image: those given with it or those of a network, computed when read."""

    def __init__(self, project: Project, model: Path | None, device: str) -> None:
        self._model = None
        self._engine = EngineChoice("torch", device=device)
        self._rasters: dict[int, tuple[Scene, Scene]] = {}  # by id of the image, which is kept with its scores
        self.card: ModelCard | None = None  # the network's; None where scores are given
        if project.scores_given:
            return
        if model is None:
            raise ModelError("There are no coarse scores.", expected="a coarse network, or scores of another tool")
        self._model = load_model(model, kind="coarse")
        self.card = self._model.card
        check_classes(self.card, project, model)

    def on(self, image: Scene, given: Scene | None) -> Scene:
        """Return the scores of an image on its grid, one band a class; ``given`` are those of another tool."""
        if id(image) not in self._rasters:
            scores = score_raster(image, ScoreModels(self._model), given, engine=self._engine)
            self._rasters[id(image)] = image, scores
        return self._rasters[id(image)][1]


def check_classes(card: ModelCard, project: Project, path: Path) -> None:
    """Check that a model has a project's classes, or raise ModelError."""
    if card.schema.names != project.schema.names:
        raise ModelError(
            f"{path} has the classes {', '.join(card.schema.names)}.",
            expected=f"those of {project.path.name}: {', '.join(project.schema.names)}",
            remedy="train again with force=True, or put the classes back",
        )
