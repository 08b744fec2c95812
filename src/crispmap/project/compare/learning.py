"""The models of a method: each coarse network and refiner is trained or fitted once, and resumed if interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crispmap.events import SILENT, Events
from crispmap.models.file import load_model
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.methods import GIVEN, Method, project_of
from crispmap.project.file import Project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.stages import train_stages
from crispmap.training.options import TrainerOptions, TrainingRun


def models_of(method: Method, root: Path) -> dict[str, Path]:
    """Return the model files that a method has by "coarse" and "refiner", whether they exist yet or not."""
    models = {} if method.coarse == GIVEN else {"coarse": root / method.coarse / "coarse.safetensors"}
    return models if method.refiner is None else {**models, "refiner": root / method.name / "refiner.safetensors"}


def learn(
    method: Method, project: Project, root: Path, trainer: TrainerOptions, events: Events = SILENT
) -> dict[str, Path]:
    """Train or fit the models a method lacks, resuming what was interrupted; return its model files."""
    models = models_of(method, root)
    mine = project_of(method, project)
    both = {name: root / f"{name}.safetensors" for name in ("coarse", "refiner")} | models
    for makes, model in models.items():
        if not model.exists():
            run = TrainingRun(model.parent / "training", resume=True, trainer=trainer, events=events)
            with open_sources(mine) as sources:
                train_stages(sources, mine, both, run, [makes])
    return models


def parameters_of(path: Path) -> int:
    """Return how many numbers training gave a model: weights, support vectors, or fitted numbers."""
    model = load_model(path)
    fitted = model.card.provenance.get("fitted_numbers")
    return int(fitted) if fitted is not None else sum(value.numel() for value in model.network.state_dict().values())


@contextmanager
def opened_coarse(method: Method, project: Project, root: Path, device: str) -> Iterator[tuple[Sources, CoarseScores]]:
    """Open a project's inputs and a method's coarse scores."""
    mine = project_of(method, project)
    with open_sources(mine) as sources:
        yield sources, CoarseScores(mine, models_of(method, root).get("coarse"), device)
