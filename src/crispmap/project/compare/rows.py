"""The rows of a comparison's table, with intervals by block bootstrap on the test areas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crispmap.errors import LabelError
from crispmap.evaluation.evaluation import warn_of_chance
from crispmap.evaluation.intervals import difference, draw_weights, interval, mean_iou, overall_accuracy
from crispmap.project.compare.comparison import Comparison
from crispmap.project.compare.methods import own_method
from crispmap.project.compare.record import Record
from crispmap.project.compare.scoring import Scores
from crispmap.report.tables.comparison import RETHRESHOLDED, Cost, Missing, Row
from crispmap.types import CountArray


@dataclass(frozen=True)
class Table:
    """The table of a comparison."""

    rows: tuple[Row, ...]  # the map of each method, and below a coarse network's its re-thresholded one
    missing: tuple[Missing, ...]  # the methods without figures
    own: str  # the name of the project's own method, which the others are compared with
    blocks: int  # how many bootstrap blocks there are


def table_of(comparison: Comparison) -> Table:
    """Return the table of a comparison; the project's seed draws the bootstrap's blocks."""
    finished = comparison.finished
    own = own_method(comparison.project)
    blocks = [len(record.scores.blocks) for record in finished.values()]
    if len(set(blocks)) > 1:
        given = f"Methods were scored on {min(blocks)} and {max(blocks)} blocks."
        raise LabelError(given, expected="one reference for all", remedy="compare again with force=True")
    rows: list[Row] = []
    if blocks:
        weights = draw_weights(blocks[0], seed=comparison.project.seed)
        other = finished[own].scores.blocks if own in finished else None
        for method, record in finished.items():
            for name, scores, cost in _maps(method.name, record):
                rows.append(_row(name, scores, cost, weights, None if name == own.name else other))
    warn_of_chance({row.name: row.evaluation for row in rows})
    missing = tuple(Missing(method.name, one.reason, one.skipped) for method, one in comparison.failures.items())
    return Table(tuple(rows), missing, own.name, blocks[0] if blocks else 0)


def _maps(name: str, record: Record) -> Iterator[tuple[str, Scores, Cost | None]]:
    mapping = record.mapping
    cost = Cost(
        sum(record.parameters.values()), sum(record.training_s.values()), mapping.seconds_per_mpx, mapping.peak_mib
    )
    yield name, record.scores, cost
    if record.rethresholded is not None:
        yield name + RETHRESHOLDED, record.rethresholded, None


def _row(name: str, scores: Scores, cost: Cost | None, weights: CountArray, other: CountArray | None) -> Row:
    return Row(
        name=name, evaluation=scores.evaluation, auc=scores.mean_auc,
        accuracy=interval(overall_accuracy, scores.blocks, weights),
        mean_iou=interval(mean_iou, scores.blocks, weights),
        ahead=None if other is None else difference(mean_iou, scores.blocks, other, weights), cost=cost,
    )  # fmt: skip
