"""The learner of networks and refiners that are trained in steps by gradients."""

from __future__ import annotations

import torch

from crispmap.classes import ClassSchema
from crispmap.data.sampling import check_patch
from crispmap.models.base import CoarseNetwork
from crispmap.models.settings import TrainingSettings
from crispmap.training.learners import Learned, Lesson, Shapes
from crispmap.training.options import TrainingRun
from crispmap.training.run import train
from crispmap.training.task import CoarseTask, RefinerTask
from crispmap.types import CountArray


class GradientLearner:
    """Trains in steps on random patches; see ``crispmap.training.run``."""

    holds_out = True

    def check(self, settings: TrainingSettings | None, shapes: Shapes, counts: CountArray, schema: ClassSchema) -> None:
        """Check that every piece is as large as a patch; see ``Learner.check``."""
        for shape in shapes:
            check_patch(shape, 1 if settings is None else settings.patch_px)

    def learn(self, lesson: Lesson, run: TrainingRun) -> Learned:  # noqa: D102 - as the protocol
        torch.manual_seed(lesson.seed)
        network, settings = lesson.build(), lesson.training
        task = (
            CoarseTask(network, settings, lesson.schema)
            if isinstance(network, CoarseNetwork)
            else RefinerTask(network, settings, lesson.schema)
        )
        title = "fine-tuning" if lesson.name == "finetuned" else task.title
        task.title = f"{title} {run.part}".rstrip()
        result = train(
            task, lesson.pieces, lesson.validation, run.below(lesson.name or lesson.architecture.kind, run.part)
        )
        facts = {
            "settings": task.settings.to_dict(),
            "precision": result.precision,
            "steps": result.steps,
            "best_step": result.best_step,
            "seconds": round(result.seconds, 1),
            "validation_mean_iou": result.best_score,
        }
        return Learned(network, result.seconds, facts)
