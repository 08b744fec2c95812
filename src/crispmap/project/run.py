"""A project carried from its file to models, maps, figures and report."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import InputError, ModelError, OutputError, ProjectError
from crispmap.events import SILENT, Events, progress, resumable
from crispmap.inference.job import GivenScores, LoadedModels, MapJob
from crispmap.inference.options import PredictOptions
from crispmap.inference.products import ClassMap, Scores
from crispmap.inference.run import MapResult, Output, is_made, make_maps
from crispmap.models.file import load_model
from crispmap.models.model import RefinerModel
from crispmap.models.settings import Precision
from crispmap.project.coarse import check_classes
from crispmap.project.file import Project, ProjectScene, load_project
from crispmap.project.inputs import open_sources
from crispmap.project.preflight import TrainingPreflight
from crispmap.raster.block_store import store_folder
from crispmap.training.options import TrainerOptions, TrainingRun

COARSE, FINETUNED, REFINED = "coarse map", "fine-tuned map", "refined map"


class SceneMaps:
    """The files of a scene's maps, before and after refinement, whether they exist yet or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.coarse_map, self.coarse_scores = folder / "coarse.tif", folder / "coarse_scores.tif"
        self.finetuned_map, self.finetuned_scores = folder / "finetuned.tif", folder / "finetuned_scores.tif"
        self.refined_map, self.refined_scores = folder / "refined.tif", folder / "refined_scores.tif"
        self.files = {COARSE: self.coarse_map, FINETUNED: self.finetuned_map, REFINED: self.refined_map}
        self.scores = {COARSE: self.coarse_scores, FINETUNED: self.finetuned_scores, REFINED: self.refined_scores}


class Products(SceneMaps):
    """The files of a project's results, whether they exist yet or not; the maps of several scenes: ``maps``."""

    def __init__(self, folder: Path, finished: Mapping[str, Path] | None = None) -> None:
        super().__init__(folder)
        models = {name: folder / f"{name}.safetensors" for name in ("coarse", "finetuned", "refiner")} | dict(
            finished or {}
        )
        self.coarse_model, self.refiner_model = models["coarse"], models["refiner"]
        self.finetuned_model = models["finetuned"]
        self.figures, self.report = folder / "figures.json", folder / "report.html"
        self.training = folder / "training"  # checkpoints and logs

    @classmethod
    def of(cls, project: Project) -> Products:
        """Return the files of a project, among them the finished models that it names."""
        return cls(project.output_folder, project.models)

    @property
    def models(self) -> dict[str, Path]:
        """The model files, by "coarse", "finetuned" and "refiner"."""
        return {"coarse": self.coarse_model, "finetuned": self.finetuned_model, "refiner": self.refiner_model}

    def maps(self, project: Project, scene: ProjectScene) -> SceneMaps:
        """Return the maps of one scene: of several scenes, each has a folder of its name."""
        return self if len(project.scenes) == 1 else SceneMaps(self.folder / "maps" / scene.name)


def train_project(  # noqa: PLR0913 - what a person may choose
    path: Path,
    *,
    stage: str | None = None,
    start: Path | None = None,
    precision: Precision | None = None,
    resume: bool = False,
    force: bool = False,
    trainer: TrainerOptions = TrainerOptions(),
    events: Events = SILENT,
) -> list[Path]:
    """Train a project's coarse network, fine-tune it, and train its refiner; return the model files written.

    Args:
        stage: "coarse", "finetuned" or "refiner": only the model of this name; None for all the project needs.
        start: A trained network that the coarse network goes on from, in place of that of the project file.
        precision: Of the coarse trainings, in place of that of the project file.
        resume: Continue an interrupted training; what is finished is not done again.
    """
    # Lightning Fabric takes more than a second to import, and maps need none of it.
    from crispmap.project.stages import train_stages

    project = load_project(path)
    if start is not None and (stage in ("finetuned", "refiner") or project.scores_given):
        raise InputError(
            "A network to start from is given, and no coarse network is trained.",
            expected="a stage that trains it",
            remedy="leave out start=",
        )
    if start is not None:
        project = replace(project, coarse=project.coarse.model_copy(update={"start": start}))
    if precision is not None:
        project = _in_precision(project, precision)
    products = Products.of(project)
    wanted = _stages(project, stage)
    written = [products.models[makes] for makes in wanted]
    if not resume and not force:
        _refuse_existing(written, "give resume=True to go on, or force=True to train again")
    run = TrainingRun(products.training, resume=resume, force=force, trainer=trainer, events=events)
    kept = resumable("What is learned is kept; go on from there with resume=True.")
    with open_sources(project, events=events) as sources, kept:
        sources.note_readings(events)
        if len(wanted) > 1:  # not after an hour of the coarse training
            preflight = TrainingPreflight(sources)
            checks = {"finetuned": preflight.check_finetuning, "refiner": preflight.check_refiner}
            for makes in wanted[1:]:
                checks[makes](project)
        for makes in wanted:
            _check_made_before(makes, project, products)
            train_stages(sources, project, products.models, run, [makes])
    return written


