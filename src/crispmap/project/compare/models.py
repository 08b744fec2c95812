"""The models of a method: each coarse network and refiner is trained or fitted once, and resumed if interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crispmap.events import SILENT, Events
from crispmap.labels.kept import KeptVectors
from crispmap.models.file import load_model
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.methods import GIVEN, Method, project_of
from crispmap.project.file import Project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.stages import train_stages
from crispmap.training.options import TrainerOptions, TrainingRun


def models_of(method: Method, root: Path) -> dict[str, Path]:
    """Return the model files of a method by "coarse", "finetuned" and "refiner", whether they exist yet or not."""
    models = {}
    for one in (*method.needs, method):
        made = "refiner" if one.refiner is not None else "finetuned" if one.finetuned else "coarse"
        if one.coarse != GIVEN or made == "refiner":
            models[made] = root / one.name / f"{made}.safetensors"
    return models


def mapped_with(models: dict[str, Path]) -> dict[str, Path]:
    """Return the models that a method's map is computed with, by "coarse" and "refiner"."""
    coarse = models.get("finetuned", models.get("coarse"))
    found = {"coarse": coarse, "refiner": models.get("refiner")}
    return {name: path for name, path in found.items() if path is not None}


def train_missing(
    method: Method,
    project: Project,
    root: Path,
    trainer: TrainerOptions,
    events: Events = SILENT,
    vectors: KeptVectors | None = None,
) -> dict[str, Path]:
    """Train or fit the models a method lacks, resuming what was interrupted; return its model files."""
    models = models_of(method, root)
    mine = project_of(method, project)
    every = {name: root / f"{name}.safetensors" for name in ("coarse", "finetuned", "refiner")} | models
    for makes, model in models.items():
        if not model.exists():
            run = TrainingRun(model.parent / "training", resume=True, trainer=trainer, events=events)
            with open_sources(mine, vectors) as sources:
                train_stages(sources, mine, every, run, [makes])
    return models


def parameters_of(path: Path) -> int:
    """Return how many numbers training gave a model: weights, support vectors, or fitted numbers."""
    model = load_model(path)
    fitted = model.card.provenance.get("fitted_numbers")
    return int(fitted) if fitted is not None else sum(value.numel() for value in model.network.state_dict().values())


@contextmanager
def opened_coarse(
    method: Method, project: Project, root: Path, device: str, vectors: KeptVectors | None = None
) -> Iterator[tuple[Sources, CoarseScores]]:
    """Open a project's inputs and a method's coarse scores."""
    mine = project_of(method, project)
    with open_sources(mine, vectors) as sources:
        yield sources, coarse_scores(method, project, root, device)


def coarse_scores(method: Method, project: Project, root: Path, device: str) -> CoarseScores:
    """Return a method's scores before refinement."""
    return CoarseScores(project_of(method, project), mapped_with(models_of(method, root)).get("coarse"), device)
