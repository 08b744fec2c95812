"""The figures of a project's maps on its test areas, and the report that shows them."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from crispmap.errors import ProjectError
from crispmap.evaluation.evaluation import Evaluation, warn_of_chance
from crispmap.evaluation.readers import LabelSource
from crispmap.evaluation.recalibration import BiasedLabels
from crispmap.events import SILENT, Events, progress
from crispmap.files.address import file_name
from crispmap.files.atomic import check_free, write_atomically
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Block
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.mask import open_labels
from crispmap.labels.squares import squares_of_map
from crispmap.metrics import ConfusionMatrix
from crispmap.models.card import ModelCard, read_card
from crispmap.models.file import model_hash
from crispmap.models.model import RefinerModel
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import SceneInputs, Sources, open_sources
from crispmap.project.preflight import require_precise
from crispmap.project.run import Products, SceneMaps, load_refiner
from crispmap.project.scored import ScoredScene, iteration_curve, titled_crops
from crispmap.raster.scores import open_scores
from crispmap.report.pages.report import write_report
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pictures.views import Crop, Overview
from crispmap.types import FloatArray, LabelArray

COARSE, RETHRESHOLDED, REFINED = "coarse map", "re-thresholded coarse map", "refined map"
_OVERVIEW_PX = 4_000_000  # the report shows only crops of test areas above this size


@dataclass(frozen=True)
class Results:
    """The figures of a project's maps on its test areas."""

    # by name: the coarse map and, where the project has a refiner, the re-thresholded one and the refined one
    methods: Mapping[str, Evaluation]
    steps: Sequence[ConfusionMatrix]  # after every refinement step, the coarse map's first; none without a refiner
    biases: Sequence[float]  # of the re-thresholded map, fitted on the refiner's area; none without a refiner

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values, safe for JSON."""
        return {
            "methods": {name: evaluation.to_dict() for name, evaluation in self.methods.items()},
            "mean_iou_by_step": [matrix.mean_iou for matrix in self.steps],
            "class_biases": list(self.biases),
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
        refiner = load_refiner(products, project) if project.refines else None
        scored = _ScoredProject(sources, refiner, stack)
        results = scored.results(events)
        data = scored.report(results, story or Story(project.name))
    warn_of_chance(results.methods)
    write_atomically(products.figures, (json.dumps(results.to_dict(), indent=2) + "\n").encode())
    write_report(products.report, data, force=force)  # last: where it is, the evaluation is finished
    return results


def _check_mapped(project: Project, products: Products) -> None:
    require_precise(project, ["test"], remedy="without them there is nothing to score the map against")
    if not project.refines and project.data_set is None and project.coarse.squares is None:
        raise ProjectError(
            f"{project.path.name} names no refiner, so there is no refined map to score.",
            expected="models: with coarse and refiner",
            remedy="add the refiner, or give the map: crispmap evaluate map.tif --reference",
        )
    maps = [products.maps(project, scene) for scene in project.scenes if "test" in scene.areas]
    made = [path for one in maps for path in (one.coarse_map, one.coarse_scores)]
    made += [one.refined_map for one in maps if project.refines]
    for needed in made:
        if not needed.exists():
            remedy = f"run: crispmap predict {shlex.quote(str(project.path))}"
            raise ProjectError(f"{needed} does not exist.", expected="the maps of this project", remedy=remedy)
    _check_made_with(products.models, made, project)


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


class _ScoredMaps(ScoredScene):
    """A scene's test areas with the maps that are compared on them, and the map after every iteration."""

    def __init__(
        self, inputs: SceneInputs, files: SceneMaps, project: Project, refiner: RefinerModel | None, stack: ExitStack
    ) -> None:
        squares = squares_of_map(files.coarse_map) if refiner is None else None
        gsd_m = read_card(Products.of(project).coarse_model).gsd_m if squares is not None else 0.0
        super().__init__(inputs, None if squares is None else (squares, gsd_m))
        schema = project.schema if refiner is None else refiner.card.schema
        self.scores = stack.enter_context(open_scores(files.coarse_scores, kind="logit"))
        self.maps: dict[str, LabelSource] = {COARSE: open_labels(files.coarse_map, schema, self.grid)}
        self.steps: IterationMaps | None = None
        if refiner is not None:
            self.steps = IterationMaps(self.image, self.scores, refiner)
            self.maps[RETHRESHOLDED] = BiasedLabels(self.scores, np.asarray(refiner.card.class_biases))
            self.maps[REFINED] = open_labels(files.refined_map, schema, self.grid)

    def compared(self, block: Block) -> tuple[LabelArray, LabelArray, LabelArray]:
        """Return reference, coarse map and the map the project ends with of a block."""
        maps = list(self.maps.values())
        return self.reference.read(block), maps[0].read(block), maps[-1].read(block)

    def over(self, block: Block) -> list[tuple[FloatArray, LabelArray]]:
        """Return scores and class ids of a block after every iteration, the coarse map's first."""
        if self.steps is not None:
            return self.steps.over(block)
        return [(self.scores.read(block)[0], self.maps[COARSE].read(block))]


