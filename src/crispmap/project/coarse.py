"""The coarse scores of a project: those another tool gave, or those of a trained network."""

from __future__ import annotations

from pathlib import Path

from crispmap.errors import ModelError
from crispmap.inference.engines import EngineChoice
from crispmap.inference.scores import ScoreModels, score_raster
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model
from crispmap.project.file import Project
from crispmap.project.inputs import Sources
from crispmap.raster.scene import Scene


def open_coarse(sources: Sources, model: Path | None, device: str) -> tuple[Scene, ModelCard | None]:
    """Return coarse scores on the working grid: those given, or those of a model, computed when read, and its card.

    Args:
        sources: The project's inputs.
        model: The coarse network's file; not looked at where the project gives scores.
        device: "auto", "cpu" or "cuda".

    Raises:
        ModelError: If there is neither, or the model is missing, damaged or made for other classes.
    """
    given = sources.given_scores()
    if given is not None:
        return given, None
    if model is None:
        raise ModelError("There are no coarse scores.", expected="a coarse network, or scores of another tool")
    coarse = load_model(model, kind="coarse")
    check_classes(coarse.card, sources.project, model)
    engine = EngineChoice("torch", device=device)
    return score_raster(sources.image, ScoreModels(coarse), engine=engine), coarse.card


def check_classes(card: ModelCard, project: Project, path: Path) -> None:
    """Check that a model knows a project's classes.

    Raises:
        ModelError: If it was made for others.
    """
    if card.schema.names != project.schema.names:
        raise ModelError(
            f"{path} knows the classes {', '.join(card.schema.names)}.",
            expected=f"those of {project.path.name}: {', '.join(project.schema.names)}",
            remedy="train again with --force, or put the classes back",
        )