def _in_precision(project: Project, precision: Precision) -> Project:
    """Return the project with the coarse network trained and fine-tuned in a precision."""
    if "precision" not in type(project.coarse).model_fields or project.scores_given:
        raise InputError(
            f"A precision is given, and no coarse network of {project.path.name} is trained in steps.",
            expected="a project that trains one", remedy="leave out precision=",
        )  # fmt: skip
    changed = {"precision": precision}
    finetune = None if project.finetune is None else project.finetune.model_copy(update=changed)
    return replace(project, coarse=project.coarse.model_copy(update=changed), finetune=finetune)


def _stages(project: Project, stage: str | None) -> list[str]:
    if project.models:
        raise ProjectError(
            f"{project.path.name} names finished models, so there is nothing to train.",
            expected="a project without models:", remedy="remove models: and name labels, a reference and areas",
        )  # fmt: skip
    needed = [] if project.scores_given else ["coarse"]
    if project.finetune is not None:
        needed.append("finetuned")
    if project.refiner is not None:
        needed.append("refiner")
    if stage is None:
        return needed
    if stage not in needed:
        why = "its coarse scores are given" if stage == "coarse" else "it does not ask for one"
        given = f"{project.path.name} has no {stage} to train: {why}."
        raise ProjectError(given, expected=f"one of {', '.join(needed) or 'none'}")
    return [stage]


def _check_made_before(makes: str, project: Project, products: Products) -> None:
    """Check that the models are there that one to train learns from."""
    if makes != "coarse" and not project.scores_given:
        _check_model(products.coarse_model, "a trained coarse network", project)
        if makes == "refiner" and project.finetune is not None:
            _check_model(products.finetuned_model, "a fine-tuned network", project)


def _check_model(path: Path, what: str, project: Project) -> None:
    if not path.exists():
        remedy = f"run: crispmap train {shlex.quote(str(project.path))}"
        raise ModelError(f"{path} does not exist.", expected=what, remedy=remedy)


def predict_project(
    path: Path, *, options: PredictOptions = PredictOptions(), events: Events = SILENT
) -> list[MapResult]:
    """Map a project's scenes with its trained models; return a result for each scene.

    Writes class map and scores of the coarse network, of the fine-tuned one where there is one, and after refinement
    where the project has a refiner; the scores that are refined are computed once. Of several scenes, those whose maps
    are up to date are skipped.
    """
    if options.gsd_m is not None:  # the report's maps after every iteration are of models at their own
        raise InputError(
            "A pixel size for models is given beside a project.", expected="that of the project file",
            remedy="leave out gsd_m=, or give a scene and its models",
        )  # fmt: skip
    project = load_project(path)
    products = Products.of(project)
    passes = _passes(project, products)
    _check_free([files for one in passes for files in one.files], options)
    with open_sources(project) as sources:  # shows what is wrong with the project's areas before any work
        gsd_m = sources.gsd_m if len(project.scenes) > 1 else project.gsd_m
        total = sum(math.prod(one.image.grid.shape) for one in sources.scenes if one.scene.mapped)
    loaded = [_models(one, project, options.halo_px) for one in passes]
    results = []
    count = len(passes) * len(project.mapped)
    with progress(events, f"{count} maps", len(passes) * total) if count > 1 else nullcontext(events) as running:
        for index, scene in enumerate(project.mapped):
            for one, models in zip(passes, loaded, strict=True):
                files = one.files[index]
                made = count > 1 and not options.force and is_made(files)
                files[0].path.parent.mkdir(parents=True, exist_ok=True)
                job = replace(map_job(project, scene, models.files, gsd_m), halo_px=options.halo_px)
                with job.opened(models) as opened:
                    results.append(
                        make_maps(opened, files, project.schema, options=options, events=running, keep_made=made)
                    )
    return results


