"""What keeps methods from being made, found before the first training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crispmap.errors import CrispmapError
from crispmap.project.compare.learning import models_of
from crispmap.project.compare.methods import Method, project_of
from crispmap.project.file import Project
from crispmap.project.inputs import open_sources
from crispmap.project.preflight import TrainingPreflight


def preflight_failures(methods: Sequence[Method], project: Project, root: Path) -> dict[Method, str]:
    """Return, by method, why a model it still lacks cannot be trained on the project's areas; "" of those it can.

    Args:
        methods: Methods whose project lacks nothing they need.
        project: The project.
        root: The comparison's folder.
    """
    with open_sources(project) as sources:
        ground = TrainingPreflight(sources)
        return {method: _failure_of(method, project, ground, root) for method in methods}


def _failure_of(method: Method, project: Project, ground: TrainingPreflight, root: Path) -> str:
    models = models_of(method, root)
    mine = project_of(method, project)
    if models.coarse is not None and not models.coarse.exists():
        try:
            ground.check_coarse(mine)
        except Exception as error:  # whatever it is, it is of this method alone
            return reason_of(error) if method.refiner is None else f"Its coarse network failed: {reason_of(error)}"
    if models.refiner is not None and not models.refiner.exists():
        try:
            ground.check_refiner(mine)
        except Exception as error:  # whatever it is, it is of this method alone
            return reason_of(error)
    return ""


def reason_of(error: Exception) -> str:
    """Return an error as one sentence."""
    if isinstance(error, CrispmapError):
        return error.given
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
