"""A comparison of made-up maps, with everything its report can show, names that want escaping among it."""

from __future__ import annotations

import numpy as np

from crispmap.classes import ClassDef, ClassSchema
from crispmap.evaluation.compare import evaluate_arrays
from crispmap.evaluation.intervals import (
    count_by_block,
    difference,
    draw_weights,
    interval,
    mean_iou,
    overall_accuracy,
)
from crispmap.evaluation.readers import ArrayLabels, ArrayMask
from crispmap.geo.grid import Block
from crispmap.report.charts.roc import RocLine, style_of
from crispmap.report.charts.steps import Curve
from crispmap.report.filters import filter_nature
from crispmap.report.pages.comparison_data import ComparisonReport, FilterBank, LearnedFilter
from crispmap.report.pictures.place import Place
from crispmap.report.pictures.views import Strip, Whole
from crispmap.report.tables.comparison import Cost, Missing, Row
from crispmap.types import CountArray, LabelArray

SCHEMA = ClassSchema(
    (ClassDef("ground <b>", "#f2efe9"), ClassDef("house & barn", "#d7191c"), ClassDef("road", "#fdae61"))
)
SIDE = 96
OWN = "fcn-rnn+rnn"
NAMES = ("svm", "svm, re-thresholded", "fcn-rnn", "fcn-rnn, re-thresholded", "fcn-rnn+geodesic", OWN)


def reference() -> LabelArray:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[20:40, 10:70], labels[60:68] = 1, 2
    return labels


def maps() -> dict[str, LabelArray]:
    rng = np.random.default_rng(0)
    out = {}
    for name, share in zip(NAMES, (0.3, 0.25, 0.2, 0.15, 0.1, 0.05), strict=True):
        wrong = rng.random((SIDE, SIDE)) < share
        out[name] = np.where(wrong, rng.integers(0, 3, (SIDE, SIDE)), reference()).astype(np.uint8)
    return out


def rows() -> list[Row]:
    true = reference()
    whole = ArrayMask(np.ones((SIDE, SIDE), bool)), Block(0, 0, SIDE, SIDE)
    counts: dict[str, CountArray] = {
        name: count_by_block(ArrayLabels(labels), ArrayLabels(true), whole, SCHEMA.names, 24)
        for name, labels in maps().items()
    }
    weights = draw_weights(16, seed=0)
    return [
        Row(
            name=name,
            evaluation=evaluate_arrays(labels, true, (1.0, 1.0), SCHEMA),
            auc=0.7 + 0.05 * number,
            accuracy=interval(overall_accuracy, counts[name], weights),
            mean_iou=interval(mean_iou, counts[name], weights),
            ahead=None if name == OWN else difference(mean_iou, counts[name], counts[OWN], weights),
            cost=None if "," in name else Cost(100_000 * number + 9, 10.0 * number, 0.5 + number, 600.0 + number),
        )
        for number, (name, labels) in enumerate(maps().items())
    ]


def missing() -> list[Missing]:
    return [Missing("mnih", "names no <i>labels</i>", True), Missing("fcn-rnn+crf", "class 'a' & 'b' lack", False)]


def report() -> ComparisonReport:
    rng = np.random.default_rng(1)
    share = [0.0, 0.1, 0.5, 1.0]
    lines = [RocLine(name, "0.9", share, [0.0, 0.6, 0.9, 1.0], *style_of(i)) for i, name in enumerate(NAMES)]
    filters = [
        LearnedFilter(f"M {number}", filter_nature(rng.normal(size=(2, 5, 5))), rng.normal(size=(40, 40)))
        for number in range(8)
    ]
    return ComparisonReport(
        title="Town <script>: methods compared",
        schema=SCHEMA,
        rows=rows(),
        missing=missing(),
        own=OWN,
        blocks=(16, 24.0),
        rocs={name: lines for name in SCHEMA.names},
        steps={OWN: [Curve("test", [0.5, 0.6, 0.65], "#d55e00", 0.55), Curve("learned from", [0.5, 0.7, 0.8])]},
        strips=[
            Strip(
                "Piece 1 <b>",
                np.full((3, SIDE, SIDE), 99, np.uint8),
                {"reference": reference(), **maps()},
                {"fcn <rnn>": {name: np.full((SIDE, SIDE), 0.25, np.float32) for name in SCHEMA.names}},
                Place("a<b>.tif", Block(8, 4, SIDE, SIDE), (1.0, 1.0), "m", (2.35, 48.85)),
            )
        ],
        whole=Whole(
            np.full((3, SIDE, 2 * SIDE), 99, np.uint8),
            Place("a<b>.tif", Block(4, 4, 2 * SIDE, 4 * SIDE), (1.0, 1.0), "m", (2.35, 48.85)),
        ),
        banks=[FilterBank("M, on the score of house & barn", filters)],
        settings={"scene": "a<b>.tif", "seed": 3},
        notes=["A note & more."],
    )
