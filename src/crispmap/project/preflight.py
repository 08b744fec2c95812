"""What keeps a project's maps from being scored, or its trainings from starting; checked before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from crispmap.data.patches import checked_counts
from crispmap.data.training_data import Piece, TrainingData, learned_and_held_out
from crispmap.errors import LabelError, ProjectError, TrainingError
from crispmap.project.file import Project
from crispmap.types import IGNORE, CountArray

if TYPE_CHECKING:
    from crispmap.models.architecture import Architecture
    from crispmap.training.learners import Learner


def require_precise(project: Project, roles: Sequence[str], *, so: str = "", remedy: str) -> None:
    """Check that a project names precise labels, and areas for all of some roles."""
    lacking = [f"{role} area" for role in roles if not project.has_area(role)]
    if not project.has_reference:
        lacking = ["reference"]
    if lacking:
        raise ProjectError(
            f"{project.path.name} names no {lacking[0]}{so}.",
            expected=f"precise labels under reference:, and pieces under areas: {' and '.join(f'{r}:' for r in roles)}",
            remedy=remedy,
        )


class TrainingPreflight:
    """The data of a project's trainings, checked before they start; labels are counted once, however often asked."""

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._coarse_pieces: dict[tuple[float, int], tuple[list[Piece], CountArray]] = {}  # by pixel size and step

    def check_coarse(self, project: Project) -> None:
        """Check that the coarse network can be trained."""
        with _errors_about(f"{project.coarse.kind} cannot be trained on areas: coarse: of {project.path.name}."):
            _check_network(project, *self._coarse(project))

    def check_finetuning(self, project: Project) -> None:
        """Check that the coarse network can be fine-tuned."""
        from crispmap.project.training import finetuning_settings

        gsd_m = project.coarse.gsd_m or self._data.gsd_m
        pieces, _ = learned_and_held_out(self._data, "refiner", gsd_m=gsd_m)
        with _errors_about(f"The network cannot be fine-tuned on areas: refiner: of {project.path.name}."):
            counts = checked_counts(_counted(pieces), project.schema.names)
            learner = _learner(project.coarse.architecture)
            learner.check(finetuning_settings(project, _shapes(pieces)), _shapes(pieces), counts, project.schema)

    def check_refiner(self, project: Project) -> None:
        """Check that the refiner can be trained."""
        # torch takes a second to import, and maps of scores need none of it.
        from crispmap.project.training import refiner_section, refiner_settings

        section = refiner_section(project)
        if not project.learns_refiner:
            return
        learner = _learner(section.architecture)
        gsd_m = self._data.gsd_m
        pieces, _ = learned_and_held_out(self._data, "refiner", gsd_m=gsd_m, hold_out=learner.holds_out)
        with _errors_about(f"The refiner cannot be trained on areas: refiner: of {project.path.name}."):
            counts = checked_counts(self._refiner_counts, project.schema.names)
            learner.check(refiner_settings(project), _shapes(pieces), counts, project.schema)
        if section.corrected_labels:
            self._check_folds(project)

    def _check_folds(self, project: Project) -> None:
        """Check that coarse networks can be trained on parts of the coarse area, and the refiner on the whole."""
        from crispmap.project.folds import FOLDS, others
        from crispmap.project.training import refiner_section, refiner_settings

        pieces, _ = self._coarse(project)
        with _errors_about(f"Labels cannot be corrected on areas: coarse: of {project.path.name}, cut in {FOLDS}."):
            whole, _ = learned_and_held_out(self._data, "coarse", gsd_m=self._data.gsd_m)
            counts = np.zeros(len(project.schema), np.int64)
            learner = _learner(refiner_section(project).architecture)
            learner.check(refiner_settings(project), _shapes(whole), counts, project.schema)
            for index in range(FOLDS):
                left = others(index, pieces)
                _check_network(project, left, _counted(left))

    def _coarse(self, project: Project) -> tuple[list[Piece], CountArray]:
        """Return what the coarse network learns from, and its pixels of each id."""
        gsd_m, squares = project.coarse.gsd_m or self._data.gsd_m, project.coarse.squares
        key = gsd_m, 1 if squares is None else squares.side_px
        if key not in self._coarse_pieces:
            pieces, _ = learned_and_held_out(self._data, "coarse", gsd_m=gsd_m, step_px=key[1])
            self._coarse_pieces[key] = pieces, _counted(pieces)
        return self._coarse_pieces[key]

    @cached_property
    def _refiner_counts(self) -> CountArray:
        pieces, _ = learned_and_held_out(self._data, "refiner", gsd_m=self._data.gsd_m)
        return _counted(pieces)


@contextmanager
def _errors_about(what: str) -> Iterator[None]:
    try:
        yield
    except (LabelError, TrainingError) as error:
        raise type(error)(f"{what} {error.given}", expected=error.expected, remedy=error.remedy) from error


def _learner(architecture: Architecture) -> Learner:
    from crispmap.training.learners import learner_of

    return learner_of(architecture)


def _check_network(project: Project, pieces: Sequence[Piece], labelled: CountArray) -> None:
    from crispmap.project.training import coarse_settings

    counts = checked_counts(labelled, project.schema.names)
    learner = _learner(project.coarse.architecture)
    learner.check(coarse_settings(project, _shapes(pieces)), _shapes(pieces), counts, project.schema)


def _shapes(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    return [piece.shape for piece in pieces]


def _counted(pieces: Sequence[Piece]) -> CountArray:
    """Return the number of pixels of each id over some pieces, (256,)."""
    counts = np.zeros(IGNORE + 1, dtype=np.int64)
    for piece in pieces:
        for _, ids in piece.labelled_blocks():
            counts += np.bincount(ids.ravel(), minlength=IGNORE + 1)
    return counts
