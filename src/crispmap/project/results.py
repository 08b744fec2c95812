"""What a project's maps are worth: figures on its test areas, and the report that shows them."""

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

from crispmap.classes import ClassSchema
from crispmap.errors import ProjectError
from crispmap.evaluation.compare import evaluate_maps
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.readers import LabelSource
from crispmap.evaluation.recalibration import BiasedLabels
from crispmap.events import SILENT, Events, progress
from crispmap.files.address import file_name
from crispmap.files.atomic import check_free, write_atomically
from crispmap.geo.grid import Block
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.mask import open_labels
from crispmap.metrics import ConfusionMatrix
from crispmap.models.card import ModelCard, read_card
from crispmap.models.model import RefinerModel
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import SceneInputs, Sources, open_sources
from crispmap.project.preflight import require_precise
from crispmap.project.run import Products, SceneMaps, load_refiner
from crispmap.project.scored import ScoredScene, title_of
from crispmap.raster.scores import open_scores
from crispmap.report.crops import choose_crops
from crispmap.report.pages.report import write_report
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pictures.views import Crop, Overview
from crispmap.types import FloatArray, LabelArray

COARSE, RETHRESHOLDED, REFINED = "coarse map", "re-thresholded coarse map", "refined map"
_OVERVIEW_PX = 4_000_000
"""Of a test area above this size the report shows only crops."""


