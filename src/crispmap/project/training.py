"""The two trainings of a project: the coarse network on imprecise labels, the refiner on the precise piece."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from crispmap.data.ground import Ground, load_ground
from crispmap.data.scaling import Scaling, measure_scaling, paper_scaling
from crispmap.errors import TrainingError
from crispmap.evaluate.readers import UnitedGround
from crispmap.evaluate.recalibration import fit_biases_on
from crispmap.geo.areas import Area
from crispmap.labels.reader import LabelReader
from crispmap.models.base import CoarseNetwork
from crispmap.models.card import Kind, ModelCard
from crispmap.models.file import ARCHITECTURES, save_model
from crispmap.project.file import Project, RefinerSection
from crispmap.project.file.sections import SVM_CLASSIFIERS
from crispmap.project.inputs import Sources, inside
from crispmap.raster.scene import Scene
from crispmap.refine.base import Refiner
from crispmap.refine.rnn.refiner import RecurrentRefiner
from crispmap.refine.wide.refiner import WideRefiner
from crispmap.training.run import TrainerOptions, TrainingResult, train
from crispmap.training.settings import (
    CoarseSettings,
    RefinerSettings,
    TrainingSettings,
    fast_coarse,
    fast_refiner,
    fast_wide_refiner,
    paper_coarse,
    paper_refiner,
)
from crispmap.training.task import CoarseTask, RefinerTask
from crispmap.types import IGNORE, FloatArray, LabelArray

SettingsT = TypeVar("SettingsT", bound=TrainingSettings)

MOST_PASSES = 100
"""Patches cover the ground of aligned labels about so often at most; on little ground longer trainings do worse.

On two hectares of Kampala mean IoU came to 65 to 66 % after 95 passes (4 runs) and to 62 % after 190 (2 runs).
"""
_OVERRIDES = ("batch", "learning_rate", "patch_px", "balance", "class_weights", "symmetries")


@dataclass(frozen=True)
class Run:
    """How trainings go on: where they are kept, whether they go on, and on what.

    Attributes:
        folder: Where checkpoints and logs are kept.
        resume: Continue an interrupted training.
        force: Replace a finished one.
        device: "auto", "cpu" or "cuda".
        devices: How many devices share a training.
        part: Which of several trainings alike these are, as a person is told.
    """

    folder: Path
    resume: bool = False
    force: bool = False
    device: str = "auto"
    devices: int = 1
    part: str = ""

    def below(self, name: str, part: str = "") -> Run:
        """Return how a training goes on that is part of this one, kept in a folder of this name."""
        return replace(self, folder=self.folder / name, part=part)

    def train(
        self, name: str, task: CoarseTask | RefinerTask, grounds: Sequence[Ground], validation: Sequence[Ground]
    ) -> TrainingResult:
        """Train a task in the folder of this name; the task's network then holds the best weights."""
        task.title = f"{task.title} {self.part}".rstrip()
        machine = TrainerOptions(device="gpu" if self.device == "cuda" else self.device, devices=self.devices)
        return train(
            task,
            grounds,
            validation,
            self.folder / name,
            resume=self.resume,
            force=self.force,
            machine=machine,
        )


