"""A project carried from its file to models, maps, figures and report."""

from __future__ import annotations

import math
import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import ModelError, OutputError, ProjectError
from crispmap.events import SILENT, Events, progress
from crispmap.inference.job import GivenScores, LoadedModels, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import MapResult, Output, is_made, make_maps
from crispmap.models.file import load_model
from crispmap.models.model import RefinerModel
from crispmap.project.coarse import check_classes
from crispmap.project.file import Project, ProjectScene, load_project
from crispmap.project.inputs import open_sources
from crispmap.project.preflight import TrainingPreflight
from crispmap.raster.block_store import store_folder
from crispmap.raster.refs import SceneRef
from crispmap.training.options import TrainerOptions, TrainingRun


@dataclass(frozen=True)
class SceneMaps:
    """Where the maps of a scene lie, whether they are there yet or not."""

    folder: Path

    @property
    def coarse_map(self) -> Path:
        """The class map before refinement."""
        return self.folder / "coarse.tif"

    @property
    def coarse_scores(self) -> Path:
        """The scores before refinement."""
        return self.folder / "coarse_scores.tif"

    @property
    def refined_map(self) -> Path:
        """The class map after refinement."""
        return self.folder / "refined.tif"

    @property
    def refined_scores(self) -> Path:
        """The scores after refinement."""
        return self.folder / "refined_scores.tif"


@dataclass(frozen=True)
class Products(SceneMaps):
    """Where a project's results lie, whether they are there yet or not; the maps of several scenes: ``maps``."""

    def maps(self, project: Project, scene: ProjectScene) -> SceneMaps:
        """Return where the maps of one scene lie: of several scenes, each has a folder of its name."""
        return self if len(project.scenes) == 1 else SceneMaps(self.folder / "maps" / scene.name)

    @property
    def coarse_model(self) -> Path:
        """The trained coarse network."""
        return self.folder / "coarse.safetensors"

    @property
    def refiner_model(self) -> Path:
        """The trained refiner."""
        return self.folder / "refiner.safetensors"

    @property
    def figures(self) -> Path:
        """The figures of the evaluation, as JSON."""
        return self.folder / "figures.json"

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    @property
    def training(self) -> Path:
        """The folder of checkpoints and logs."""
        return self.folder / "training"


def train_project(
    path: Path,
    *,
    stage: str | None = None,
    resume: bool = False,
    force: bool = False,
    trainer: TrainerOptions = TrainerOptions(),
    events: Events = SILENT,
) -> list[Path]:
    """Train a project's coarse network and refiner, or one of them; return the model files written.

    Args:
        path: The project file, or its folder.
        stage: "coarse" or "refiner"; None for all the project needs.
        resume: Continue an interrupted training; what is finished is not done again.
        force: Replace models that are there.
        trainer: What it runs on, and the memory its data may take.
        events: What progress is reported to.

    Raises:
        ProjectError: If the project does not name what the stage needs.
        OutputError: If a model is there already and neither ``resume`` nor ``force`` is given.
        TrainingError: If a training cannot start, or diverges.
    """
    # Lightning Fabric takes more than a second to import, and maps need none of it.
    from crispmap.project.stages import ModelPaths, train_stages

    project = load_project(path)
    products = Products(project.output_folder)
    wanted = _stages(project, stage)
    if not resume and not force:
        models = {"coarse": products.coarse_model, "refiner": products.refiner_model}
        _refuse_existing([models[one] for one in wanted], "give --resume to go on, or --force to train anew")
    run = TrainingRun(products.training, resume=resume, force=force, trainer=trainer, events=events)
    paths = ModelPaths(products.coarse_model, products.refiner_model)
    with open_sources(project) as sources:
        if len(wanted) == 2:
            TrainingPreflight(sources).check_refiner(project)  # not after an hour of the coarse training
        for makes in wanted:
            if makes == "refiner" and not project.scores_given:
                _check_model(products.coarse_model, "a trained coarse network", project)
            train_stages(sources, project, paths, run, [makes])
    return [paths.coarse if makes == "coarse" else paths.refiner for makes in wanted]


def _stages(project: Project, stage: str | None) -> list[str]:
    """Return which trainings are wanted and possible."""
    needed = [] if project.scores_given else ["coarse"]
    if project.refiner is not None:
        needed.append("refiner")
    if stage is None:
        return needed
    if stage not in needed:
        why = "its coarse scores are given" if stage == "coarse" else "it names no reference"
        raise ProjectError(
            f"{project.path.name} has no {stage} to train: {why}.", expected=f"one of {', '.join(needed) or 'none'}"
        )
    return [stage]


