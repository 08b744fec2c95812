"""Checks whether methods can be trained, before the first training."""

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
    """Return, by method, why a model it still lacks cannot be trained on the project's areas."""
    with open_sources(project) as sources:
        checks = TrainingPreflight(sources)
        reasons = {method: _failure_of(method, project, checks, root) for method in methods}
    return {method: reason for method, reason in reasons.items() if reason}


def _failure_of(method: Method, project: Project, checks: TrainingPreflight, root: Path) -> str:
    mine, check = project_of(method, project), {"coarse": checks.check_coarse, "refiner": checks.check_refiner}
    for name, path in models_of(method, root).items():
        try:
            if not path.exists():
                check[name](mine)
        except Exception as error:  # an error of one method must not stop the others
            its_coarse = name == "coarse" and method.refiner is not None
            return f"Its coarse network failed: {reason_of(error)}" if its_coarse else reason_of(error)
    return ""


def reason_of(error: Exception) -> str:
    """Return an error as one sentence."""
    if isinstance(error, CrispmapError):
        return error.given
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
