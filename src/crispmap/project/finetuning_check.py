"""Whether fine-tuning helped: the network before and after it, on the ground held out of the precise piece.

Fine-tuning on too small a piece makes a network worse than it was, and nothing else in a training would show it: the
best weights are chosen among those of the fine-tuning alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.data.training_data import TrainingData, learned_and_held_out
from crispmap.project.coarse import CoarseScores
from crispmap.project.file import Project
from crispmap.project.held_out import mean_iou_on


@dataclass(frozen=True)
class FinetuningCheck:
    """Mean IoU on the held-out ground, 0..1."""

    before: float  # of the coarse network
    after: float  # of the fine-tuned one

    @property
    def text(self) -> str:
        """What a person should know: a warning where fine-tuning made the network worse."""
        figures = (
            f"mean IoU {100 * self.before:.1f} before, {100 * self.after:.1f} after fine-tuning, on held-out ground"
        )
        if self.after >= self.before:
            return f"Fine-tuning: {figures}."
        return (
            f"WARNING: fine-tuning made the network worse: {figures}. The precise piece may be too small: enlarge "
            "areas: refiner:, or set finetune: false to keep the coarse network."
        )


def check_finetuning(
    data: TrainingData, project: Project, models: tuple[Path, Path], device: str
) -> FinetuningCheck | None:
    """Return how the coarse and the fine-tuned network, given by their files, do on the held-out ground.

    None where nothing is held out, or the network labels squares of pixels.
    """
    _, held = learned_and_held_out(data, "refiner", gsd_m=data.gsd_m)
    if not held or project.coarse.squares is not None:
        return None

    def reached(model: Path) -> float:
        scores = CoarseScores(project, model, device)
        return mean_iou_on(held, lambda piece: scores.on(piece.image, piece.scores), project.schema.names)

    before, after = map(reached, models)
    return FinetuningCheck(before, after) if np.isfinite((before, after)).all() else None
