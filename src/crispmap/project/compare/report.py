"""The report of a comparison, made from the files of its methods."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from crispmap.evaluation.intervals import block_side_px
from crispmap.files.address import file_name
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.grid import Block
from crispmap.labels.mask import open_labels
from crispmap.models.file import load_model
from crispmap.models.scaling import scaled_input
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.comparison import Comparison, map_of
from crispmap.project.compare.methods import Method, own_method
from crispmap.project.compare.models import coarse_scores, models_of, opened_coarse
from crispmap.project.compare.record import Record
from crispmap.project.compare.rows import Table
from crispmap.project.inputs import Sources
from crispmap.project.scored import ScoredScene, largest_area, place_name, probabilities, scored_scenes, titled_crops
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.report.charts.roc import RocLine, style_of
from crispmap.report.charts.steps import Curve
from crispmap.report.filters import filter_nature
from crispmap.report.pages.comparison import write_comparison
from crispmap.report.pages.comparison_data import ComparisonReport, FilterBank, LearnedFilter
from crispmap.report.pages.page_pictures import OVERVIEW_SIDE_PX
from crispmap.report.pictures.photos import thinning
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Strip, Whole
from crispmap.report.tables.comparison import check_rows
from crispmap.report.tables.model import DASH
from crispmap.types import DoubleArray, FloatArray, LabelArray

REPORT = "report.html"


def write_comparison_report(comparison: Comparison, table: Table) -> Path:
    """Write the report of a comparison beside its methods' folders, instead of an older one; return its path."""
    check_rows(table.rows)
    return write_comparison(comparison.root / REPORT, _report(comparison, table), force=True)


def _report(comparison: Comparison, table: Table) -> ComparisonReport:
    finished = comparison.finished
    project = comparison.project
    banks: list[FilterBank] = []
    shown = _shown(finished, own_method(project))
    models = models_of(shown, comparison.root)
    with few_blocks_kept(), opened_coarse(shown, project, comparison.root, comparison.device) as (sources, coarse):
        scenes = scored_scenes(sources)
        gsd_m = scenes[0].grid.mean_gsd_m()
        crops = _crops(comparison, scenes, shown, sources)
        activations = _activations(comparison, [(scene, block) for _, scene, block in crops])
        strips = [
            _strip(comparison, (title, Place.of(place_name(scene, sources), scene.grid, block)), scene, by_network)
            for (title, scene, block), by_network in zip(crops, activations, strict=True)
        ]
        whole = _whole(scenes, sources)
        if "refiner" in models and crops:
            banks = _banks(coarse, models["refiner"], *crops[0][1:])
    return ComparisonReport(
        title=f"{project.name}: methods compared", schema=project.schema, rows=table.rows, missing=table.missing,
        own=table.own, blocks=(table.blocks, block_side_px(gsd_m) * gsd_m), rocs=_rocs(finished, project.schema.names),
        steps=_steps(finished), strips=strips, whole=whole, banks=banks, settings=_settings(comparison),
        notes=[f"{method.name}: {record.note}" for method, record in finished.items() if record.note],
        seeds=table.seeds,
    )  # fmt: skip


def _shown(finished: Mapping[Method, Record], own: Method) -> Method:
    """Return the method whose filters and gains are shown: the project's own, or the last that is finished."""
    return own if own in finished else list(finished)[-1]


def _rocs(finished: Mapping[Method, Record], names: Sequence[str]) -> dict[str, list[RocLine]]:
    """Return the curves by class; of two classes only the second, as the first mirrors it."""
    charts: dict[str, list[RocLine]] = {}
    for class_id, name in list(enumerate(names))[1 if len(names) == 2 else 0 :]:
        charts[name] = []
        for index, (method, record) in enumerate(finished.items()):
            x, y = record.scores.curves[class_id]
            auc = record.scores.auc[class_id]
            text = f"{auc:.4f}" if math.isfinite(auc) else DASH
            charts[name].append(RocLine(method.name, text, x, y, *style_of(index)))
    return charts


def _steps(finished: Mapping[Method, Record]) -> dict[str, list[Curve]]:
    charts = {}
    for method, record in finished.items():
        if "test" in record.steps:
            alone = finished.get(method.alone)
            rival = None if alone is None else alone.rethresholded
            dashed = math.nan if rival is None else rival.evaluation.mean_iou
            curves = [Curve("test", record.steps["test"], "#d55e00", dashed)]
            if "training" in record.steps:
                curves.append(Curve("learned from", record.steps["training"], "#0089d0"))
            charts[method.name] = curves
    return charts


def _crops(
    comparison: Comparison, scenes: Sequence[ScoredScene], shown: Method, sources: Sources
) -> list[tuple[str, ScoredScene, Block]]:
    """Return crops worth looking at, by what the shown method changes of its coarse map."""
    finished = comparison.finished
    before = shown.alone if shown.alone in finished else next(iter(finished))

    def maps(scene: ScoredScene, block: Block) -> tuple[LabelArray, LabelArray, LabelArray]:
        coarse, refined = (_labels_of(comparison, method, scene, block) for method in (before, shown))
        return scene.reference.read(block), coarse, refined

    return titled_crops(scenes, maps, sources)