def _check_model(path: Path, what: str, project: Project) -> None:
    if not path.exists():
        raise ModelError(
            f"{path} is not there.", expected=what, remedy=f"run: crispmap train {shlex.quote(str(project.path))}"
        )


def predict_project(
    path: Path, *, options: PredictOptions = PredictOptions(), events: Events = SILENT
) -> list[MapResult]:
    """Map a project's scenes with its trained models; return what has come of each.

    Class map and scores before refinement and, where the project has a refiner, after it. The coarse scores are
    computed once for both. Of several scenes, those whose maps are up to date are skipped.

    Args:
        path: The project file, or its folder.
        options: How to go about it.
        events: What progress is reported to.

    Raises:
        ModelError: If a model is missing, damaged or made for other classes.
        OutputError: If a file is there already and ``force`` is not given, or cannot be written.
        InputError: If engine, precision or device are not available.
        ClusterError: If workers or scheduler cannot be reached, or are lost.
    """
    project = load_project(path)
    products = Products(project.output_folder)
    outputs = [_outputs(products.maps(project, scene), project) for scene in project.scenes]
    made = [len(outputs) > 1 and not options.force and is_made(files) for files in outputs]
    for files, done in zip(outputs, made, strict=True):
        if not done and not options.force and not store_folder(files[0].path).exists():
            _refuse_existing([one.path for one in files], "give --force to replace it")
    with open_sources(project) as sources:  # shows what is wrong with the project's areas before any work
        gsd_m = sources.gsd_m if len(project.scenes) > 1 else project.gsd_m
        total = sum(math.prod(one.image.grid.shape) for one in sources.scenes)
    models = _models(project, products)
    model, refiner = models.files.get("coarse"), models.files.get("refiner")
    jobs = [map_job(project, scene, model, refiner, gsd_m) for scene in project.scenes]
    results = []
    with progress(events, f"{len(jobs)} maps", total) if len(jobs) > 1 else nullcontext(events) as running:
        for job, files, done in zip(jobs, outputs, made, strict=True):
            files[0].path.parent.mkdir(parents=True, exist_ok=True)
            with job.opened(models) as opened:
                results.append(
                    make_maps(opened, files, project.schema, options=options, events=running, keep_made=done)
                )
    return results


def _outputs(maps: SceneMaps, project: Project) -> list[Output]:
    """Return the files to write of a scene."""
    outputs = [Output(ClassMap(), maps.coarse_map, "coarse"), Output(Scores(), maps.coarse_scores, "coarse")]
    if project.refiner is not None:
        outputs += [Output(ClassMap(), maps.refined_map), Output(Scores(), maps.refined_scores)]
    return outputs


def _models(project: Project, products: Products) -> LoadedModels:
    """Return the models a project's maps are computed with, sure that they know its classes."""
    coarse = None if project.scores_given else products.coarse_model
    refiner = None if project.refiner is None else products.refiner_model
    for path, what in ((coarse, "a trained coarse network"), (refiner, "a trained refiner")):
        if path is not None:
            _check_model(path, what, project)
    models = LoadedModels.load(coarse, refiner)
    for model, path in zip(models.all, models.files.values(), strict=True):
        check_classes(model.card, project, path)
    return models


def map_job(
    project: Project, scene: ProjectScene, model: Path | None, refiner: Path | None, gsd_m: float | None
) -> MapJob:
    """Return the job of mapping a scene of a project with some models, or from the scores it gives."""
    given = None
    if scene.scores is not None and model is None:
        given = GivenScores(scene.scores.path, scene.scores.kind, class_names=project.schema.names)
    ref = SceneRef.of(scene.path).choosing(scene.bands, scene.assume_gsd_m)
    return MapJob(ref, model, refiner, given, gsd_m=gsd_m)


def load_refiner(products: Products, project: Project) -> RefinerModel:
    """Return a project's trained refiner.

    Raises:
        ModelError: If it is not there, damaged or made for other classes.
    """
    _check_model(products.refiner_model, "a trained refiner", project)
    refiner = load_model(products.refiner_model, kind="refiner")
    check_classes(refiner.card, project, products.refiner_model)
    return refiner


def _refuse_existing(paths: list[Path], remedy: str) -> None:
    for path in paths:
        if path.exists():
            raise OutputError(f"{path} exists.", expected="a folder without results", remedy=remedy)
