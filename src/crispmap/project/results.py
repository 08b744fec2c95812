"""The figures of a project's maps on its test areas, and the report that shows them."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import shlex
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from crispmap.errors import CrispmapWarning, ProjectError, TrainingError
from crispmap.evaluation.evaluation import Evaluation, warn_of_chance
from crispmap.evaluation.intervals import Interval, difference, draw_weights, ends_of, mean_iou
from crispmap.events import SILENT, Events, progress
from crispmap.files.address import file_name
from crispmap.files.atomic import check_free, write_atomically
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix
from crispmap.models.card import ModelCard, read_card
from crispmap.models.file import model_hash
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.preflight import require_precise
from crispmap.project.run import COARSE, FINETUNED, REFINED, Products, load_refiner
from crispmap.project.scored import iteration_curve, largest_area, place_name, titled_crops
from crispmap.project.scored_maps import RETHRESHOLDED, Recalibrated, ScoredMaps
from crispmap.report.charts.training import TrainingCurve
from crispmap.report.pages.report import write_report
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Crop, Overview, Strip
from crispmap.report.tables.images import ends, panel_title, ranked
from crispmap.training.folder import read_history
from crispmap.types import FloatArray

_PANELS = 2  # best images, and worst images, that are shown


@dataclass(frozen=True)
class Results:
    """The figures of a project's maps on its test areas."""

    methods: Mapping[str, Evaluation]  # by name: the coarse map, the re-thresholded one, and those that came of it
    steps: Sequence[ConfusionMatrix] = ()  # after every refinement step, first of the map that is refined
    biases: Sequence[float] = ()  # of the re-thresholded map, fitted on the precise piece
    # of a data set, the final map of each test image by the image's name, from the highest mean IoU to the lowest
    images: Mapping[str, Evaluation] = field(default_factory=dict)
    # by how much mean IoU of the final map is above that of the re-thresholded one; None where no map is sharper
    ahead: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values, safe for JSON."""
        return {
            "methods": {name: evaluation.to_dict() for name, evaluation in self.methods.items()},
            "mean_iou_by_step": [matrix.mean_iou for matrix in self.steps],
            "class_biases": list(self.biases),
            "mean_iou_ahead_of_rethresholded": None if self.ahead is None else ends_of(self.ahead),
            "images": {name: evaluation.area_figures() for name, evaluation in self.images.items()},
        }


@dataclass(frozen=True)
class Story:
    """What the report shows besides figures."""

    title: str
    timings: Mapping[str, float] = field(default_factory=dict)  # seconds by stage
    notes: Sequence[str] = ()  # paragraphs


def evaluate_project(
    path: Path, *, force: bool = False, story: Story | None = None, events: Events = SILENT
) -> Results:
    """Score a project's maps on its test areas, write the figures and the report; return the figures."""
    project = load_project(path)
    products = Products.of(project)
    _check_mapped(project, products)
    check_free(products.report, force=force)
    with ExitStack() as stack:
        sources = stack.enter_context(open_sources(project))
        scored = _ScoredProject(sources, stack)
        results = scored.results(events)
        data = scored.report(results, story or Story(project.name))
    warn_of_chance(results.methods)
    write_atomically(products.figures, (json.dumps(results.to_dict(), indent=2) + "\n").encode())
    write_report(products.report, data, force=force)  # last: where it is, the evaluation is finished
    return results


def _check_mapped(project: Project, products: Products) -> None:
    require_precise(project, ["test"], remedy="without them there is nothing to score the map against")
    maps = [products.maps(project, scene) for scene in project.scenes if "test" in scene.areas]
    made = {name: [one.files[name] for one in maps] for name in _map_names(project)}
    for needed in (path for paths in made.values() for path in paths):
        if not needed.exists():
            remedy = f"run: crispmap predict {shlex.quote(str(project.path))}"
            raise ProjectError(f"{needed} does not exist.", expected="the maps of this project", remedy=remedy)
    first = products.finetuned_model if project.finetune is not None else products.coarse_model
    _check_made_with({"coarse": products.coarse_model}, made[COARSE], project)
    last = {"coarse": first, "refiner": products.refiner_model}
    _check_made_with(last, [path for name, paths in made.items() if name != COARSE for path in paths], project)


