"""What keeps maps from being scored, or a training from starting, on a project's ground; told before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from crispmap.data.patches import checked_counts
from crispmap.errors import LabelError, ProjectError, TrainingError
from crispmap.geo.areas import Area
from crispmap.geo.grid import Grid
from crispmap.labels.reader import LabelReader
from crispmap.project.file import Project
from crispmap.project.inputs import Sources, labelled_blocks
from crispmap.types import IGNORE, CountArray

if TYPE_CHECKING:
    from crispmap.models.architecture import Architecture
    from crispmap.training.learners import Learner


def require_precise(project: Project, roles: Sequence[str], *, so: str = "", remedy: str) -> None:
    """Check that a project names precise labels, and ground for every one of some roles.

    Args:
        project: The project.
        roles: Such as "refiner" and "test".
        so: What follows from the lack, told after it.
        remedy: What to do about it.

    Raises:
        ProjectError: If it does not.
    """
    lacking = [f"{role} area" for role in roles if not project.areas.get(role)]
    if project.reference is None:
        lacking = ["reference"]
    if lacking:
        raise ProjectError(
            f"{project.path.name} names no {lacking[0]}{so}.",
            expected=f"precise labels under reference:, and pieces under areas: {' and '.join(f'{r}:' for r in roles)}",
            remedy=remedy,
        )


class TrainingPreflight:
    """The ground of a project's trainings, looked at before they start; labels are counted once, however often asked.

    Args:
        sources: The project's inputs.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def check_coarse(self, project: Project) -> None:
        """Check that the coarse network can be trained.

        Args:
            project: The project, or the same one with another coarse network.

        Raises:
            ProjectError: If there are no labels, or no ground for it.
            LabelError: If a class has no pixel there, or too few for a support vector machine.
            TrainingError: If a piece is smaller than a patch.
        """
        with _errors_about(f"{project.coarse.kind} cannot be trained on areas: coarse: of {project.path.name}."):
            _check_network(project, *self._coarse)

    def check_refiner(self, project: Project) -> None:
        """Check that the refiner can be trained.

        Args:
            project: The project, or the same one with another refiner.

        Raises:
            ProjectError: If there is no reference, or no ground for it.
            LabelError: If a class has no pixel there, or in a part of the coarse ground it is to learn from.
            TrainingError: If a piece is smaller than a patch.
        """
        # torch takes a second to import, and maps of scores need none of it.
        from crispmap.project.training import refiner_section, refiner_settings

        section = refiner_section(project)
        learner = _learner(section.architecture)
        areas, _ = self._sources.pieces("refiner", self._sources.image.grid, hold_out=learner.holds_out)
        with _errors_about(f"The refiner cannot be trained on areas: refiner: of {project.path.name}."):
            counts = checked_counts(self._refiner_counts, project.schema.names)
            learner.check(refiner_settings(project), _shapes(areas), counts, project.schema)
        if section.corrected_labels:
            self._check_folds(project)

    def _check_folds(self, project: Project) -> None:
        """Check that coarse networks can be trained on parts of the coarse area, and the refiner on the whole."""
        from crispmap.project.folds import FOLDS, others
        from crispmap.project.training import refiner_section, refiner_settings

        sources, (areas, _) = self._sources, self._coarse
        with _errors_about(f"Labels cannot be corrected on areas: coarse: of {project.path.name}, cut in {FOLDS}."):
            whole = sources.pieces("coarse", sources.image.grid)[0]
            counts = np.zeros(len(project.schema), np.int64)
            learner = _learner(refiner_section(project).architecture)
            learner.check(refiner_settings(project), _shapes(whole), counts, project.schema)
            for index in range(FOLDS):
                left = others(index, areas)
                _check_network(project, left, _counted(left, sources.labels(self._coarse_grid)))

    @cached_property
    def _coarse(self) -> tuple[list[Area], CountArray]:
        areas, _ = self._sources.pieces("coarse", self._coarse_grid)
        return areas, _counted(areas, self._sources.labels(self._coarse_grid))

    @property
    def _coarse_grid(self) -> Grid:
        sources = self._sources
        return sources.image_at(sources.project.coarse.gsd_m or sources.gsd_m).grid

    @cached_property
    def _refiner_counts(self) -> CountArray:
        grid = self._sources.image.grid
        areas, _ = self._sources.pieces("refiner", grid)
        return _counted(areas, self._sources.reference(grid))


@contextmanager
def _errors_about(what: str) -> Iterator[None]:
    """Put what cannot be done before the reason."""
    try:
        yield
    except (LabelError, TrainingError) as error:
        raise type(error)(f"{what} {error.given}", expected=error.expected, remedy=error.remedy) from error


def _learner(architecture: Architecture) -> Learner:
    from crispmap.training.learners import learner_of

    return learner_of(architecture)


def _check_network(project: Project, areas: Sequence[Area], labelled: CountArray) -> None:
    """Check that a project's coarse network can be trained on areas with so many pixels of each id."""
    from crispmap.project.training import coarse_settings

    counts = checked_counts(labelled, project.schema.names)
    learner = _learner(project.coarse.architecture)
    learner.check(coarse_settings(project), _shapes(areas), counts, project.schema)


def _shapes(areas: Sequence[Area]) -> list[tuple[int, int]]:
    return [area.block.shape for area in areas]


def _counted(areas: Sequence[Area], labels: LabelReader) -> CountArray:
    """Return the number of pixels of each id on some ground, (256,)."""
    counts = np.zeros(IGNORE + 1, dtype=np.int64)
    for _, ids in labelled_blocks(labels, areas):
        counts += np.bincount(ids.ravel(), minlength=IGNORE + 1)
    return counts