@dataclass(frozen=True)
class _Pass:
    """Maps of all scenes by the same models."""

    coarse: Path | None  # the network's model file; None where scores are given
    refiner: Path | None
    files: list[list[Output]]  # of every scene


def _passes(project: Project, products: Products) -> list[_Pass]:
    """Return the passes of mapping a project: the coarse network's, and after it the fine-tuned one's."""
    coarse = None if project.scores_given else products.coarse_model
    refiner = products.refiner_model if project.refines else None
    maps = [products.maps(project, scene) for scene in project.mapped]
    first = [
        [Output(ClassMap(), one.coarse_map, "coarse"), Output(Scores(), one.coarse_scores, "coarse")] for one in maps
    ]
    refined = [[Output(ClassMap(), one.refined_map), Output(Scores(), one.refined_scores)] for one in maps]
    if project.finetune is None:
        files = [own + after for own, after in zip(first, refined, strict=True)] if project.refines else first
        return [_Pass(coarse, refiner, files)]
    second = [
        [Output(ClassMap(), one.finetuned_map, "coarse"), Output(Scores(), one.finetuned_scores, "coarse")]
        for one in maps
    ]
    if project.refines:
        second = [own + after for own, after in zip(second, refined, strict=True)]
    return [_Pass(coarse, None, first), _Pass(products.finetuned_model, refiner, second)]


def _check_free(outputs: list[list[Output]], options: PredictOptions) -> None:
    """Refuse maps that are there already, unless one of several is up to date, or its work is to be gone on with."""
    for files in outputs:
        done = len(outputs) > 1 and not options.force and is_made(files)
        if not done and not options.force and not store_folder(files[0].path).exists():
            _refuse_existing([one.path for one in files], "give force=True to replace the maps")


def _models(one: _Pass, project: Project, halo_px: int | None) -> LoadedModels:
    """Return the models of a pass, sure that they know the project's classes."""
    for path, what in ((one.coarse, "a trained network"), (one.refiner, "a trained refiner")):
        if path is not None:
            _check_model(path, what, project)
    models = LoadedModels.load(one.coarse, one.refiner, halo_px=halo_px)
    for model, path in zip(models.all, models.files.values(), strict=True):
        check_classes(model.card, project, path)
    return models


def map_job(project: Project, scene: ProjectScene, models: Mapping[str, Path], gsd_m: float | None) -> MapJob:
    """Return the job of mapping a scene of a project with models, or from the scores it gives."""
    given = None
    if scene.scores is not None and "coarse" not in models:
        given = GivenScores(scene.scores.path, scene.scores.kind, scene.scores.full_scale, project.schema.names)
    return MapJob(scene.ref, models.get("coarse"), models.get("refiner"), given, gsd_m=gsd_m)


def load_refiner(products: Products, project: Project) -> RefinerModel:
    """Return a project's trained refiner."""
    _check_model(products.refiner_model, "a trained refiner", project)
    refiner = load_model(products.refiner_model, kind="refiner")
    check_classes(refiner.card, project, products.refiner_model)
    return refiner


def _refuse_existing(paths: list[Path], remedy: str) -> None:
    for path in paths:
        if path.exists():
            raise OutputError(f"{path} exists.", expected="a folder without results", remedy=remedy)
