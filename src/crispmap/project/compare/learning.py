"""The models of a method: each coarse network and each refiner trained or fitted once, and gone on with where begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crispmap.events import SILENT, Events
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, read_card
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.methods import GIVEN, Method, project_of
from crispmap.project.file import Project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.stages import ModelPaths, train_stages
from crispmap.training.options import TrainerOptions, TrainingRun


@dataclass(frozen=True)
class Models:
    """Where the models of a method lie.

    Attributes:
        coarse: The coarse network's file; None where the project gives scores.
        refiner: The refiner's file, or None.
    """

    coarse: Path | None
    refiner: Path | None

    @property
    def paths(self) -> dict[str, Path]:
        """The files there are to be, by "coarse" and "refiner"."""
        both = {"coarse": self.coarse, "refiner": self.refiner}
        return {name: path for name, path in both.items() if path is not None}

    @property
    def cards(self) -> dict[str, ModelCard]:
        """Their cards, likewise."""
        return {name: read_card(path) for name, path in self.paths.items()}


def models_of(method: Method, root: Path) -> Models:
    """Return where the models of a method lie below the comparison's folder, whether they are there yet or not."""
    coarse = None if method.coarse == GIVEN else root / method.coarse / "coarse.safetensors"
    return Models(coarse, None if method.refiner is None else root / method.name / "refiner.safetensors")


def learn(method: Method, project: Project, root: Path, trainer: TrainerOptions, events: Events = SILENT) -> Models:
    """Train or fit what a method lacks, going on with what was begun; return where its models lie.

    Args:
        method: The method.
        project: The project.
        root: The comparison's folder.
        trainer: What trainings run on, and the memory their data may take.
        events: What progress is reported to.

    Raises:
        CrispmapError: If a training cannot start or diverges, or the ground lacks a class.
    """
    models = models_of(method, root)
    mine = project_of(method, project)
    paths = ModelPaths(models.coarse or root / "coarse.safetensors", models.refiner or root / "refiner.safetensors")
    for makes, model in models.paths.items():
        if not model.exists():
            run = TrainingRun(model.parent / "training", resume=True, trainer=trainer, events=events)
            with open_sources(mine) as sources:
                train_stages(sources, mine, paths, run, [makes])
    return models


def parameters_of(path: Path) -> int:
    """Return how many numbers a model was given by training: weights, support vectors, or fitted numbers."""
    model = load_model(path)
    fitted = model.card.provenance.get("fitted_numbers")
    return int(fitted) if fitted is not None else sum(value.numel() for value in model.network.state_dict().values())


@contextmanager
def opened_coarse(
    method: Method, project: Project, models: Models, device: str
) -> Iterator[tuple[Sources, CoarseScores]]:
    """Open a project's inputs and a method's coarse scores."""
    mine = project_of(method, project)
    with open_sources(mine) as sources:
        yield sources, CoarseScores(mine, models.coarse, device)
