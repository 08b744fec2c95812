"""A project carried from its file to models, maps, figures and report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import ModelError, OutputError, ProjectError
from crispmap.inference.job import GivenScores, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import model_tags
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import MapResult, Output, Progress, Say, make_maps
from crispmap.models.file import load_model, read_card
from crispmap.models.model import RefinerModel
from crispmap.project.coarse import check_classes
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import open_sources
from crispmap.project.preflight import TrainingPreflight
from crispmap.raster.block_store import store_folder
from crispmap.raster.refs import SceneRef
from crispmap.training.options import ProgressFactory, TrainerOptions, TrainingRun


@dataclass(frozen=True)
class Products:
    """Where a project's results lie, whether they are there yet or not."""

    folder: Path

    @property
    def coarse_model(self) -> Path:
        """The trained coarse network."""
        return self.folder / "coarse.safetensors"

    @property
    def refiner_model(self) -> Path:
        """The trained refiner."""
        return self.folder / "refiner.safetensors"

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
    progress: ProgressFactory | None = None,
) -> list[Path]:
    """Train a project's coarse network and refiner, or one of them; return the model files written.

    Args:
        path: The project file, or its folder.
        stage: "coarse" or "refiner"; None for all the project needs.
        resume: Continue an interrupted training; what is finished is not done again.
        force: Replace models that are there.
        trainer: What it runs on, and the memory its data may take.
        progress: Shows each training to a person; by default nothing is shown.

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
    run = TrainingRun(products.training, resume=resume, force=force, trainer=trainer, progress=progress)
    paths = ModelPaths(products.coarse_model, products.refiner_model)
    with open_sources(project) as sources:
        if len(wanted) == 2:
            TrainingPreflight(sources).check_refiner(project)  # not after an hour of the coarse training
        for makes in wanted:
            if makes == "refiner" and project.coarse.scores is None:
                _check_model(products.coarse_model, "a trained coarse network", project)
            train_stages(sources, paths, run, [makes])
    return [paths.coarse if makes == "coarse" else paths.refiner for makes in wanted]


def _stages(project: Project, stage: str | None) -> list[str]:
    """Return which trainings are wanted and possible."""
    needed = [] if project.coarse.scores is not None else ["coarse"]
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
    path: Path, *, options: PredictOptions = PredictOptions(), progress: Progress | None = None, say: Say | None = None
) -> MapResult:
    """Map a project's scene with its trained models; return what has come of it.

    Class map and scores before refinement and, where the project has a refiner, after it. The coarse scores are
    computed once for both.

    Args:
        path: The project file, or its folder.
        options: How to go about it.
        progress: Told the pixels done and the pixels in all.
        say: Told in words what goes on once all pixels are done.

    Raises:
        ModelError: If a model is missing, damaged or made for other classes.
        OutputError: If a file is there already and ``force`` is not given, or cannot be written.
        InputError: If engine, precision or device are not available.
        ClusterError: If workers or scheduler cannot be reached, or are lost.
    """
    project = load_project(path)
    products = Products(project.output_folder)
    outputs = [
        Output(ClassMap(), products.coarse_map, "coarse"), Output(Scores(), products.coarse_scores, "coarse")
    ]  # fmt: skip
    if project.refiner is not None:
        outputs += [Output(ClassMap(), products.refined_map), Output(Scores(), products.refined_scores)]
    if not options.force and not store_folder(outputs[0].path).exists():
        _refuse_existing([one.path for one in outputs], "give --force to replace it")
    with open_sources(project):  # says what is wrong with the project's pieces before any work
        job = _job(project, products)
    products.folder.mkdir(parents=True, exist_ok=True)
    tags = model_tags(coarse=job.model, refiner=job.refiner)
    return make_maps(job, outputs, project.schema, options=options, tags=tags, progress=progress, say=say)


def _job(project: Project, products: Products) -> MapJob:
    """Return what a project's maps are computed from, sure that its models are there and know its classes."""
    given, model, refiner = None, None, None
    if project.coarse.scores is not None:
        given = GivenScores(project.coarse.scores.path, project.coarse.scores.kind, class_names=project.schema.names)
    else:
        model = products.coarse_model
        _check_model(model, "a trained coarse network", project)
        check_classes(read_card(model), project, model)
    if project.refiner is not None:
        refiner = products.refiner_model
        load_refiner(products, project)
    scene = project.scene
    return MapJob(
        SceneRef.of(scene.path).choosing(scene.bands, scene.assume_gsd_m), model, refiner, given, gsd_m=scene.gsd_m
    )


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