@dataclass(frozen=True)
class ExtraTrainingData:
    """Ground a refiner learns from beside the precise piece.

    Attributes:
        grounds: The ground, with coarse scores.
        doubtful: Whether its scores are less like those elsewhere than the precise piece's.
        seconds: Of the trainings it took to make it.
        facts: What the refiner's card tells of it.
    """

    grounds: Sequence[Ground] = ()
    doubtful: bool = False
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def beside(self, precise: Sequence[Ground]) -> list[Ground]:
        """Return all ground; beside doubtful ground the precise as often as makes it about half of all patches."""
        own, other = (sum(math.prod(one.shape) for one in grounds) for grounds in (precise, self.grounds))
        times = max(1, round(other / own)) if self.doubtful else 1
        return [*list(precise) * times, *self.grounds]

    def bounded(self, settings: RefinerSettings, precise: Sequence[Ground]) -> RefinerSettings:
        """Return settings with no more steps than cover all ground ``MOST_PASSES`` times with patches."""
        pixels = sum(math.prod(one.shape) for one in (*precise, *self.grounds))
        steps = max(1, MOST_PASSES * pixels // (settings.batch * settings.patch_px**2))
        return settings if steps >= settings.training_steps else settings.but(training_steps=steps)


def coarse_settings(project: Project) -> CoarseSettings:
    """Return the settings of a project's coarse training: its preset, with what the file sets otherwise."""
    section = project.coarse
    preset = paper_coarse(section.network) if section.preset == "paper" else fast_coarse()
    return _overridden(preset, section, section.steps, project.seed)


def refiner_settings(project: Project) -> RefinerSettings:
    """Return the settings of a project's refiner training: its preset, with what the file sets otherwise.

    Where labels are aligned there is ground enough not to flip or turn patches: shadows fall one way in a scene.
    """
    section = _refiner_section(project)
    fast = fast_wide_refiner if section.network == "wide" else fast_refiner
    preset = paper_refiner() if section.preset == "paper" else fast()
    if section.aligned_labels:
        preset = preset.but(symmetries=False)
    return _overridden(preset, section, section.training_steps, project.seed)


def _refiner_section(project: Project) -> RefinerSection:
    """Return what a project says of its refiner.

    Raises:
        TrainingError: If it has none.
    """
    if project.refiner is None:
        raise TrainingError(
            f"{project.path.name} names no reference, so there is nothing to train a refiner on.",
            expected="reference: with precise labels, and areas: refiner:",
        )
    return project.refiner


def _overridden(preset: SettingsT, section: object, steps: int | None, seed: int) -> SettingsT:
    changes: dict[str, Any] = {
        name: getattr(section, name) for name in _OVERRIDES if getattr(section, name) is not None
    }
    if steps is not None:
        changes["training_steps"] = steps
        changes["validate_every"] = min(preset.validate_every, max(1, steps // 5))
    return preset.but(seed=seed, **changes)


def train_coarse(
    sources: Sources,
    path: Path,
    run: Run,
    *,
    choose: Callable[[Sequence[Area]], list[Area]] = list,
    stop_after: int | None = None,
) -> ModelCard:
    """Train the project's coarse network and write its model file; return its card.

    The network learns at its own ground sampling distance, from labels drawn on that grid. A support vector machine is
    fitted instead, each time anew: it has no state to resume.

    Args:
        sources: The project's inputs.
        path: The model file.
        run: Where and how.
        choose: Which of the coarse ground it learns from.
        stop_after: The step whose weights are kept; None: those that do best on the ground held out.
    """
    project = sources.project
    gsd_m = project.coarse.gsd_m or sources.gsd_m
    image = sources.image_at(gsd_m)
    learned_from, held = sources.pieces("coarse", image.grid)
    areas = choose(learned_from)
    eight_bit = project.coarse.preset == "paper"
    scaling = paper_scaling(image.band_count) if eight_bit else measure_scaling([(image, area.block) for area in areas])
    labels = sources.labels(image.grid)
    grounds, validation = (grounds_of(image, part, labels, scaling) for part in (areas, held))
    if project.coarse.network in SVM_CLASSIFIERS:
        network, facts = _fit_classifier(project, grounds, validation)
    else:
        network, facts = _train_network(project, grounds, validation, run, stop_after)
    card = model_card("coarse", network, project, image, scaling, gsd_m, facts)
    save_model(path, network, card, force=True)
    return card


def _train_network(
    project: Project, grounds: Sequence[Ground], validation: Sequence[Ground], run: Run, stop_after: int | None
) -> tuple[CoarseNetwork, dict[str, Any]]:
    """Return a trained network, and what its card tells of the training."""
    settings = coarse_settings(project)
    if stop_after is not None:
        settings = settings.but(stop_after=min(stop_after, settings.training_steps), keep_last=True)
    torch.manual_seed(project.seed)
    build = ARCHITECTURES[project.coarse.network]
    bands = grounds[0].image.shape[0]
    network = cast(CoarseNetwork, build(bands=bands, classes=len(project.schema)))
    result = run.train("coarse", CoarseTask(network, settings, project.schema), grounds, validation)
    return network, _facts(settings, result)


def _fit_classifier(
    project: Project, grounds: Sequence[Ground], validation: Sequence[Ground]
) -> tuple[CoarseNetwork, dict[str, Any]]:
    """Return a fitted support vector machine, and what its card tells of the fit."""
    # scikit-learn takes half a second to import, and no other work needs it.
    from crispmap.training.svm import fit_svm

    result = fit_svm(project.coarse.network, grounds, validation, project.schema, seed=project.seed)
    return result.network, {
        "settings": result.to_dict(),
        "seconds": round(result.seconds, 1),
        "validation_mean_iou": result.score,
        "scikit-learn": importlib.metadata.version("scikit-learn"),
    }


def train_refiner(
    sources: Sources,
    scores: Scene,
    scaling: Scaling | None,
    path: Path,
    run: Run,
    more: ExtraTrainingData = ExtraTrainingData(),
) -> ModelCard:
    """Train the project's refiner on given coarse scores and write its model file; return its card.

    Args:
        sources: The project's inputs.
        scores: Coarse scores on the working grid.
        scaling: Constants of the coarse network; measured on the precise piece where there is none.
        path: The model file.
        run: Where and how.
        more: Ground to learn from beside the precise piece.
    """
    project, section = sources.project, _refiner_section(sources.project)
    settings = refiner_settings(project)
    image = sources.image
    areas, held = sources.pieces("refiner", image.grid)
    scaling = scaling or measure_scaling([(image, area.block) for area in areas])
    labels = sources.reference(image.grid)
    torch.manual_seed(project.seed)
    refiner = _refiner(section, len(project.schema), image.band_count)
    grounds, validation = (scored_grounds(image, part, labels, scaling, scores) for part in (areas, held))
    if more.grounds and section.training_steps is None:
        settings = more.bounded(settings, grounds)
    biases = fit_biases_on(scores, labels, UnitedGround([*areas, *held]), seed=project.seed)
    result = run.train("refiner", RefinerTask(refiner, settings, project.schema), more.beside(grounds), validation)
    facts = {**_facts(settings, result), "class_biases": biases.tolist(), **more.facts}
    facts["seconds"] = round(result.seconds + more.seconds, 1)
    card = model_card("refiner", refiner, project, image, scaling, sources.gsd_m, facts)
    save_model(path, refiner, card, force=True)
    return card


def _refiner(section: RefinerSection, classes: int, bands: int) -> Refiner:
    """Return the refiner a project names, its weights drawn at random."""
    if section.network == "wide":
        return WideRefiner(classes, bands, steps=section.steps)
    return RecurrentRefiner(classes, bands, steps=section.steps, variant=section.variant, features=section.features)


def grounds_of(image: Scene, areas: Sequence[Area], labels: LabelReader, scaling: Scaling) -> list[Ground]:
    """Return the ground of some areas, each labelled inside itself alone."""
    return [load_ground(image, area.block, inside(labels, [area]), scaling) for area in areas]


def scored_grounds(
    image: Scene, areas: Sequence[Area], labels: LabelReader, scaling: Scaling, scores: Scene
) -> list[Ground]:
    """Return the ground of some areas with coarse scores; without one a pixel's label is IGNORE, and its image 0."""
    pairs = zip(grounds_of(image, areas, labels, scaling), areas, strict=True)
    return [_with_scores(ground, area, scores) for ground, area in pairs]


def _with_scores(ground: Ground, area: Area, scores: Scene) -> Ground:
    values, valid = scores.read(area.block)
    labels: LabelArray = np.where(valid, ground.labels, np.uint8(IGNORE))
    image: FloatArray = np.where(valid, ground.image, np.float32(0))
    return Ground(image, labels, values)


def _facts(settings: TrainingSettings, result: TrainingResult) -> dict[str, Any]:
    """Return what a card tells of a training in steps."""
    return {
        "settings": settings.to_dict(),
        "steps": result.steps,
        "best_step": result.best_step,
        "seconds": round(result.seconds, 1),
        "validation_mean_iou": result.best_score,
    }


def model_card(
    kind: Kind,
    module: Any,
    project: Project,
    image: Scene,
    scaling: Scaling,
    gsd_m: float,
    facts: dict[str, Any],
) -> ModelCard:
    """Return the card of a model trained or fitted for a project.

    Args:
        kind: What it maps.
        module: The model.
        project: The project.
        image: The scene it learned from.
        scaling: The constants it learned with.
        gsd_m: Its ground sampling distance.
        facts: What the provenance tells besides project, seed and versions.
    """
    return ModelCard(
        kind=kind,
        architecture=module.architecture,
        arguments=module.arguments,
        schema=project.schema,
        band_names=image.band_names,
        scaling_offset=scaling.offset,
        scaling_scale=scaling.scale,
        gsd_m=gsd_m,
        radius_px=module.radius_px,
        stride_px=getattr(module, "stride_px", 1),
        provenance={
            "project": project.name,
            "seed": project.seed,
            "crispmap": importlib.metadata.version("crispmap"),
            "torch": torch.__version__,
            **facts,
        },
    )