def _map_names(project: Project) -> list[str]:
    """Return the names of the maps that a project has of every scene, in the order they are made."""
    sharper = [(FINETUNED, project.finetune is not None), (REFINED, project.refines)]
    return [COARSE, *(name for name, there in sharper if there)]


def _check_made_with(models: Mapping[str, Path], maps: Sequence[Path], project: Project) -> None:
    """Raise ProjectError where a map was made with other models than those there are now."""
    there = {role: path for role, path in models.items() if path.exists()}
    hashes = {role: model_hash(path) for role, path in there.items()}
    for made in maps:
        with open_dataset(made) as dataset:
            tags = tags_of(dataset)
        for role, sha256 in hashes.items():
            if tags.get(f"CRISPMAP_{role.upper()}_SHA256", sha256) != sha256:
                raise ProjectError(
                    f"{made} was made with another model than {there[role]}, which was trained since.",
                    expected="maps of the models there are",
                    remedy=f"run: crispmap predict {shlex.quote(str(project.path))} --force",
                )


class _ScoredProject:
    """A project's maps, scored on the test areas of all its scenes."""

    def __init__(self, sources: Sources, stack: ExitStack) -> None:
        self.sources = sources
        self.project, self.schema = sources.project, sources.project.schema
        self.products = Products.of(sources.project)
        self.refiner = load_refiner(self.products, self.project) if self.project.refines else None
        self.biases = self._biases()
        gsd_m = 0.0 if self.project.scores_given else read_card(self.products.coarse_model).gsd_m
        shared = Recalibrated(self.biases, self.refiner, stack, gsd_m)
        self.scenes = [
            ScoredMaps(one, self.products.maps(self.project, one.scene), _map_names(self.project), shared)
            for one in sources.scenes
            if one.areas.get("test")
        ]

    def _biases(self) -> Sequence[float]:
        """Return what recalibrates the coarse map; nothing where no map is sharper."""
        if self.project.finetune is not None:
            return read_card(self.products.finetuned_model).class_biases
        return () if self.refiner is None else self.refiner.card.class_biases

    def results(self, events: Events) -> Results:
        """Return the figures of all maps and of every step, summed over the scenes."""
        methods: dict[str, Evaluation] = {}
        names = list(self.scenes[0].maps)
        total = sum(math.prod(one.grid.shape) * len(names) for one in self.scenes)
        with progress(events, "evaluation", total) as running:
            for name in names:
                each = [one.evaluate(one.maps[name], self.schema, running) for one in self.scenes]
                methods[name] = sum(each[1:], each[0])
        parts = [(one.steps, one.areas, one.reference) for one in self.scenes if one.steps is not None]
        curve = iteration_curve(parts, self.schema.names, events) if parts else ()
        finals = zip([one.name for one in self.scenes], each, strict=True)
        images = {} if self.project.data_set is None else ranked(finals)
        return Results(methods, curve, self.biases, images, self._ahead(names[-1]))

    def _ahead(self, final: str) -> Interval | None:
        """Return the lead of the final map over the re-thresholded one, with its interval by block bootstrap."""
        if not self.biases:
            return None
        ours, rival = (
            np.concatenate([one.counts_by_block(name) for one in self.scenes]) for name in (final, RETHRESHOLDED)
        )
        return difference(mean_iou, ours, rival, draw_weights(len(ours), seed=self.project.seed))

    def report(self, results: Results, story: Story) -> ReportData:
        """Return what the report shows."""
        named = [MethodResult(name, evaluation) for name, evaluation in results.methods.items()]
        coarse, *others = named
        rethresholded, between, final = None, list[MethodResult](), None
        if others:
            rethresholded, *between, final = others
        return ReportData(
            title=story.title, schema=self.schema, coarse=coarse, rethresholded=rethresholded,
            final=final, others=between, sharpening=self._sharpening(), curve=results.steps,
            crops=[self._crop(*crop) for crop in titled_crops(self.scenes, ScoredMaps.compared, self.sources)],
            overview=self._overview(), ahead=results.ahead,
            images=list(results.images.items()), panels=self._panels(results.images),
            trainings=self._trainings(), settings=self._settings(results), provenance=_provenance(self.sources),
            timings=story.timings or self._training_times(), notes=story.notes,
        )  # fmt: skip

    def _overview(self) -> Overview:
        """Return the maps of the largest test area."""
        scene, block = largest_area(self.scenes)
        return scene.overview(block, place_name(scene, self.sources))

    def _panels(self, images: Mapping[str, Evaluation]) -> list[Strip]:
        """Return the maps of the images that are mapped best and worst."""
        scenes = {one.name: one for one in self.scenes}
        best, worst = ends(list(images.items()), _PANELS)
        return [scenes[name].strip(panel_title(name, evaluation)) for name, evaluation in (*best, *worst)]

    def _sharpening(self) -> str:
        if self.project.finetune is None:
            return "Refinement"
        return "Fine-tuning, then refinement," if self.project.refines else "Fine-tuning"

    def _crop(self, title: str, scene: ScoredMaps, block: Block) -> Crop:
        steps = scene.step_by_step(block)
        shares: list[FloatArray] = [softmax(scores, axis=0) for _, scores, _ in steps]
        rethresholded = scene.maps.get(RETHRESHOLDED)
        return Crop(
            title=title, image=scene.picture(block), reference=scene.reference.read(block),
            steps=[labels for *_, labels in steps], names=[name for name, *_ in steps],
            heat={name: [share[index] for share in shares] for index, name in enumerate(self.schema.names) if index},
            rethresholded=None if rethresholded is None else rethresholded.read(block),
            place=Place.of(place_name(scene, self.sources), scene.grid, block),
        )  # fmt: skip

    def _cards(self) -> dict[str, ModelCard]:
        """Return the cards of the project's models, by what the report calls them."""
        models = self.products.models
        wanted = {
            "coarse network": not self.project.scores_given and models["coarse"].exists(),
            "fine-tuned network": self.project.finetune is not None,
            "refiner": self.project.refines,
        }
        made = zip(wanted.items(), models.values(), strict=True)
        return {name: read_card(path) for (name, there), path in made if there}

    def _trainings(self) -> dict[str, TrainingCurve]:
        """Return the courses of the trainings that the models come from, of those that leave a history."""
        folders = {"coarse network": "coarse", "fine-tuned network": "finetuned", "refiner": "refiner"}
        paths = {name: self.products.training / folder / "history.csv" for name, folder in folders.items()}
        return {name: _training_curve(paths[name], card) for name, card in self._cards().items()}

    def _training_times(self) -> dict[str, float]:
        return {
            f"train the {name}": card.provenance["seconds"]
            for name, card in self._cards().items()
            if "seconds" in card.provenance  # models of other tools do not tell
        }

    def _settings(self, results: Results) -> dict[str, Any]:
        settings: dict[str, Any] = {
            name: {"architecture": card.architecture, **card.arguments, "ground sampling distance (m)": card.gsd_m,
                   "influence radius (px)": card.radius_px, **card.provenance.get("settings", {})}
            for name, card in self._cards().items()
        }  # fmt: skip
        if not results.biases:
            return settings
        biases = dict(zip(self.schema.names, results.biases, strict=True))
        return settings | {"re-thresholding": {f"bias of {name}": round(value, 3) for name, value in biases.items()}}