def _labels_of(comparison: Comparison, method: Method, scene: ScoredScene, block: Block) -> LabelArray:
    path = map_of(comparison.root / method.name, comparison.project, scene)
    with closing(open_labels(path, comparison.project.schema, scene.grid.window(scene.box))) as labels:
        return labels.read(block.relative_to(scene.box))


def _activations(
    comparison: Comparison, places: Sequence[tuple[ScoredScene, Block]]
) -> list[dict[str, dict[str, FloatArray]]]:
    """Return for every place the probability of each class by every network, before refinement."""
    found: list[dict[str, dict[str, FloatArray]]] = [{} for _ in places]
    for method in comparison.finished:
        if method.refiner is not None:
            continue
        scores = coarse_scores(method, comparison.project, comparison.root, comparison.device)
        for by_network, (scene, block) in zip(found, places, strict=True):
            shares = probabilities(scores.on(scene.image, scene.inputs.given_scores), block)
            by_network[method.name] = dict(zip(comparison.project.schema.names, shares, strict=True))
    return found


def _strip(
    comparison: Comparison, named: tuple[str, Place], scene: ScoredScene, activations: dict[str, dict[str, FloatArray]]
) -> Strip:
    title, place = named
    maps = {"reference": scene.reference.read(place.block)}
    maps |= {method.name: _labels_of(comparison, method, scene, place.block) for method in comparison.finished}
    return Strip(title, scene.picture(place.block), maps, activations, place)


def _whole(scenes: Sequence[ScoredScene], sources: Sources) -> Whole:
    scene, block = largest_area(scenes)
    picture = scene.thinned_picture(block, thinning(block.shape, OVERVIEW_SIDE_PX))
    return Whole(picture, Place.of(place_name(scene, sources), scene.grid, block))


def _banks(coarse: CoarseScores, path: Path, scene: ScoredScene, block: Block) -> list[FilterBank]:
    """Return the filters of a recurrent refiner with their responses on a block; none for other refiners."""
    model = load_model(path, kind="refiner")
    refiner = model.network
    if not isinstance(refiner, RecurrentRefiner):
        return []
    around = block.padded(refiner.margin_px)
    scores, valid = coarse.on(scene.image, scene.inputs.given_scores).read(around)
    pixels, seen = scene.image.read(around)
    image = torch.from_numpy(scaled_input(pixels, valid & seen, model.scaling))[None]
    with torch.inference_mode():
        maps = refiner.features(image)
        class_id = 1  # the first that is not background
        score_map = torch.from_numpy(scores[class_id])[None, None]
        answers_m = F.conv2d(score_map - score_map.mean(), refiner.filters_m[0][:, None])
        answers_n = F.conv2d(maps, refiner.filters_n[0])
    name = model.classes[class_id]
    core = block.shape
    return [
        _bank(f"M, on the score of {name}", "M", refiner.filters_m[0][:, None], answers_m[0], core),
        _bank(f"N, on the {refiner.features.maps} maps of the image", "N", refiner.filters_n[0], answers_n[0], core),
    ]  # fmt: skip


def _bank(title: str, letter: str, weights: torch.Tensor, answers: torch.Tensor, core: tuple[int, int]) -> FilterBank:
    """Return filters (filter, map, row, col) with the middle of their answers (filter, row, col)."""
    planes: DoubleArray = weights.detach().double().numpy()
    filters = [
        LearnedFilter(f"{letter} {number}", filter_nature(plane), _middle(answer.numpy(), core))
        for number, (plane, answer) in enumerate(zip(planes, answers, strict=True), 1)
    ]
    return FilterBank(title, filters)


def _middle(values: FloatArray, shape: tuple[int, int]) -> FloatArray:
    top, left = ((have - want) // 2 for have, want in zip(values.shape, shape, strict=True))
    middle: FloatArray = np.ascontiguousarray(values[top : top + shape[0], left : left + shape[1]])
    return middle


def _settings(comparison: Comparison) -> dict[str, Any]:
    project = comparison.project
    engines = sorted({record.mapping.engine for record in comparison.finished.values()})
    return {
        "project": project.path.name, "scene": ", ".join(file_name(scene.path) for scene in project.scenes),
        "seed": ", ".join(str(one.project.seed) for one in (comparison, *comparison.repeats)),
         "engines": "; ".join(engines), "coarse preset": project.coarse.preset,
        "refiner preset": DASH if project.refiner is None else project.refiner.preset,
        "crispmap": importlib.metadata.version("crispmap"), "torch": importlib.metadata.version("torch"),
    }  # fmt: skip
