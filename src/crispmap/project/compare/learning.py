"""The models of a method: each coarse network and each refiner trained or fitted once, and gone on with where begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.data.scaling import Scaling, measure_scaling, scaled_input
from crispmap.errors import TrainingError
from crispmap.evaluate.readers import UnitedGround
from crispmap.geo.areas import Area, box_of
from crispmap.inference.engines.device import choose_device
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, read_card, save_model
from crispmap.project.coarse import open_coarse
from crispmap.project.compare.methods import FITTED, GIVEN, LEARNED, Method, project_of
from crispmap.project.correction import train_project_refiner
from crispmap.project.file import Project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.training import Run, model_card, train_coarse
from crispmap.raster.scene import Scene
from crispmap.training.grid_fit import FitRecord, fit_crf, fit_pde
from crispmap.types import IGNORE

_MOST_FIT_PX = 16_000_000
"""Larger boxes of refiner ground are fitted on their largest piece alone."""


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


def learn(method: Method, project: Project, root: Path, device: str) -> Models:
    """Train or fit what a method lacks, going on with what was begun; return where its models lie.

    Args:
        method: The method.
        project: The project.
        root: The comparison's folder.
        device: "auto", "cpu" or "cuda".

    Raises:
        CrispmapError: If a training cannot start or diverges, or the ground lacks a class.
    """
    models = models_of(method, root)
    mine = project_of(method, project)
    if models.coarse is not None and not models.coarse.exists():
        with open_sources(mine) as sources:
            train_coarse(sources, models.coarse, _run(models.coarse, device))
    if models.refiner is not None and not models.refiner.exists():
        with open_sources(mine) as sources:
            _learn_refiner(method, sources, models, device)
    return models


def _run(model: Path, device: str) -> Run:
    return Run(model.parent / "training", resume=True, device=device)


def _learn_refiner(method: Method, sources: Sources, models: Models, device: str) -> None:
    if models.refiner is None:
        return
    if method.refiner in LEARNED:
        train_project_refiner(sources, models.coarse, models.refiner, _run(models.refiner, device))
    elif method.refiner in FITTED:
        scores, card = open_coarse(sources, models.coarse, device)
        scaling = None if card is None else Scaling.of(card)
        _fit_refiner(method.refiner, sources, scores, scaling, models.refiner, device)


def fit_ground(areas: Sequence[Area]) -> list[Area]:
    """Return which of the refiner's areas refiners written by hand are fitted on: all, or of much ground the largest.

    Raises:
        TrainingError: If there is none.
    """
    if not areas:
        raise TrainingError("There is no precise ground to fit on.", expected="pieces under areas: refiner:")
    box = box_of(areas)
    if box.height * box.width > _MOST_FIT_PX:
        return [max(areas, key=lambda area: area.block.height * area.block.width)]
    return list(areas)


def _fit_refiner(name: str, sources: Sources, scores: Scene, scaling: Scaling | None, path: Path, device: str) -> None:
    """Fit a refiner written by hand on the refiner's ground, and write its model file."""
    image = sources.image
    areas = sources.areas(image.grid).get("refiner", [])
    learned_from = fit_ground(areas)
    scaling = scaling or measure_scaling([(image, area.block) for area in areas])
    box = box_of(learned_from)
    given, valid = scores.read(box)
    pixels, seen = image.read(box)
    known = UnitedGround(learned_from).mask(box) & valid & seen
    labels = np.where(known, sources.reference(image.grid).read(box), np.uint8(IGNORE))
    arrays = np.where(valid & seen, given, np.float32(0)), scaled_input(pixels, valid & seen, scaling), labels
    how: dict[str, Any] = {"seed": sources.project.seed, "device": str(choose_device(device))}
    refiner, record = fit_crf(*arrays, **how) if name == "crf" else fit_pde(name, *arrays, **how)
    facts = {
        "seconds": record.seconds, "settings": record.to_dict(), "class_biases": record.biases,
        "fitted_numbers": _numbers(record),
    }  # fmt: skip
    card = model_card("refiner", refiner, sources.project, image, scaling, sources.gsd_m, facts)
    save_model(path, refiner, card, force=True)


def _numbers(record: FitRecord) -> int:
    """Return how many numbers a fit chose: its parameters, and a bias for all classes but one."""
    return len(record.parameters) + len(record.biases) - 1


def parameters_of(path: Path) -> int:
    """Return how many numbers a model was given by training: weights, support vectors, or fitted numbers."""
    module, card = load_model(path)
    fitted = card.provenance.get("fitted_numbers")
    return int(fitted) if fitted is not None else sum(value.numel() for value in module.state_dict().values())


@contextmanager
def opened_coarse(method: Method, project: Project, models: Models, device: str) -> Iterator[tuple[Sources, Scene]]:
    """Open a project's inputs and a method's coarse scores."""
    with open_sources(project_of(method, project)) as sources:
        yield sources, open_coarse(sources, models.coarse, device)[0]
