"""What a project's maps are worth: figures on its test areas, and the report that shows them."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from crispmap.classes import ClassSchema
from crispmap.errors import ProjectError
from crispmap.evaluate.compare import evaluate_maps
from crispmap.evaluate.evaluation import Evaluation
from crispmap.evaluate.readers import LabelSource
from crispmap.evaluate.recalibration import BiasedLabels
from crispmap.events import SILENT, Events, progress
from crispmap.files.address import file_name
from crispmap.files.atomic import check_free, write_atomically
from crispmap.geo.areas import Area
from crispmap.geo.grid import Block, Grid
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelReader
from crispmap.metrics import ConfusionMatrix
from crispmap.models.card import ModelCard, read_card
from crispmap.models.model import RefinerModel
from crispmap.project.file import Project, load_project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.preflight import require_precise
from crispmap.project.run import Products, load_refiner
from crispmap.raster.scene import Scene
from crispmap.raster.scores import open_scores
from crispmap.report.crops import choose_crops
from crispmap.report.pages.report import write_report
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pictures.photos import rgb_preview
from crispmap.report.pictures.views import Crop, Overview
from crispmap.types import FloatArray, LabelArray

COARSE, RETHRESHOLDED, REFINED = "coarse map", "re-thresholded coarse map", "refined map"
_OVERVIEW_PX = 4_000_000
"""Test ground above this size is shown in the report by its crops alone."""


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
    with open_sources(project) as sources, open_scores(products.coarse_scores, kind="logit") as scores:
        ground = _TestGround(sources, scores, load_refiner(products, project))
        results = ground.results(events)
        data = ground.report(results, story or Story(project.name))
    write_report(products.report, data, force=force)
    write_atomically(products.figures, (json.dumps(results.to_dict(), indent=2) + "\n").encode())
    return results


def _check_mapped(project: Project, products: Products) -> None:
    require_precise(project, ["test"], remedy="without them there is nothing to score the map against")
    for needed in (products.coarse_map, products.coarse_scores, products.refined_map):
        if not needed.exists():
            raise ProjectError(
                f"{needed} is not there.",
                expected="the maps of this project",
                remedy=f"run: crispmap predict {shlex.quote(str(project.path))}",
            )


class _TestGround:
    """A project's test areas, with everything that is compared on them."""

    def __init__(self, sources: Sources, scores: Scene, refiner: RefinerModel) -> None:
        self.sources, self.card = sources, refiner.card
        self.project = sources.project
        self.schema: ClassSchema = sources.project.schema
        self.grid = sources.image.grid
        self.areas: list[Area] = sources.areas(self.grid)["test"]
        self.reference: LabelReader = sources.reference(self.grid)
        self.steps = IterationMaps(sources.image, scores, refiner)
        self.biases = [float(value) for value in self.card.provenance["class_biases"]]
        self.products = Products(sources.project.output_folder)
        self.maps: dict[str, LabelSource] = {
            COARSE: open_labels(self.products.coarse_map, self.schema, self.grid),
            RETHRESHOLDED: BiasedLabels(scores, np.asarray(self.biases)),
            REFINED: open_labels(self.products.refined_map, self.schema, self.grid),
        }

    def results(self, events: Events) -> Results:
        """Return the figures of the three maps and of every step."""
        with progress(events, "evaluation", len(self.maps) * math.prod(self.grid.shape)) as running:
            methods = {
                name: evaluate_maps(one, self.reference, self.grid, self.schema, area=self.areas, events=running)
                for name, one in self.maps.items()
            }
        return Results(methods, self.steps.curve(self.areas, self.reference, self.schema.names, events), self.biases)

    def report(self, results: Results, story: Story) -> ReportData:
        """Return what the report shows."""
        named = {name: MethodResult(name, evaluation) for name, evaluation in results.methods.items()}
        return ReportData(
            title=story.title,
            schema=self.schema,
            coarse=named[COARSE],
            rethresholded=named[RETHRESHOLDED],
            refined=named[REFINED],
            curve=results.steps,
            crops=[self._crop(block, number) for number, block in enumerate(self._chosen(), 1)],
            overview=self._overview(),
            settings=self._settings(results),
            provenance=_provenance(self.project, self.sources.file_grid),
            timings=story.timings or self._training_times(),
            notes=story.notes,
        )

    def _chosen(self) -> list[Block]:
        def maps(block: Block) -> tuple[LabelArray, LabelArray, LabelArray]:
            return self.reference.read(block), self.maps[COARSE].read(block), self.maps[REFINED].read(block)

        return choose_crops([area.block for area in self.areas], maps, len(self.schema))

    def _crop(self, block: Block, number: int) -> Crop:
        steps = self.steps.over(block)
        heat: dict[str, list[FloatArray]] = {name: [] for name in self.schema.names[1:]}
        for scores, _ in steps:
            probability = softmax(scores, axis=0)
            for class_id, name in enumerate(self.schema.names[1:], 1):
                heat[name].append(probability[class_id])
        return Crop(
            title=f"Crop {number}: rows {block.row} to {block.row_stop}, columns {block.col} to {block.col_stop}",
            image=self._picture(block),
            reference=self.reference.read(block),
            steps=[labels for _, labels in steps],
            heat=heat,
            rethresholded=self.maps[RETHRESHOLDED].read(block),
        )

    def _overview(self) -> Overview | None:
        block = max((area.block for area in self.areas), key=lambda one: one.height * one.width)
        if block.height * block.width > _OVERVIEW_PX:
            return None
        return Overview(
            image=self._picture(block),
            reference=self.reference.read(block),
            coarse=self.maps[COARSE].read(block),
            rethresholded=self.maps[RETHRESHOLDED].read(block),
            refined=self.maps[REFINED].read(block),
        )

    def _picture(self, block: Block) -> Any:
        pixels, valid = self.sources.image.read(block)
        return rgb_preview(pixels, valid=valid)

    def _cards(self) -> dict[str, ModelCard]:
        coarse_model = self.products.coarse_model
        trained = self.project.coarse.scores is None and coarse_model.exists()
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


def _provenance(project: Project, file_grid: Grid) -> dict[str, Any]:
    height, width = file_grid.shape
    return {
        "project": project.path.name,
        "scene": f"{file_name(project.scene.path)}, {height} x {width} px",
        "seed": project.seed,
        "crispmap": importlib.metadata.version("crispmap"),
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