class _ScoredProject:
    """A project's maps, scored on the test areas of all its scenes."""

    def __init__(self, sources: Sources, refiner: RefinerModel | None, stack: ExitStack) -> None:
        self.sources, self.card = sources, None if refiner is None else refiner.card
        self.project, self.schema = sources.project, sources.project.schema
        self.products = Products.of(sources.project)
        self.biases = () if refiner is None else refiner.card.class_biases
        self.scenes = [
            _ScoredMaps(one, self.products.maps(self.project, one.scene), self.project, refiner, stack)
            for one in sources.scenes
            if one.areas.get("test")
        ]

    def results(self, events: Events) -> Results:
        """Return the figures of every map and of every step, summed over the scenes."""
        methods: dict[str, Evaluation] = {}
        total = sum(math.prod(one.grid.shape) * len(one.maps) for one in self.scenes)
        with progress(events, "evaluation", total) as running:
            for name in self.scenes[0].maps:
                first, *others = [one.evaluate(one.maps[name], self.schema, running) for one in self.scenes]
                methods[name] = sum(others, first)
        parts = [(one.steps, one.areas, one.reference) for one in self.scenes if one.steps is not None]
        curve = iteration_curve(parts, self.schema.names, events) if parts else []
        return Results(methods, curve, self.biases)

    def report(self, results: Results, story: Story) -> ReportData:
        """Return what the report shows."""
        named = {name: MethodResult(name, evaluation) for name, evaluation in results.methods.items()}
        return ReportData(
            title=story.title, schema=self.schema, coarse=named[COARSE], rethresholded=named.get(RETHRESHOLDED),
            refined=named.get(REFINED), curve=results.steps,
            crops=[self._crop(*crop) for crop in titled_crops(self.scenes, _ScoredMaps.compared, self.sources)],
            overview=_overview([(one, area.block) for one in self.scenes for area in one.areas]),
            settings=self._settings(results), provenance=_provenance(self.sources),
            timings=story.timings or self._training_times(), notes=story.notes,
        )  # fmt: skip

    def _crop(self, title: str, scene: _ScoredMaps, block: Block) -> Crop:
        steps = scene.over(block)
        shares: list[FloatArray] = [softmax(scores, axis=0) for scores, _ in steps]
        names = enumerate(self.schema.names[1:], 1)
        return Crop(
            title=title, image=scene.picture(block), reference=scene.reference.read(block),
            steps=[labels for _, labels in steps],
            heat={name: [share[class_id] for share in shares] for class_id, name in names},
            rethresholded=scene.maps[RETHRESHOLDED].read(block) if RETHRESHOLDED in scene.maps else None,
        )  # fmt: skip

    def _cards(self) -> dict[str, ModelCard]:
        coarse_model = self.products.coarse_model
        trained = not self.project.scores_given and coarse_model.exists()
        cards = {"coarse network": read_card(coarse_model)} if trained else {}
        return cards | ({} if self.card is None else {"refiner": self.card})

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
        if self.card is None:
            return settings
        biases = dict(zip(self.schema.names, results.biases, strict=True))
        return settings | {"re-thresholding": {f"bias of {name}": round(value, 3) for name, value in biases.items()}}


def _overview(places: Sequence[tuple[_ScoredMaps, Block]]) -> Overview | None:
    """Return the maps of the largest test area, if it is not too large to show."""
    scene, block = max(places, key=lambda place: place[1].height * place[1].width)
    if block.height * block.width > _OVERVIEW_PX:
        return None
    return Overview(
        scene.picture(block), scene.reference.read(block), *(one.read(block) for one in scene.maps.values())
    )


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
