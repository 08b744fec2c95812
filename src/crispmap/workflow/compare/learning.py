"""The models of a method: each coarse network and each refiner trained or fitted once, and gone on with where begun."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.chips.scaling import Scaling, measure_scaling, scaled_input
from crispmap.config import Project
from crispmap.errors import TrainingError
from crispmap.evaluate.readers import UnitedGround
from crispmap.inference.coarse import coarse_scores
from crispmap.inference.engines import EngineChoice
from crispmap.models.card import ModelCard
from crispmap.models.store import load_model, save_model
from crispmap.refine.by_hand import HandWrittenRefiner
from crispmap.scene.reader import Scene
from crispmap.training.fit import FitRecord, fit_crf, fit_pde
from crispmap.types import IGNORE
from crispmap.workflow.compare.mapping import box_of
from crispmap.workflow.compare.methods import FITTED, GIVEN, LEARNED, Method, project_of
from crispmap.workflow.sources import Sources, open_sources
from crispmap.workflow.training import Run, train_coarse, train_refiner

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
    def cards(self) -> dict[str, ModelCard]:
        """Their cards, by "coarse" and "refiner"."""
        paths = {"coarse": self.coarse, "refiner": self.refiner}
        return {name: load_model(path)[1] for name, path in paths.items() if path is not None}


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
    scores, card = open_coarse(sources, models.coarse, device)
    scaling = None if card is None else Scaling.of(card)
    if method.refiner in LEARNED:
        train_refiner(sources, scores, scaling, models.refiner, _run(models.refiner, device))
    elif method.refiner in FITTED:
        _fit_refiner(method.refiner, sources, scores, scaling, models.refiner)


def open_coarse(sources: Sources, model: Path | None, device: str) -> tuple[Scene, ModelCard | None]:
    """Return coarse scores on the working grid: those given, or those of a model, computed when read, and its card."""
    if model is None:
        given = sources.given_scores()
        if given is None:
            raise TrainingError("There are no coarse scores.", expected="a coarse network, or scores of another tool")
        return given, None
    network, card = load_model(model, kind="coarse")
    return coarse_scores(sources.image, network, card, engine=EngineChoice("torch", device=device)), card


def _fit_refiner(name: str, sources: Sources, scores: Scene, scaling: Scaling | None, path: Path) -> None:
    """Fit a refiner written by hand on the refiner's ground, and write its model file."""
    image = sources.image
    areas = sources.areas(image.grid).get("refiner", [])
    if not areas:
        raise TrainingError(f"There is no precise ground to fit {name} on.", expected="pieces under areas: refiner:")
    scaling = scaling or measure_scaling([(image, area.block) for area in areas])
    box = box_of(areas)
    if box.height * box.width > _MOST_FIT_PX:
        areas = [max(areas, key=lambda area: area.block.height * area.block.width)]
        box = areas[0].block
    given, valid = scores.read(box)
    pixels, seen = image.read(box)
    known = UnitedGround(areas).mask(box) & valid & seen
    labels = np.where(known, sources.reference(image.grid).read(box), np.uint8(IGNORE))
    arrays = np.where(valid & seen, given, np.float32(0)), scaled_input(pixels, valid & seen, scaling), labels
    seed = sources.project.seed
    refiner, record = fit_crf(*arrays, seed=seed) if name == "crf" else fit_pde(name, *arrays, seed=seed)
    save_model(path, refiner, _fitted_card(refiner, record, sources, scaling), force=True)


def _fitted_card(refiner: HandWrittenRefiner, record: FitRecord, sources: Sources, scaling: Scaling) -> ModelCard:
    return ModelCard(
        kind="refiner", architecture=refiner.architecture, arguments=refiner.arguments, schema=sources.project.schema,
        band_names=sources.image.band_names, scaling_offset=scaling.offset, scaling_scale=scaling.scale,
        gsd_m=sources.gsd_m, radius_px=refiner.radius_px, stride_px=1,
        provenance={
            "project": sources.project.name, "seed": sources.project.seed,
            "crispmap": importlib.metadata.version("crispmap"), "seconds": record.seconds,
            "settings": record.to_dict(), "class_biases": record.biases, "fitted_numbers": _numbers(record),
        },
    )  # fmt: skip


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
