"""The learner of support vector machines."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from typing import cast

from crispmap.classes import ClassSchema
from crispmap.data.pixels import check_enough
from crispmap.models.settings import TrainingSettings
from crispmap.models.svm.network import SupportVectorNetwork
from crispmap.training.learners import Learned, Lesson
from crispmap.training.options import TrainingRun
from crispmap.training.svm import fit_svm
from crispmap.types import CountArray


class SvmLearner:
    """Fits a classifier to 1,000 pixels of every class, each time anew: it has no state to resume."""

    holds_out = True

    def check(
        self,
        settings: TrainingSettings | None,
        shapes: Sequence[tuple[int, int]],
        counts: CountArray,
        schema: ClassSchema,
    ) -> None:
        """Check that every class has enough pixels; see ``Learner.check``."""
        check_enough(counts, schema.names)

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:
        """Return the fitted classifier; see ``Learner.learn``."""
        build = cast(Callable[..., SupportVectorNetwork], lesson.build)
        result = fit_svm(build, lesson.pieces, lesson.validation, lesson.schema, seed=lesson.seed)
        facts = {
            "settings": result.to_dict(),
            "seconds": round(result.seconds, 1),
            "validation_mean_iou": result.score,
            "scikit-learn": importlib.metadata.version("scikit-learn"),
        }
        return Learned(result.network, result.seconds, facts)