@dataclass(frozen=True)
class Results:
    """The figures of a project's maps on its test areas.

    Attributes:
        methods: Evaluations by name: the coarse map, the re-thresholded one and the refined one, in this order.
        steps: Confusion matrix after every refinement step, the coarse map's first.
        biases: The class biases of the re-thresholded map, fitted on the refiner's training piece.
    """

    methods: Mapping[str, Evaluation]
    steps: Sequence[ConfusionMatrix]
    biases: Sequence[float]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values, safe for JSON."""
        return {
            "methods": {name: evaluation.to_dict() for name, evaluation in self.methods.items()},
            "mean_iou_by_step": [matrix.mean_iou for matrix in self.steps],
            "class_biases": list(self.biases),
        }


@dataclass(frozen=True)
class Story:
    """What the report says besides figures.

    Attributes:
        title: Its title.
        timings: Seconds by stage.
        notes: Paragraphs.
    """

    title: str
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


def project_products(path: Path) -> Products:
    """Return where the results of a project lie."""
    return Products(load_project(path).output_folder)


def evaluate_project(
    path: Path,
    *,
    force: bool = False,
    story: Story | None = None,
    events: Events = SILENT,
) -> Results:
    """Score a project's maps on its test areas, write the figures and the report; return the figures.

    Args:
        path: The project file, or its folder.
        force: Replace figures and report that are there.
        story: Words and timings for the report.
        events: What progress is reported to.

    Raises:
        ProjectError: If the project names no reference or no test area, or its maps are not there: predict first.
        LabelError: If nothing is labelled in the test areas.
        OutputError: If a report is there already and ``force`` is not given.
    """
    project = load_project(path)
    products = Products(project.output_folder)
    _check_mapped(project, products)
    check_free(products.report, force=force)
    with ExitStack() as stack:
        sources = stack.enter_context(open_sources(project))
        scored = _ScoredProject(sources, load_refiner(products, project), stack)
        results = scored.results(events)
        data = scored.report(results, story or Story(project.name))
    write_report(products.report, data, force=force)
    write_atomically(products.figures, (json.dumps(results.to_dict(), indent=2) + "\n").encode())
    return results


def _check_mapped(project: Project, products: Products) -> None:
    require_precise(project, ["test"], remedy="without them there is nothing to score the map against")
    maps = [products.maps(project, scene) for scene in project.scenes if "test" in scene.areas]
    for needed in (path for one in maps for path in (one.coarse_map, one.coarse_scores, one.refined_map)):
        if not needed.exists():
            raise ProjectError(
                f"{needed} is not there.",
                expected="the maps of this project",
                remedy=f"run: crispmap predict {shlex.quote(str(project.path))}",
            )


class _ScoredMaps(ScoredScene):
    """A scene's test areas, with the maps that are compared on them.

    Attributes:
        maps: The maps by name.
        steps: The map after every iteration of the refiner.
    """

    def __init__(self, inputs: SceneInputs, files: SceneMaps, refiner: RefinerModel, stack: ExitStack) -> None:
        super().__init__(inputs)
        schema, biases = refiner.card.schema, np.asarray(refiner.card.provenance["class_biases"], np.float64)
        scores = stack.enter_context(open_scores(files.coarse_scores, kind="logit"))
        self.steps = IterationMaps(self.image, scores, refiner)
        self.maps: dict[str, LabelSource] = {
            COARSE: open_labels(files.coarse_map, schema, self.grid),
            RETHRESHOLDED: BiasedLabels(scores, biases),
            REFINED: open_labels(files.refined_map, schema, self.grid),
        }

    def evaluate(self, name: str, schema: ClassSchema, events: Events) -> Evaluation:
        """Return the figures of one of the maps."""
        return evaluate_maps(self.maps[name], self.reference, self.grid, schema, area=self.areas, events=events)

    def compared(self, block: Block) -> tuple[LabelArray, LabelArray, LabelArray]:
        """Return reference, coarse and refined map of a block."""
        return self.reference.read(block), self.maps[COARSE].read(block), self.maps[REFINED].read(block)


class _ScoredProject:
    """A project's maps, scored on the test areas of all its scenes."""

    def __init__(self, sources: Sources, refiner: RefinerModel, stack: ExitStack) -> None:
        self.sources, self.card = sources, refiner.card
        self.project, self.schema = sources.project, sources.project.schema
        self.products = Products(sources.project.output_folder)
        self.biases = [float(value) for value in self.card.provenance["class_biases"]]
        self.scenes = [
            _ScoredMaps(one, self.products.maps(self.project, one.scene), refiner, stack)
            for one in sources.scenes
            if one.areas.get("test")
        ]

    def results(self, events: Events) -> Results:
        """Return the figures of the three maps and of every step, summed over the scenes."""
        first, *others = self.scenes
        names = self.schema.names
        total = sum(math.prod(one.grid.shape) * len(one.maps) for one in self.scenes)
        with progress(events, "evaluation", total) as running:
            methods = {
                name: sum(
                    (one.evaluate(name, self.schema, running) for one in others),
                    first.evaluate(name, self.schema, running),
                )
                for name in first.maps
            }
        with progress(events, "iterations", sum(math.prod(one.box.shape) for one in self.scenes)) as running:
            curves = [one.steps.curve(one.areas, one.reference, names, running) for one in self.scenes]
        return Results(methods, [sum(rest, start) for start, *rest in zip(*curves, strict=True)], self.biases)

    def report(self, results: Results, story: Story) -> ReportData:
        """Return what the report shows."""
        named = {name: MethodResult(name, evaluation) for name, evaluation in results.methods.items()}
        places = [(one, area.block) for one in self.scenes for area in one.areas]
        chosen = choose_crops(places, _ScoredMaps.compared, len(self.schema))
        return ReportData(
            title=story.title,
            schema=self.schema,
            coarse=named[COARSE],
            rethresholded=named[RETHRESHOLDED],
            refined=named[REFINED],
            curve=results.steps,
            crops=[self._crop(scene, block, number) for number, (scene, block) in enumerate(chosen, 1)],
            overview=_overview(places),
            settings=self._settings(results),
            provenance=_provenance(self.sources),
            timings=story.timings or self._training_times(),
            notes=story.notes,
        )

    def _crop(self, scene: _ScoredMaps, block: Block, number: int) -> Crop:
        steps = scene.steps.over(block)
        heat: dict[str, list[FloatArray]] = {name: [] for name in self.schema.names[1:]}
        for scores, _ in steps:
            probability = softmax(scores, axis=0)
            for class_id, name in enumerate(self.schema.names[1:], 1):
                heat[name].append(probability[class_id])
        return Crop(
            title=f"Crop {number}: {title_of(scene, block, self.sources)}",
            image=scene.picture(block),
            reference=scene.reference.read(block),
            steps=[labels for _, labels in steps],
            heat=heat,
            rethresholded=scene.maps[RETHRESHOLDED].read(block),
        )

    def _cards(self) -> dict[str, ModelCard]:
        coarse_model = self.products.coarse_model
        trained = not self.project.scores_given and coarse_model.exists()
        return ({"coarse network": read_card(coarse_model)} if trained else {}) | {"refiner": self.card}

    def _training_times(self) -> dict[str, float]:
        return {f"train the {name}": card.provenance["seconds"] for name, card in self._cards().items()}

    def _settings(self, results: Results) -> dict[str, Any]:
        settings: dict[str, Any] = {
            name: {
                "architecture": card.architecture,
                **card.arguments,
                "ground sampling distance (m)": card.gsd_m,
                "influence radius (px)": card.radius_px,
                **card.provenance["settings"],
            }
            for name, card in self._cards().items()
        }
        biases = dict(zip(self.schema.names, results.biases, strict=True))
        return settings | {"re-thresholding": {f"bias of {name}": round(value, 3) for name, value in biases.items()}}


def _overview(places: Sequence[tuple[_ScoredMaps, Block]]) -> Overview | None:
    """Return the maps of the largest test area; None where it is too large to show."""
    scene, block = max(places, key=lambda place: place[1].height * place[1].width)
    if block.height * block.width > _OVERVIEW_PX:
        return None
    coarse, rethresholded, refined = (one.read(block) for one in scene.maps.values())
    return Overview(scene.picture(block), scene.reference.read(block), coarse, rethresholded, refined)


def _provenance(sources: Sources) -> dict[str, Any]:
    files = [
        f"{file_name(one.scene.path)}, {one.file_grid.height} x {one.file_grid.width} px" for one in sources.scenes
    ]
    return {
        "project": sources.project.path.name,
        "scene" if len(files) == 1 else "scenes": "; ".join(files),
        "seed": sources.project.seed,
        "crispmap": importlib.metadata.version("crispmap"),
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
