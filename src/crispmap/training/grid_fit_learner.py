"""The learner of refiners written by hand, which have a few numbers to fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from crispmap.classes import ClassSchema
from crispmap.models.device import choose_device
from crispmap.models.settings import TrainingSettings
from crispmap.refiners.hand_written import HandWrittenRefiner
from crispmap.training.grid_fit import FitRecord, fit_refiner
from crispmap.training.learners import Learned, Lesson
from crispmap.training.options import TrainingRun
from crispmap.types import CountArray


class GridFitLearner:
    """Looks for the numbers whose map has the best mean IoU on the area."""

    holds_out = False

    def check(
        self,
        settings: TrainingSettings | None,
        shapes: Sequence[tuple[int, int]],
        counts: CountArray,
        schema: ClassSchema,
    ) -> None:
        """Accept any pieces in which every class has a pixel; see ``Learner.check``."""

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:
        """Return the fitted refiner; see ``Learner.learn``."""
        build = cast(Callable[..., HandWrittenRefiner], lesson.build)
        refiner, record = fit_refiner(build, lesson.pieces, seed=lesson.seed, device=str(choose_device(run.device)))
        facts = {
            "settings": record.to_dict(),
            "seconds": record.seconds,
            "class_biases": record.biases,
            "fitted_numbers": _numbers(record),
        }
        return Learned(refiner.eval(), record.seconds, facts)


def _numbers(record: FitRecord) -> int:
    """Return how many numbers a fit chose: its parameters, and a bias for all classes but one."""
    return len(record.parameters) + len(record.biases) - 1