def _training_curve(path: Path, card: ModelCard) -> TrainingCurve:
    """Return what the history of a model's training tells; nothing, with a warning, where it cannot be read."""
    try:
        rows = read_history(path)
    except TrainingError as error:
        warnings.warn(f"The report has no chart of a training. {error}", CrispmapWarning, stacklevel=2)
        return TrainingCurve()
    # The folder may hold a later training that is not finished, or that of a network since replaced by another model.
    if not rows or rows[-1]["step"] != card.provenance.get("steps"):
        return TrainingCurve()
    loss, mean_iou = (
        [(int(row["step"]), row[figure]) for row in rows if figure in row] for figure in ("loss", "val_mean_iou")
    )
    return TrainingCurve(loss, mean_iou)


def _provenance(sources: Sources) -> dict[str, Any]:
    files = [
        f"{file_name(one.scene.path)}, {one.file_grid.height} x {one.file_grid.width} px"
        for one in sources.scenes
        if one.areas.get("test") or sources.project.data_set is None
    ]
    return {
        "project": sources.project.path.name, "scene" if len(files) == 1 else "scenes": "; ".join(files),
        "seed": sources.project.seed, "crispmap": importlib.metadata.version("crispmap"),
        "torch": importlib.metadata.version("torch"), "python": platform.python_version(),
        "machine": platform.machine(),
    }  # fmt: skip
